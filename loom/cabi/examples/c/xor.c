/* Learn XOR, save the network, load it again.

   cc xor.c -I DIR -L DIR -lloom -Wl,-rpath,DIR -o xor     (DIR: compiled/<platform>) */

#include <loom.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The reply, unless it is an error: then the program ends. */
static char *good(char *reply) {
    if (strncmp(reply, "{\"error\"", 8) == 0) {
        fprintf(stderr, "%s\n", reply);
        exit(1);
    }
    return reply;
}

static void check(int status) {
    if (status != LOOM_OK) {
        fprintf(stderr, "%s\n", Loom_LastError());
        exit(1);
    }
}

static int64_t handle_of(char *reply) {
    int64_t handle = atoll(strstr(good(reply), "\"handle\":") + 9);
    Loom_FreeCString(reply);
    return handle;
}

static void set_layer(int64_t net, int layer, char *config) {
    Loom_FreeCString(good(Loom_SetLayer(net, 0, 0, layer, good(config))));
    Loom_FreeCString(config);
}

int main(void) {
    const float x[] = {0, 0, 0, 1, 1, 0, 1, 1}, target[] = {0, 1, 1, 0};
    const char *settings = "{\"Optimizer\": \"adam\", \"LearningRate\": 0.05}";

    /* Handle 0: a function that needs no network. The last number is the seed. */
    int64_t net = handle_of(Loom_Call(0, "NewNetwork", "[2, 1, 1, 2, 7]"));
    set_layer(net, 0, Loom_InitDenseLayer(2, 8, LOOM_TANH));
    set_layer(net, 1, Loom_InitDenseLayer(8, 1, LOOM_SIGMOID));

    float loss;
    for (int step = 0; step < 300; step++)
        check(Loom_TrainStepF32(net, x, 8, target, 4, settings, &loss));
    printf("loss %.3f\n", loss);

    char *bundle = good(Loom_SaveModel(net, "xor"));
    int64_t again = handle_of(Loom_LoadModel(bundle, "xor"));
    Loom_FreeCString(bundle);

    float y[4];
    size_t written;
    check(Loom_ForwardF32(again, x, 8, y, 4, &written));
    for (size_t i = 0; i < written; i++)
        printf("%.0f xor %.0f = %.0f\n", x[2 * i], x[2 * i + 1], y[i]);

    check(Loom_Free(net));
    check(Loom_Free(again));
    return 0;
}
