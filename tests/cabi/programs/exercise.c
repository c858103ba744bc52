/* Every function, rightly and wrongly, some rounds over; frees all that it is given.
   Run under AddressSanitizer and valgrind.   exercise [ROUNDS] */

#include <loom.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

/* Look at a reply to its end, compare how it begins, free it. */
static void expect(char *reply, const char *start) {
    if (!reply || strlen(reply) == 0 || strncmp(reply, start, strlen(start)) != 0) {
        fprintf(stderr, "expected %s..., got %s\n", start, reply ? reply : "NULL");
        failures++;
    }
    Loom_FreeCString(reply);
}

static void expect_status(int status, int wanted) {
    if (status != wanted) {
        fprintf(stderr, "expected %d, got %d: %s\n", wanted, status, Loom_LastError());
        failures++;
    }
}

static int64_t make(int inputs) {
    char *reply = Loom_NewNetwork(inputs, 1, 1, 2, false);
    int64_t handle = atoll(strstr(reply, "\"handle\":") + 9);
    Loom_FreeCString(reply);
    return handle;
}

static void set(int64_t net, int layer, char *config) {
    expect(Loom_SetLayer(net, 0, 0, layer, config), "{\"status\":\"layer set\"}");
    Loom_FreeCString(config);
}

static void round_of_calls(void) {
    int64_t net = make(3);
    set(net, 0, Loom_InitDenseLayer(3, 4, LOOM_TANH));
    set(net, 1, Loom_InitDenseLayer(4, 2, LOOM_SIGMOID));
    expect(Loom_GetLayer(net, 0, 0, 0), "{\"Type\":0");
    expect(Loom_GetInfo(net), "{\"type\":\"Network\"");
    expect(Loom_ListMethods(net), "{\"methods\":[");
    expect(Loom_GetMethodSignature(net, "Train"), "{\"name\":\"Train\"");
    expect(Loom_GetVersion(), LOOM_VERSION);
    expect(Loom_Call(net, "ForwardCPU", "[[1, 2.5, -3e-1]]"), "[[0.");
    expect(Loom_Call(net, "BackwardCPU", "[[0.12345678901234567890, 1]]"), "[[");
    expect(Loom_Call(net, "TotalLayers", NULL), "[2]");
    expect(Loom_Call(0, "ListLayers", ""), "[[{\"code\":0");

    float x[6] = {1, 2, 3, 4, 5, 6}, y[4], dx[6], t[4] = {0, 1, 1, 0}, loss;
    size_t written;
    expect_status(Loom_ForwardF32(net, x, 6, y, 4, &written), LOOM_OK);
    expect_status(Loom_ForwardF32(net, x, 6, y, 3, &written), LOOM_TOO_SMALL);
    expect_status(Loom_ForwardF32(net, x, 5, y, 4, NULL), LOOM_ERROR);
    expect_status(Loom_ForwardF32(net, NULL, 6, y, 4, NULL), LOOM_ERROR);
    expect_status(Loom_ForwardF32(net, x, 6, NULL, 4, NULL), LOOM_ERROR);
    expect_status(Loom_BackwardF32(net, t, 4, dx, 6, &written), LOOM_OK);
    expect_status(Loom_BackwardF32(net, t, 3, dx, 6, &written), LOOM_ERROR);
    expect_status(Loom_TrainStepF32(net, x, 6, t, 4, NULL, &loss), LOOM_OK);
    expect_status(Loom_TrainStepF32(net, x, 6, t, 4, "{\"Optimizer\":\"adam\"}", NULL),
                  LOOM_OK);
    expect_status(Loom_TrainStepF32(net, x, 6, t, 4, "{\"Typo\":1}", NULL), LOOM_ERROR);
    expect_status(Loom_TrainStepF32(net, x, 6, NULL, 4, NULL, NULL), LOOM_ERROR);

    char *bundle = Loom_SaveModel(net, NULL), *loaded = Loom_LoadModel(bundle, NULL);
    int64_t again = atoll(strstr(loaded, "\"handle\":") + 9);
    Loom_FreeCString(loaded);
    expect_status(Loom_Free(again), LOOM_OK);
    bundle[strlen(bundle) / 2] = '!';
    expect(Loom_LoadModel(bundle, NULL), "{\"error\":\"bundle: ");
    Loom_FreeCString(bundle);

    const char *bad[] = {NULL, "", "[", "{", "[[", "[[1,", "[[1,2,3", "[[1,2,3]", "\xff",
                         "[[1,2,3]]]", "[[1e999,1,1]]", "[[NaN,1,1]]", "null", "[null]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect(Loom_Call(net, "ForwardCPU", bad[i]), "{\"error\":");
        expect(Loom_SetLayer(net, 0, 0, 0, bad[i]), "{\"error\":");
        expect(Loom_LoadModel(bad[i], bad[i]), "{\"error\":");
        expect(Loom_Call(net, bad[i], bad[i]), "{\"error\":");
        expect(Loom_GetMethodSignature(net, bad[i]), "{\"error\":");
    }
    expect(Loom_NewNetwork(-1, 1, 1, 1, false), "{\"error\":");
    expect(Loom_InitDenseLayer(0, 0, 77), "{\"error\":");
    expect(Loom_GetLayer(net, 9, 9, 9), "{\"error\":");
    expect_status(Loom_Free(net), LOOM_OK);
    expect_status(Loom_Free(net), LOOM_ERROR);
    expect(Loom_GetInfo(net), "{\"error\":\"handle ");
    expect(Loom_Call(-7, "ForwardCPU", "[]"), "{\"error\":\"handle -7");

    char *once = Loom_GetVersion(), mine[] = "mine";
    Loom_FreeCString(once);
    Loom_FreeCString(once);
    Loom_FreeCString(mine);
    Loom_FreeCString(NULL);
}

/* Many replies at a time, freed in another order: the table grows and closes gaps. */
static void many_replies(void) {
    enum { COUNT = 300 };
    char *replies[COUNT];
    for (int i = 0; i < COUNT; i++)
        replies[i] = Loom_GetVersion();
    for (int i = 0; i < COUNT; i++)
        expect(replies[i * 7 % COUNT], LOOM_VERSION);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    for (int i = 0; i < rounds; i++)
        round_of_calls();
    many_replies();
    printf("%d failures\n", failures);
    return failures != 0;
}
