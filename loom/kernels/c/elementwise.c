/* The activations and their derivatives over contiguous values, formulas as in
 * loom/activations.py. */
#include "elementwise.h"

#include "functions.h"

#define GELU_SCALE 0.7978845608028654f /* sqrt(2 / pi) */
#define GELU_CUBIC 0.044715f

INLINE v4 positive(v4 y) {
  return wasm_v128_and(wasm_f32x4_gt(y, splat(0)), splat(1));
}

/* Twice the argument of gelu's tanh: (1 + tanh(u)) / 2 = sigmoid(2 u), which keeps the
 * digits that 1 + tanh(u) would cancel. */
INLINE v4 gelu_argument(v4 v) {
  v4 t = fma4(mul(v, v), splat(GELU_CUBIC), splat(1));
  return mul(mul(t, v), splat(2 * GELU_SCALE));
}

/* v / (1 + exp(-v)). exp(v) of a large negative v is applied as two factors, exp(v / 2)
 * each: it is subnormal where the product is not. */
INLINE v4 silu4(v4 v) {
  v4 t = exp_negative(mul(wasm_f32x4_abs(v), splat(-0.5f)));
  v4 s = select(wasm_f32x4_lt(v, splat(0)), t, splat(1));
  return quotient(mul(mul(v, s), s), fma4(t, t, splat(1)));
}

INLINE v4 forward4(int code, v4 v) {
  switch (code) {
    case SCALED_RELU: return mul(wasm_f32x4_pmax(v, splat(0)), splat(1.1f));
    case SIGMOID: return sigmoid4(v);
    case TANH: return tanh4(v);
    case SOFTPLUS: return softplus4(v);
    case LEAKY_RELU:
      return select(wasm_f32x4_gt(v, splat(0)), v, mul(v, splat(0.1f)));
    case RELU: return wasm_f32x4_pmax(v, splat(0));
    case GELU: return mul(v, sigmoid4(gelu_argument(v)));
    case SILU: return silu4(v);
    case EXP: return exp4(v);
    default: return v;
  }
}

INLINE v4 slope4(int code, v4 s) {
  switch (code) {
    case SIGMOID: return mul(sub(splat(1), s), s);
    case TANH: return mul(sub(splat(1), s), add(splat(1), s));
    case SOFTPLUS: return sigmoid4(s);
    case LEAKY_RELU: return select(wasm_f32x4_gt(s, splat(0)), splat(1), splat(0.1f));
    case SCALED_RELU: return mul(positive(s), splat(1.1f));
    case RELU: return positive(s);
    case GELU: { /* constant beyond 1e3, where infinity times zero would be no slope */
      v4 v = at_least(at_most(s, 1e3f), -1e3f), rest;
      v4 g = sigmoids4(gelu_argument(v), &rest);
      v4 rate = fma4(mul(v, v), splat(3 * GELU_CUBIC), splat(1));
      rate = mul(mul(rate, v), splat(2 * GELU_SCALE));
      return fma4(mul(rate, g), rest, g);
    }
    case SILU: {
      v4 rest, g = sigmoids4(s, &rest);
      return mul(fma4(rest, s, splat(1)), g);
    }
    default: return splat(1);
  }
}

INLINE void forward_loop(int code, const float *x, const float *b, float *y, int n) {
  int i = 0;
  if (b) {
    for (; i + 4 <= n; i += 4) store(y + i, forward4(code, add(load(x + i), load(b + i))));
  } else {
    for (; i + 4 <= n; i += 4) store(y + i, forward4(code, load(x + i)));
  }
  if (i < n) {
    v4 v = load_part(x + i, n - i);
    if (b) v = add(v, load_part(b + i, n - i));
    store_part(y + i, forward4(code, v), n - i);
  }
}

INLINE void backward_loop(int code, const float *dy, const float *s, float *d, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4)
    store(d + i, mul(slope4(code, load(s + i)), load(dy + i)));
  if (i < n)
    store_part(d + i, mul(slope4(code, load_part(s + i, n - i)),
                          load_part(dy + i, n - i)), n - i);
}

#define EACH(call) \
  switch (code) { \
    case SCALED_RELU: call(SCALED_RELU); break; \
    case SIGMOID: call(SIGMOID); break; \
    case TANH: call(TANH); break; \
    case SOFTPLUS: call(SOFTPLUS); break; \
    case LEAKY_RELU: call(LEAKY_RELU); break; \
    case LINEAR: call(LINEAR); break; \
    case RELU: call(RELU); break; \
    case GELU: call(GELU); break; \
    case SILU: call(SILU); break; \
    case EXP: call(EXP); break; \
  }

void activate(int code, const float *x, const float *b, float *y, int n) {
#define FORWARD(c) forward_loop(c, x, b, y, n)
  EACH(FORWARD)
}

void activate_backward(int code, const float *dy, const float *s, float *d, int n) {
#define BACKWARD(c) backward_loop(c, dy, s, d, n)
  EACH(BACKWARD)
}
