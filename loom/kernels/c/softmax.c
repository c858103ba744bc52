/* y = exp(x - max x) / sum, and dx = y (dy - sum dy y), over rows of n > 0 values. */
#include "softmax.h"

#include "functions.h"

float exp_row(const float *x, float *y, int n) {
  int i = 0;
  v4 greatest = splat(x[0]);
  for (; i + 4 <= n; i += 4) greatest = wasm_f32x4_pmax(greatest, load(x + i));
  float top = max4(greatest);
  for (; i < n; i++) top = x[i] > top ? x[i] : top;
  v4 shift = splat(top), sum = splat(0);
  for (i = 0; i + 4 <= n; i += 4) {
    v4 e = exp_negative(sub(load(x + i), shift));
    store(y + i, e);
    sum = add(sum, e);
  }
  float total = sum4(sum);
  if (i < n) {
    store_part(y + i, exp_negative(sub(load_part(x + i, n - i), shift)), n - i);
    for (int j = i; j < n; j++) total += y[j];
  }
  return total;
}

void softmax_row(const float *x, float *y, int n) {
  float scale = 1 / exp_row(x, y, n);
  int i = 0;
  for (; i + 4 <= n; i += 4) store(y + i, mul(load(y + i), splat(scale)));
  for (; i < n; i++) y[i] *= scale;
}

void softmax_row_backward(const float *dy, const float *y, float *dx, int n) {
  int i = 0;
  v4 sum = splat(0);
  for (; i + 4 <= n; i += 4) sum = fma4(load(dy + i), load(y + i), sum);
  float total = sum4(sum);
  for (; i < n; i++) total += dy[i] * y[i];
  v4 mean = splat(total);
  for (i = 0; i + 4 <= n; i += 4)
    store(dx + i, mul(sub(load(dy + i), mean), load(y + i)));
  for (; i < n; i++) dx[i] = (dy[i] - total) * y[i];
}
