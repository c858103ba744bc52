/* 120,000 calls of six sorts; prints how many KiB the process grew after a warm-up. */

#include <loom.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long resident(void) {
    long pages = 0, resident_pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident_pages) != 2)
        exit(2);
    fclose(file);
    return resident_pages * 4;
}

static void calls(int64_t net, int count) {
    float x[6] = {1, 2, 3, 4, 5, 6}, y[4], t[4] = {0, 1, 1, 0};
    for (int i = 0; i < count; i++) {
        Loom_FreeCString(Loom_Call(net, "ForwardCPU", "[[1, 2, 3]]"));
        Loom_FreeCString(Loom_Call(net, "NoSuchMethod", "[[1, 2, 3]]"));
        if (Loom_ForwardF32(net, x, 6, y, 4, NULL) ||
            Loom_BackwardF32(net, t, 4, x, 6, NULL) ||
            Loom_TrainStepF32(net, x, 6, t, 4, NULL, NULL) || !Loom_Free(-1)) {
            fprintf(stderr, "%s\n", Loom_LastError());
            exit(1);
        }
        if (i % 10 == 0) {
            char *made = Loom_Call(0, "NewNetwork", "[3, 1, 1, 1]");
            Loom_Free(atoll(strstr(made, "\"handle\":") + 9));
            Loom_FreeCString(made);
        }
    }
}

int main(void) {
    char *made = Loom_NewNetwork(3, 1, 1, 1, false);
    int64_t net = atoll(strstr(made, "\"handle\":") + 9);
    Loom_FreeCString(made);
    char *layer = Loom_InitDenseLayer(3, 2, LOOM_SIGMOID);
    Loom_FreeCString(Loom_SetLayer(net, 0, 0, 0, layer));
    Loom_FreeCString(layer);
    calls(net, 2000);
    long before = resident();
    calls(net, 20000);
    printf("%ld\n", resident() - before);
    return 0;
}
