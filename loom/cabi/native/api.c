/* The exported functions; each starts Loom if need be, and never raises or aborts.
   The layers' initialisers are in layers.c, which header.py writes. */

#include "internal.h"
#include "loom.h"

char *loom_ask(const char *function, const loom_value *values, int count) {
    const char *problem = loom_start();
    if (problem)
        return loom_error_reply(problem);
    char *reply = loom_python_text(function, values, count);
    return reply ? reply
                 : loom_error_reply("Loom ended before it could reply; the process is "
                                    "shutting down, or out of memory.");
}

LOOM_API char *Loom_GetVersion(void) {
    const char *problem = loom_start();
    return problem ? loom_error_reply(problem)
                   : loom_text(LOOM_VERSION, sizeof LOOM_VERSION - 1);
}

LOOM_API char *Loom_NewNetwork(int input_size, int grid_rows, int grid_cols,
                               int layers_per_cell, bool use_gpu) {
    const loom_value values[] = {LOOM_INT(input_size), LOOM_INT(grid_rows),
                                 LOOM_INT(grid_cols), LOOM_INT(layers_per_cell),
                                 LOOM_BOOL(use_gpu)};
    return loom_ask("Loom_NewNetwork", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_SetLayer(int64_t handle, int row, int col, int layer,
                             const char *config_json) {
    const loom_value values[] = {LOOM_INT(handle), LOOM_INT(row), LOOM_INT(col),
                                 LOOM_INT(layer), LOOM_TEXT(config_json)};
    return loom_ask("Loom_SetLayer", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_GetLayer(int64_t handle, int row, int col, int layer) {
    const loom_value values[] = {LOOM_INT(handle), LOOM_INT(row), LOOM_INT(col),
                                 LOOM_INT(layer)};
    return loom_ask("Loom_GetLayer", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_Call(int64_t handle, const char *method, const char *args_json) {
    const loom_value values[] = {LOOM_INT(handle), LOOM_TEXT(method),
                                 LOOM_TEXT(args_json)};
    return loom_ask("Loom_Call", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_ListMethods(int64_t handle) {
    const loom_value values[] = {LOOM_INT(handle)};
    return loom_ask("Loom_ListMethods", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_GetMethodSignature(int64_t handle, const char *method) {
    const loom_value values[] = {LOOM_INT(handle), LOOM_TEXT(method)};
    return loom_ask("Loom_GetMethodSignature", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_GetInfo(int64_t handle) {
    const loom_value values[] = {LOOM_INT(handle)};
    return loom_ask("Loom_GetInfo", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_SaveModel(int64_t handle, const char *model_id) {
    const loom_value values[] = {LOOM_INT(handle), LOOM_TEXT(model_id)};
    return loom_ask("Loom_SaveModel", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_LoadModel(const char *json, const char *model_id) {
    const loom_value values[] = {LOOM_TEXT(json), LOOM_TEXT(model_id)};
    return loom_ask("Loom_LoadModel", values, LOOM_COUNT(values));
}

LOOM_API char *Loom_EnableGPU(int64_t handle, bool enable) {
    const loom_value values[] = {LOOM_INT(handle), LOOM_BOOL(enable)};
    return loom_ask("Loom_EnableGPU", values, LOOM_COUNT(values));
}

/* Whether Loom runs; if not, the thread's last error says why. */
static bool runs(void) {
    const char *problem = loom_start();
    if (problem)
        loom_set_error(problem);
    return !problem;
}

LOOM_API int Loom_Free(int64_t handle) {
    return runs() ? loom_python_free(handle) : LOOM_ERROR;
}

LOOM_API int Loom_ForwardF32(int64_t handle, const float *x, size_t n, float *y,
                             size_t capacity, size_t *written) {
    if (written)
        *written = 0;
    return runs() ? loom_python_pass(false, handle, x, n, y, capacity, written)
                  : LOOM_ERROR;
}

LOOM_API int Loom_BackwardF32(int64_t handle, const float *dy, size_t n, float *dx,
                              size_t capacity, size_t *written) {
    if (written)
        *written = 0;
    return runs() ? loom_python_pass(true, handle, dy, n, dx, capacity, written)
                  : LOOM_ERROR;
}

LOOM_API int Loom_TrainStepF32(int64_t handle, const float *x, size_t n,
                               const float *targets, size_t m,
                               const char *settings_json, float *loss) {
    return runs() ? loom_python_train(handle, x, n, targets, m, settings_json, loss)
                  : LOOM_ERROR;
}
