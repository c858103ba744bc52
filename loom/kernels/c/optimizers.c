/* One step of SGD and of Adam over n values in one pass, as loom/training/optimizers.py. */
#include "optimizers.h"

#include "vector.h"

INLINE v4 of(double x) { return splat((float)x); }

INLINE v4 sgd4(v4 w, v4 g, v4 *m, SGD s) {
  g = fma4(of(s.decay), w, g);
  if (m) {
    *m = fma4(*m, of(s.momentum), g);
    g = s.nesterov ? fma4(*m, of(s.momentum), g) : *m;
  }
  return sub(w, mul(of(s.rate), g));
}

void sgd_step(float *w, const float *g, float *m, int n, SGD s) {
  int i = 0;
  v4 slot = splat(0);
  if (!m && s.decay == 0) {
    v4 rate = of(s.rate);
    for (; i + 4 <= n; i += 4) store(w + i, sub(load(w + i), mul(rate, load(g + i))));
  }
  for (; i + 4 <= n; i += 4) {
    if (m) slot = load(m + i);
    store(w + i, sgd4(load(w + i), load(g + i), m ? &slot : 0, s));
    if (m) store(m + i, slot);
  }
  if (i < n) {
    int rest = n - i;
    if (m) slot = load_part(m + i, rest);
    v4 value = sgd4(load_part(w + i, rest), load_part(g + i, rest), m ? &slot : 0, s);
    store_part(w + i, value, rest);
    if (m) store_part(m + i, slot, rest);
  }
}

INLINE v4 adam4(v4 w, v4 g, v4 *m, v4 *v, Adam a) {
  w = mul(w, of(a.shrink));
  g = fma4(of(a.decay), w, g);
  *m = fma4(sub(g, *m), of(1 - a.beta1), *m);
  *v = fma4(mul(g, g), of(1 - a.beta2), mul(*v, of(a.beta2)));
  v4 root = fma4(wasm_f32x4_sqrt(*v), of(1 / a.root), of(a.epsilon));
  return sub(w, mul(of(a.step_size), quotient(*m, root)));
}

void adam_step(float *w, const float *g, float *m, float *v, int n, Adam a) {
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    v4 first = load(m + i), second = load(v + i);
    store(w + i, adam4(load(w + i), load(g + i), &first, &second, a));
    store(m + i, first);
    store(v + i, second);
  }
  if (i < n) {
    int rest = n - i;
    v4 first = load_part(m + i, rest), second = load_part(v + i, rest);
    v4 value = adam4(load_part(w + i, rest), load_part(g + i, rest), &first, &second, a);
    store_part(w + i, value, rest);
    store_part(m + i, first, rest);
    store_part(v + i, second, rest);
  }
}

double square_sum(const float *g, int n) {
  v4 low = wasm_f64x2_splat(0), high = low;
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    v4 x = load(g + i);
    v4 a = wasm_f64x2_promote_low_f32x4(x);
    v4 b = wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
    low = wasm_f64x2_add(low, wasm_f64x2_mul(a, a));
    high = wasm_f64x2_add(high, wasm_f64x2_mul(b, b));
  }
  low = wasm_f64x2_add(low, high);
  double total = wasm_f64x2_extract_lane(low, 0) + wasm_f64x2_extract_lane(low, 1);
  for (; i < n; i++) total += (double)g[i] * g[i];
  return total;
}
