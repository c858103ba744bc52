/* Layer norm and RMS norm, a row at a time: loom/layers/layer_norm.py and rms_norm.py. */
#include "norm.h"

#include "vector.h"

/* The sum of f over at = 0, 4, ... and the rest one by one through zero-padded loads. */
#define EACH4(n, ...) \
  for (int at = 0; at < (n); at += 4) { \
    int part = (n) - at < 4 ? (n) - at : 4; \
    __VA_ARGS__ \
  }
#define GET(p) (part == 4 ? load((p) + at) : load_part((p) + at, part))
#define PUT(p, value) \
  (part == 4 ? store((p) + at, value) : store_part((p) + at, value, part))

void norm_row(const float *x, const float *w, const float *b, float epsilon, int plain,
              float *rows, float *scale, float *y, int n) {
  v4 mean = splat(0), squares = splat(0);
  if (!plain) {
    v4 sum = splat(0);
    EACH4(n, sum = add(sum, GET(x));)
    mean = splat(sum4(sum) / n);
  }
  /* The padding of the last four would count as -mean: it is put out of the sum. */
  EACH4(n, {
    v4 d = sub(GET(x), mean);
    PUT(rows, d);
    d = GET(rows);
    squares = fma4(d, d, squares);
  })
  float root = sum4(squares) / n + epsilon;
  *scale = 1 / __builtin_sqrtf(root);
  v4 s = splat(*scale);
  EACH4(n, {
    v4 r = mul(GET(rows), s);
    PUT(rows, r);
    r = mul(r, GET(w));
    if (b) r = add(r, GET(b));
    PUT(y, r);
  })
}

void norm_row_backward(const float *dy, const float *rows, float scale, const float *w,
                       int plain, float *dx, float *dw, float *db, int n) {
  v4 sum = splat(0), along = splat(0);
  EACH4(n, {
    v4 d = GET(dy), r = GET(rows), g = mul(d, GET(w));
    PUT(dw, fma4(d, r, GET(dw)));
    if (db) PUT(db, add(d, GET(db)));
    sum = add(sum, g);
    along = fma4(g, r, along);
  })
  if (!dx) return;
  v4 mean = splat(plain ? 0 : sum4(sum) / n), slope = splat(sum4(along) / n);
  v4 s = splat(scale);
  EACH4(n, {
    v4 g = sub(mul(GET(dy), GET(w)), mean);
    PUT(dx, mul(sub(g, mul(GET(rows), slope)), s));
  })
}
