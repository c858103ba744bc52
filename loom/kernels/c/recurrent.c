/* The steps through time of RNN, LSTM and GRU. One product a step with the weights packed
 * once, then the gates in one pass over the step's (H, B) blocks. Formulas and layouts:
 * loom/layers/lstm.py,
 * gru.py and rnn.py. */
#include "recurrent.h"

#include "elementwise.h"
#include "functions.h"
#include "gemm.h"
#include "python.h"

/* One product a step: packed weights unless a step has too few columns. */
typedef struct {
  int m, k, n;
  Matrix a;
  float *packed;
} Step;

static int begin(Step *s, int m, int k, int n, Matrix a) {
  *s = (Step){m, k, n, a, 0};
  if (n < 4) return 1;
  s->packed = malloc(sizeof(float) * (unsigned long)packed_rows(m, k));
  if (!s->packed) return 0;
  pack_rows(m, k, a, s->packed);
  return 1;
}

static int multiply(const Step *s, const float *b, float *out) {
  Finish none = {0, LINEAR};
  if (!s->packed)
    return gemm(s->m, s->n, s->k, s->a, (Matrix){b, s->n, 1}, out, s->n, 0, none);
  gemm_packed(s->m, s->n, s->k, s->packed, b, s->n, out, s->n);
  return 1;
}

static void end(Step *s) { free(s->packed); }

/* The statements for four values at a time; the last ones through zero-padded copies. */
#define GATES(n, ...) \
  for (int at = 0; at < (n); at += 4) { \
    int part = (n) - at < 4 ? (n) - at : 4; \
    __VA_ARGS__ \
  }
#define GET(p) (part == 4 ? load((p) + at) : load_part((p) + at, part))
#define PUT(p, value) \
  (part == 4 ? store((p) + at, value) : store_part((p) + at, value, part))

int lstm_forward(Extent e, const float *w, float *columns, float *gates, float *cells,
                 float *squashed) {
  int n = e.hidden * e.batch;
  Step step;
  if (!begin(&step, 4 * e.hidden, e.rows, e.batch, (Matrix){w, e.rows, 1})) return 0;
  int done = 1;
  for (int t = 0; t < e.steps && done; t++) {
    float *v = gates + t * 4 * n, *old = cells + t * n, *now = old + n;
    float *next = columns + (t + 1) * e.rows * e.batch, *tanh_c = squashed + t * n;
    done = multiply(&step, columns + t * e.rows * e.batch, v);
    GATES(n, {
      v4 o = sigmoid4(GET(v)), i = sigmoid4(GET(v + n));
      v4 f = sigmoid4(GET(v + 2 * n)), g = tanh4(GET(v + 3 * n));
      v4 c = fma4(f, GET(old), mul(i, g));
      v4 s = tanh4(c);
      PUT(v, o);
      PUT(v + n, i);
      PUT(v + 2 * n, f);
      PUT(v + 3 * n, g);
      PUT(now, c);
      PUT(tanh_c, s);
      PUT(next, mul(o, s));
    })
  }
  end(&step);
  return done;
}

/* (rows, B) -> its place in (rows, T, B). */
static void spread(const float *d, int rows, Extent e, int t, float *dv) {
  for (int r = 0; r < rows; r++)
    for (int b = 0; b < e.batch; b++)
      dv[(r * e.steps + t) * e.batch + b] = d[r * e.batch + b];
}

int lstm_backward(Extent e, const float *w, const float *gates, const float *cells,
                  const float *squashed, const float *dy, float *dv) {
  int n = e.hidden * e.batch;
  float *d = malloc(sizeof(float) * (unsigned long)n * 6);
  if (!d) return 0;
  float *dh = d + 4 * n, *dc = dh + n;
  Step step;
  if (!begin(&step, e.hidden, 4 * e.hidden, e.batch, (Matrix){w, 1, e.rows})) {
    free(d);
    return 0;
  }
  for (int i = 0; i < 2 * n; i++) dh[i] = 0;
  int done = 1;
  for (int t = e.steps - 1; t >= 0 && done; t--) {
    const float *v = gates + t * 4 * n, *old = cells + t * n;
    const float *tanh_c = squashed + t * n, *given = dy + t * n;
    v4 one = splat(1);
    GATES(n, {
      v4 o = GET(v), i = GET(v + n), f = GET(v + 2 * n), g = GET(v + 3 * n);
      v4 s = GET(tanh_c), h = add(GET(dh), GET(given));
      v4 slope = mul(sub(one, s), add(one, s));
      v4 c = fma4(mul(slope, o), h, GET(dc));
      PUT(d, mul(mul(mul(o, sub(one, o)), s), h));
      PUT(d + n, mul(mul(mul(i, sub(one, i)), g), c));
      PUT(d + 2 * n, mul(mul(mul(f, sub(one, f)), GET(old)), c));
      PUT(d + 3 * n, mul(mul(mul(sub(one, g), add(one, g)), i), c));
      PUT(dc, mul(c, f));
    })
    spread(d, 4 * e.hidden, e, t, dv);
    done = multiply(&step, d, dh);
  }
  end(&step);
  free(d);
  return done;
}

