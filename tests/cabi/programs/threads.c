/* Eight threads: each on a network of its own, all on one, and on networks that another
   thread frees meanwhile. Every result must be the right one, or the error of a freed
   handle. The first call of all is raced for. */

#include <loom.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 300 };

static pthread_barrier_t barrier;
static int failures;
static int64_t shared, doomed[ROUNDS];

static void fail(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n", what, text);
    __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
}

/* One dense layer 2 -> 1, linear, whose weights are both `weight`. */
static int64_t make(float weight) {
    char *reply = Loom_NewNetwork(2, 1, 1, 1, false), config[200];
    const char *at = strstr(reply, "\"handle\":");
    int64_t handle = at ? atoll(at + 9) : -1;
    if (!at)
        fail("make", reply);
    Loom_FreeCString(reply);
    snprintf(config, sizeof config,
             "{\"Type\":0,\"InputHeight\":2,\"OutputHeight\":1,\"Activation\":%d,"
             "\"Kernel\":[%.1f,%.1f],\"Bias\":[0]}",
             LOOM_LINEAR, weight, weight);
    reply = Loom_SetLayer(handle, 0, 0, 0, config);
    if (strcmp(reply, "{\"status\":\"layer set\"}") != 0)
        fail("set", reply);
    Loom_FreeCString(reply);
    return handle;
}

static void check_both_ways(int64_t net, float weight, int i) {
    float x[2] = {(float)i, 1}, y = 0, wanted = weight * (float)(i + 1);
    if (Loom_ForwardF32(net, x, 2, &y, 1, NULL))
        fail("forward", Loom_LastError());
    else if (y != wanted)
        fail("forward", "another value");
    char text[64], start[64];
    snprintf(text, sizeof text, "[[%d, 1]]", i);
    snprintf(start, sizeof start, "[[%.1f],", wanted);
    char *reply = Loom_Call(net, "ForwardCPU", text);
    if (strncmp(reply, start, strlen(start)) != 0)
        fail(start, reply);
    Loom_FreeCString(reply);
}

static void *work(void *argument) {
    int number = (int)(intptr_t)argument;
    pthread_barrier_wait(&barrier);
    int64_t own = make((float)(number + 1));
    for (int i = 0; i < ROUNDS; i++) {
        check_both_ways(own, (float)(number + 1), i);
        check_both_ways(shared, 3, i);

        float x[2] = {1, 1}, y = 0;
        if (number == 0 && Loom_Free(doomed[i]))
            fail("free", Loom_LastError());
        else if (number && Loom_ForwardF32(doomed[i], x, 2, &y, 1, NULL) == 0 && y != 10)
            fail("doomed", "another value");
        else if (number && y == 0 && !strstr(Loom_LastError(), "no network has it"))
            fail("doomed", Loom_LastError());
    }
    if (Loom_Free(own))
        fail("free", Loom_LastError());
    return NULL;
}

static void *first_call(void *argument) {
    (void)argument;
    pthread_barrier_wait(&barrier);
    char *version = Loom_GetVersion();
    if (strcmp(version, LOOM_VERSION) != 0)
        fail("first call", version);
    Loom_FreeCString(version);
    return NULL;
}

static void together(void *(*function)(void *)) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, function, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

int main(void) {
    together(first_call);
    shared = make(3);
    for (int i = 0; i < ROUNDS; i++)
        doomed[i] = make(5);
    together(work);
    printf("%d failures\n", failures);
    return failures != 0;
}
