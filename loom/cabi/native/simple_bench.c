/* Time the C ABI as a program sees it:  simple_bench [LIBRARY] [CALLS]

   The library is opened at run time (libloom beside this program unless named), so that
   the same program times another library with these functions. An MLP 784-392-10, batch
   1: ForwardCPU through JSON, passes and steps over float arrays, and the same on the GPU
   where there is one. Prints lines of `name value`: median microseconds unless the name
   says otherwise. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#define SUFFIX ".dll"
#elif defined __APPLE__
#define SUFFIX ".dylib"
#else
#define SUFFIX ".so"
#endif
#ifndef _WIN32
#include <dlfcn.h>
#include <time.h>
#endif

enum { INPUTS = 784, HIDDEN = 392, OUTPUTS = 10, WARM_UP = 10 };

typedef char *(*new_network)(int, int, int, int, bool);
typedef char *(*init_dense)(int, int, int);
typedef char *(*set_layer)(int64_t, int, int, int, const char *);
typedef char *(*call_method)(int64_t, const char *, const char *);
typedef int (*pass)(int64_t, const float *, size_t, float *, size_t, size_t *);
typedef int (*train)(int64_t, const float *, size_t, const float *, size_t, const char *,
                     float *);
typedef const char *(*error_text)(void);
typedef void (*free_text)(char *);

static void *library;
static free_text release;
static call_method call;

static void *symbol(const char *name) {
#ifdef _WIN32
    return (void *)GetProcAddress((HMODULE)library, name);
#else
    return dlsym(library, name);
#endif
}

static bool open_library(const char *path) {
#ifdef _WIN32
    library = (void *)LoadLibraryA(path);
#else
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
#endif
    return library != NULL;
}

static double microseconds(void) {
#ifdef _WIN32
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    return (double)ticks.QuadPart * 1e6 / (double)frequency.QuadPart;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
#endif
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, int count) {
    qsort(times, (size_t)count, sizeof *times, ascending);
    return times[count / 2];
}

/* A reply that must not be an error; the program ends if it is. */
static char *checked(char *reply, const char *what) {
    if (!reply || !*reply || strncmp(reply, "{\"error\"", 8) == 0) {
        fprintf(stderr, "%s: %s\n", what, reply ? reply : "NULL");
        exit(1);
    }
    return reply;
}

static int64_t make_network(bool gpu) {
    char *reply = ((new_network)symbol("Loom_NewNetwork"))(INPUTS, 2, 1, 1, gpu);
    if (gpu && (strstr(reply, "\"error\"") || !strstr(reply, "\"gpu\":true"))) {
        release(reply);
        return 0;
    }
    int64_t handle = atoll(strstr(checked(reply, "Loom_NewNetwork"), "\"handle\":") + 9);
    release(reply);
    const int sizes[] = {INPUTS, HIDDEN, OUTPUTS};
    for (int i = 0; i < 2; i++) {
        char *config = ((init_dense)symbol("Loom_InitDenseLayer"))(
            sizes[i], sizes[i + 1], 1 - i);
        set_layer set = (set_layer)symbol("Loom_SetLayer");
        release(checked(set(handle, i, 0, 0, checked(config, "config")), "SetLayer"));
        release(config);
    }
    return handle;
}

/* The input as text, `[[0.123456, ...]]`. */
static char *input_text(const float *x) {
    char *text = malloc(INPUTS * 16 + 8), *end = text;
    end += sprintf(end, "[[");
    for (int i = 0; i < INPUTS; i++)
        end += sprintf(end, "%s%.6f", i ? "," : "", x[i]);
    sprintf(end, "]]");
    return text;
}

static double time_json(int64_t handle, const char *method, const char *text,
                        double *times, int count) {
    for (int i = -WARM_UP; i < count; i++) {
        double start = microseconds();
        char *reply = call(handle, method, text);
        if (i >= 0)
            times[i] = microseconds() - start;
        release(checked(reply, method));
    }
    return median(times, count);
}

static void check_status(int status) {
    if (status) {
        fprintf(stderr, "%s\n", ((error_text)symbol("Loom_LastError"))());
        exit(1);
    }
}

static void time_arrays(int64_t handle, const float *x, double *times, int count,
                        const char *where) {
    float y[OUTPUTS], dx[INPUTS], target[OUTPUTS] = {1}, loss;
    size_t written;
    const char *names[] = {"Loom_ForwardF32", "Loom_BackwardF32"};
    for (int which = 0; which < 2; which++) {
        pass run = (pass)symbol(names[which]);
        for (int i = -WARM_UP; i < count; i++) {
            double start = microseconds();
            int status = which ? run(handle, y, OUTPUTS, dx, INPUTS, &written)
                               : run(handle, x, INPUTS, y, OUTPUTS, &written);
            if (i >= 0)
                times[i] = microseconds() - start;
            check_status(status);
        }
        printf("%s%s_f32 %.2f\n", which ? "backward" : "forward", where,
               median(times, count));
    }
    train step = (train)symbol("Loom_TrainStepF32");
    for (int i = -WARM_UP; i < count; i++) {
        double start = microseconds();
        int status = step(handle, x, INPUTS, target, OUTPUTS, NULL, &loss);
        if (i >= 0)
            times[i] = microseconds() - start;
        check_status(status);
    }
    printf("train_step%s_f32 %.2f\n", where, median(times, count));
}

int main(int argc, char **argv) {
    char beside[4096];
    const char *slash = strrchr(argv[0], '/');
    int folder = slash ? (int)(slash - argv[0]) : 1;
    snprintf(beside, sizeof beside, "%.*s/libloom" SUFFIX, folder, slash ? argv[0] : ".");
    int count = argc > 2 ? atoi(argv[2]) : 1000;
    double *times = malloc(sizeof *times * (size_t)(count > 0 ? count : 1));
    if (count < 1 || !times || !open_library(argc > 1 ? argv[1] : beside)) {
        fprintf(stderr, "usage: simple_bench [LIBRARY] [CALLS]\n");
        return 1;
    }
    release = (free_text)symbol("Loom_FreeCString");
    call = (call_method)symbol("Loom_Call");

    double start = microseconds();
    int64_t handle = make_network(false);
    printf("first_network_ms %.1f\n", (microseconds() - start) / 1e3);

    float x[INPUTS];
    for (int i = 0; i < INPUTS; i++)
        x[i] = (float)((i * 37) % 256) / 255;
    char *text = input_text(x);
    printf("forward_cpu_json %.2f\n", time_json(handle, "ForwardCPU", text, times, count));
    if (symbol("Loom_ForwardF32"))
        time_arrays(handle, x, times, count, "");
    int64_t gpu = symbol("Loom_ForwardF32") ? make_network(true) : 0;
    if (gpu) {
        count = count < 100 ? count : 100; /* a software GPU is slow */
        printf("forward_gpu_json %.2f\n",
               time_json(gpu, "ForwardGPU", text, times, count));
        time_arrays(gpu, x, times, count, "_gpu");
    }
    free(text);
    free(times);
    return 0;
}
