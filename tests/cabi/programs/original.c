/* What the documented program of the framework we follow does, with its declarations. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char *Loom_NewNetwork(int inputSize, int gridRows, int gridCols,
                             int layersPerCell, bool useGPU);
extern char *Loom_InitDenseLayer(int inputSize, int outputSize, int activation);
extern char *Loom_SetLayer(int64_t handle, int row, int col, int layer, char *config);
extern char *Loom_Call(int64_t handle, char *method, char *argsJSON);
extern char *Loom_ListMethods(int64_t handle);
extern char *Loom_GetInfo(int64_t handle);
extern char *Loom_SaveModel(int64_t handle, char *modelID);
extern char *Loom_LoadModel(char *jsonString, char *modelID);
extern void Loom_Free(int64_t handle);
extern void Loom_FreeCString(char *p);
extern char *Loom_GetVersion(void);

static int64_t handle_in(const char *json) {
    const char *key = "\"handle\":", *found = strstr(json, key);
    return found ? atoll(found + strlen(key)) : -1;
}

int main(void) {
    char *made = Loom_NewNetwork(784, 2, 1, 1, false);
    int64_t handle = handle_in(made);
    printf("made %s\n", made);
    Loom_FreeCString(made);
    char *version = Loom_GetVersion();
    printf("version %s\n", version);
    Loom_FreeCString(version);

    char *layer = Loom_InitDenseLayer(784, 392, 1);
    Loom_FreeCString(Loom_SetLayer(handle, 0, 0, 0, layer));
    Loom_FreeCString(layer);
    layer = Loom_InitDenseLayer(392, 10, 0);
    Loom_FreeCString(Loom_SetLayer(handle, 1, 0, 0, layer));
    Loom_FreeCString(layer);
    char *info = Loom_GetInfo(handle);
    printf("info %s\n", info);
    Loom_FreeCString(info);

    char input[8192] = "[[";
    for (int i = 0; i < 784; i++)
        sprintf(input + strlen(input), "%.1f%s", 0.0, i < 783 ? "," : "]]");
    for (int i = 0; i < 100; i++)
        Loom_FreeCString(Loom_Call(handle, "ForwardCPU", input));
    char *output = Loom_Call(handle, "ForwardCPU", input);
    printf("output %s\n", output);
    Loom_FreeCString(output);

    char *methods = Loom_ListMethods(handle);
    printf("methods %s\n", methods);
    Loom_FreeCString(methods);
    char *model = Loom_SaveModel(handle, "test_model");
    char *loaded = Loom_LoadModel(model, "test_model");
    printf("loaded %lld\n", (long long)handle_in(loaded));
    Loom_Free(handle_in(loaded));
    Loom_FreeCString(loaded);
    Loom_FreeCString(model);

    char *gpu = Loom_NewNetwork(784, 2, 1, 1, true);
    int64_t other = handle_in(gpu);
    printf("gpu %s\n", other < 0 ? "none" : gpu);
    Loom_FreeCString(gpu);
    if (other > 0)
        Loom_Free(other);
    Loom_Free(handle);
    printf("freed\n");
    return 0;
}