int gru_forward(Extent e, const float *w, float *columns, float *gates) {
  int n = e.hidden * e.batch, size = e.rows * e.batch;
  Step step;
  if (!begin(&step, 4 * e.hidden, e.rows, e.batch, (Matrix){w, e.rows, 1})) return 0;
  int done = 1;
  for (int t = 0; t < e.steps && done; t++) {
    float *v = gates + t * 4 * n, *old = columns + t * size, *next = old + size;
    done = multiply(&step, old, v);
    GATES(n, {
      v4 r = sigmoid4(GET(v)), z = sigmoid4(GET(v + n));
      v4 g = tanh4(fma4(r, GET(v + 2 * n), GET(v + 3 * n)));
      PUT(v, r);
      PUT(v + n, z);
      PUT(v + 3 * n, g);
      PUT(next, fma4(z, sub(GET(old), g), g));
    })
  }
  end(&step);
  return done;
}

int gru_backward(Extent e, const float *w, const float *columns, const float *gates,
                 const float *dy, float *dv) {
  int n = e.hidden * e.batch;
  float *d = malloc(sizeof(float) * (unsigned long)n * 6);
  if (!d) return 0;
  float *dh = d + 4 * n, *carried = dh + n;
  Step step;
  if (!begin(&step, e.hidden, 3 * e.hidden, e.batch, (Matrix){w, 1, e.rows})) {
    free(d);
    return 0;
  }
  for (int i = 0; i < 2 * n; i++) dh[i] = 0;
  int done = 1;
  for (int t = e.steps - 1; t >= 0 && done; t--) {
    const float *v = gates + t * 4 * n, *given = dy + t * n;
    const float *old = columns + t * e.rows * e.batch;
    v4 one = splat(1);
    GATES(n, {
      v4 r = GET(v), z = GET(v + n), g = GET(v + 3 * n);
      v4 h = add(add(GET(dh), GET(carried)), GET(given));
      v4 dn = mul(mul(sub(one, g), add(one, g)), mul(h, sub(one, z)));
      PUT(d, mul(mul(mul(r, sub(one, r)), GET(v + 2 * n)), dn));
      PUT(d + n, mul(mul(mul(z, sub(one, z)), sub(GET(old), g)), h));
      PUT(d + 2 * n, mul(dn, r));
      PUT(d + 3 * n, dn);
      PUT(carried, mul(h, z));
    })
    spread(d, 4 * e.hidden, e, t, dv);
    done = multiply(&step, d, dh);
  }
  end(&step);
  free(d);
  return done;
}

int rnn_forward(Extent e, const float *w, float *columns) {
  Step step;
  if (!begin(&step, e.hidden, e.rows, e.batch, (Matrix){w, e.rows, 1})) return 0;
  int done = 1, size = e.rows * e.batch;
  for (int t = 0; t < e.steps && done; t++) {
    float *state = columns + (t + 1) * size;
    done = multiply(&step, columns + t * size, state);
    activate(TANH, state, 0, state, e.hidden * e.batch);
  }
  end(&step);
  return done;
}

int rnn_backward(Extent e, Matrix w, const float *columns, const float *dy, float *dv) {
  int n = e.hidden * e.batch;
  float *d = malloc(sizeof(float) * (unsigned long)n * 2), *dh = d + n;
  if (!d) return 0;
  Step step;
  if (!begin(&step, e.hidden, e.hidden, e.batch, w)) {
    free(d);
    return 0;
  }
  for (int i = 0; i < n; i++) dh[i] = 0;
  int done = 1;
  for (int t = e.steps - 1; t >= 0 && done; t--) {
    const float *state = columns + (t + 1) * e.rows * e.batch, *given = dy + t * n;
    GATES(n, {
      v4 s = GET(state);
      v4 slope = mul(sub(splat(1), s), add(splat(1), s));
      PUT(d, mul(slope, add(GET(dh), GET(given))));
    })
    spread(d, e.hidden, e, t, dv);
    done = multiply(&step, d, dh);
  }
  end(&step);
  free(d);
  return done;
}
