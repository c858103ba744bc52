/* Open the library at a path and call each function once:   start LIBRARY
   Prints `function reply` lines; ends well whether or not Loom starts. */

#include <loom.h>

#include <dlfcn.h>
#include <stdio.h>

static void *library;

static void say(const char *name, char *reply) {
    printf("%s %s\n", name, reply ? reply : "NULL");
    void (*release)(char *) = NULL;
    *(void **)&release = dlsym(library, "Loom_FreeCString");
    release(reply);
}

#define GET(name) \
    __typeof__(name) *name##_found = NULL; \
    *(void **)&name##_found = dlsym(library, #name)
#define SAY(name, ...) \
    do { \
        GET(name); \
        say(#name, name##_found(__VA_ARGS__)); \
    } while (0)
#define SAY_STATUS(name, ...) \
    do { \
        GET(name); \
        printf("%s %d\n", #name, name##_found(__VA_ARGS__)); \
    } while (0)

int main(int argc, char **argv) {
    float x[4] = {1, 2, 3, 4}, y[4], loss;
    size_t written;
    library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    SAY(Loom_NewNetwork, 4, 1, 1, 1, false);
    SAY(Loom_InitDenseLayer, 4, 4, LOOM_LINEAR);
    SAY(Loom_SetLayer, 1, 0, 0, 0, "{\"Type\":0,\"InputHeight\":4,\"OutputHeight\":4}");
    SAY(Loom_GetLayer, 1, 0, 0, 0);
    SAY(Loom_Call, 1, "ForwardCPU", "[[0.5, 1.5, 2.5, 3.5]]");
    SAY(Loom_ListMethods, 1);
    SAY(Loom_GetMethodSignature, 1, "ForwardCPU");
    SAY(Loom_GetInfo, 1);
    SAY(Loom_SaveModel, 1, NULL);
    SAY(Loom_LoadModel, "{}", NULL);
    SAY(Loom_EnableGPU, 1, false);
    SAY_STATUS(Loom_ForwardF32, 1, x, 4, y, 4, &written);
    SAY_STATUS(Loom_BackwardF32, 1, x, 4, y, 4, &written);
    SAY_STATUS(Loom_TrainStepF32, 1, x, 4, x, 4, NULL, &loss);
    SAY(Loom_GetVersion);
    SAY_STATUS(Loom_Free, 1);
    GET(Loom_LastError);
    printf("Loom_LastError %s\n", Loom_LastError_found());
    return 0;
}
