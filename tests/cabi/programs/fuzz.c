/* Random and mutated arguments to every function; a reply must be JSON's beginning, and
   never NULL or empty.   fuzz SEED CALLS */

#include <loom.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint32_t next(void) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)(state * 0x2545F4914F6CDD1Du >> 32);
}

static const char *const seeds[] = {
    "[[1,2,3]]",
    "[[0.5,-1e5,3.25]]",
    "[0,0,0,{\"Type\":0,\"InputHeight\":3,\"OutputHeight\":4,\"Activation\":1}]",
    "{\"Type\":0,\"InputHeight\":3,\"OutputHeight\":4,\"Activation\":1,\"Bias\":[1,2,3,4]}",
    "[[{\"Input\":[1,2,3],\"Target\":[1,2,3,4]}],{\"Epochs\":1,\"LearningRate\":0.1}]",
    "[[[1,2,3]],[[1,2,3,4]]]",
    "{\"Optimizer\":\"adam\",\"LearningRate\":0.1}",
    "{\"type\":\"modelhost/bundle\",\"version\":1,\"models\":[{\"id\":\"m\",\"cfg\":{}}]}",
    "[\"ForwardCPU\"]",
    "[0.01]",
    "[]",
    "null",
};
static const char *const methods[] = {
    "ForwardCPU",     "BackwardCPU",   "SetLayer",        "GetLayer",
    "Train",          "UpdateWeights", "EvaluateNetwork", "GetMethodSignature",
    "KernelGradients", "SetBatchSize", "SerializeModel",  "HasMethod",
    "Parameters",     "Summary",       "GetActivation",   "OutputSize",
};

/* A seed with some bytes changed, cut or doubled; or noise; or NULL. */
static const char *text(char *buffer, size_t size) {
    uint32_t choice = next() % 16;
    if (choice == 0)
        return NULL;
    if (choice == 1) {
        size_t length = next() % (size - 1);
        for (size_t i = 0; i < length; i++)
            buffer[i] = (char)(1 + next() % 255);
        buffer[length] = 0;
        return buffer;
    }
    if (choice == 2) {
        memset(buffer, "[{\"9"[next() % 4], size - 1);
        buffer[size - 1] = 0;
        return buffer;
    }
    snprintf(buffer, size, "%s", seeds[next() % (sizeof seeds / sizeof *seeds)]);
    for (uint32_t changes = next() % 4; changes; changes--) {
        size_t length = strlen(buffer), at = length ? next() % length : 0;
        const char *bits[] = {"1e999", "-", "[[",    "]",  "\"", "{}", "null", "NaN",
                              "2147483648", "0.1", "\\ud800", ",", "\x80", "true"};
        const char *bit = bits[next() % (sizeof bits / sizeof *bits)];
        if (next() % 2 && length + strlen(bit) + 1 < size) {
            memmove(buffer + at + strlen(bit), buffer + at, length - at + 1);
            memcpy(buffer + at, bit, strlen(bit));
        } else if (length) {
            buffer[at] = (char)(1 + next() % 255);
        }
    }
    return buffer;
}

static void check(char *reply) {
    if (!reply || !strchr("[{", *reply) || !strchr("]}", reply[strlen(reply) - 1]) ||
        strlen(reply) < 2) {
        fprintf(stderr, "a reply that is not JSON: %s\n", reply ? reply : "NULL");
        exit(1);
    }
    Loom_FreeCString(reply);
}

static int small(void) {
    static const int edges[] = {0, -1, 1, 2, 3, 4, 2147483647, -2147483647 - 1, 65536};
    return edges[next() % (sizeof edges / sizeof *edges)];
}

static int64_t net_of(int64_t net) {
    static const int64_t foreign[] = {0, -1, 1 << 30, INT64_MAX, INT64_MIN};
    return next() % 4 ? net : foreign[next() % 5];
}

static int64_t make(void) {
    char *reply = Loom_NewNetwork(3, 1, 1, 1, false);
    int64_t handle = atoll(strstr(reply, "\"handle\":") + 9);
    Loom_FreeCString(reply);
    return handle;
}

int main(int argc, char **argv) {
    state = 0x9E3779B97F4A7C15u + (argc > 1 ? strtoull(argv[1], NULL, 10) : 1);
    long calls = argc > 2 ? atol(argv[2]) : 1000;
    int64_t net = make();
    char a[20001], b[20001];
    float x[12] = {0}, y[12];
    size_t written;
    for (long i = 0; i < calls; i++) {
        if (i % 50 == 49) { /* training and layers by chance change it */
            Loom_Free(net);
            net = make();
        }
        int64_t handle = net_of(net);
        switch (next() % 12) {
        case 0:
            check(Loom_NewNetwork(small(), small() % 100, small() % 100, small() % 100,
                                  next() % 64 == 0));
            break;
        case 1: check(Loom_InitDenseLayer(small(), small(), small())); break;
        case 2: check(Loom_SetLayer(handle, small(), small(), 0, text(a, sizeof a))); break;
        case 3: check(Loom_SetLayer(net, 0, 0, 0, text(a, sizeof a))); break;
        case 4: check(Loom_GetLayer(handle, small(), small(), small())); break;
        case 5: check(Loom_LoadModel(text(a, sizeof a), text(b, sizeof b))); break;
        case 6: check(Loom_GetMethodSignature(handle, text(a, sizeof a))); break;
        case 7: check(Loom_Call(handle, text(a, sizeof a), text(b, sizeof b))); break;
        case 8:
            for (int k = 0; k < 12; k++) {
                uint32_t bits = next();
                memcpy(&x[k], &bits, sizeof bits);
            }
            Loom_ForwardF32(handle, x, next() % 13, y, next() % 13, &written);
            Loom_BackwardF32(handle, x, next() % 13, y, next() % 13, &written);
            break;
        case 9:
            Loom_TrainStepF32(handle, x, next() % 13, y, next() % 13, text(a, sizeof a),
                              NULL);
            break;
        default:
            check(Loom_Call(net, methods[next() % (sizeof methods / sizeof *methods)],
                            text(a, sizeof a)));
        }
    }
    char *still = Loom_Call(make(), "ForwardCPU", "[[1,2,3]]");
    printf("%s\n", still);
    Loom_FreeCString(still);
    return 0;
}
