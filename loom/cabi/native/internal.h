/* What the C files of libloom share; loom.h is the public part. */
#ifndef LOOM_INTERNAL_H
#define LOOM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#include <windows.h>
typedef SRWLOCK loom_mutex;
#define LOOM_MUTEX SRWLOCK_INIT
#define loom_lock(mutex) AcquireSRWLockExclusive(mutex)
#define loom_unlock(mutex) ReleaseSRWLockExclusive(mutex)
#define LOOM_THREAD_LOCAL __declspec(thread)
#else
#include <pthread.h>
typedef pthread_mutex_t loom_mutex;
#define LOOM_MUTEX PTHREAD_MUTEX_INITIALIZER
#define loom_lock(mutex) pthread_mutex_lock(mutex)
#define loom_unlock(mutex) pthread_mutex_unlock(mutex)
#define LOOM_THREAD_LOCAL __thread
#endif

/* A value on its way to Python; `kind` is i (int), b (bool), d (double), s (text)
   or j (JSON text). A text may be NULL. */
typedef struct loom_value {
    char kind;
    int64_t whole;
    double real;
    const char *text;
} loom_value;

#define LOOM_INT(x) {'i', (x), 0, NULL}
#define LOOM_BOOL(x) {'b', (x), 0, NULL}
#define LOOM_REAL(x) {'d', 0, (x), NULL}
#define LOOM_TEXT(x) {'s', 0, 0, (x)}
#define LOOM_JSON(x) {'j', 0, 0, (x)}
#define LOOM_COUNT(values) ((int)(sizeof(values) / sizeof *(values)))

/* start.c: the interpreter. NULL when it runs, else why it does not. */
const char *loom_start(void);

/* text.c: replies and the thread's last error. */
char *loom_text(const char *data, size_t size);
char *loom_error_reply(const char *message);
void loom_set_error(const char *message);

/* numbers.c */
bool loom_finite(const float *values, size_t n);
long loom_numbers(const char *text, double *out, size_t capacity);

/* api.c: any text function, by its name. */
char *loom_ask(const char *function, const loom_value *values, int count);

/* The Python side (bridge.py, functions.py), through cffi. Each returns at once with an error when
   the interpreter could not be started; call loom_start first for the reason. */
extern char *loom_python_text(const char *function, const loom_value *values, int count);
extern int loom_python_free(int64_t handle);
extern int loom_python_pass(bool backward, int64_t handle, const float *in, size_t n,
                            float *out, size_t capacity, size_t *written);
extern int loom_python_train(int64_t handle, const float *x, size_t n,
                             const float *targets, size_t m, const char *settings,
                             float *loss);

#endif
