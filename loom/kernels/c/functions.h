/* exp, expm1, log1p and what is made of them, for four floats.
 *
 * Polynomials: minimax by iteratively reweighted least squares in float64 on the stated
 * interval, weighted for relative error; the error of each is below 2^-30.
 * NaN stays NaN; bounds in units in the last place are in tests/kernels. */
#ifndef LOOM_FUNCTIONS_H
#define LOOM_FUNCTIONS_H

#include "vector.h"

/* ln 2 in two parts: n * LN2_HIGH is exact for |n| < 2^10. */
#define LN2_HIGH 0.693145751953125f
#define LN2_LOW 1.42860682030941723212e-6f
#define LOG2_E 1.44269504088896341f

/* exp(r) - 1 for |r| <= ln(2) / 2. */
INLINE v4 expm1_reduced(v4 r) {
  v4 q = splat(0.000198459581f);
  q = fma4(q, r, splat(0.00139416525f));
  q = fma4(q, r, splat(0.00833339164f));
  q = fma4(q, r, splat(0.0416663487f));
  q = fma4(q, r, splat(0.166666664f));
  q = fma4(q, r, splat(0.5f));
  return fma4(q, mul(r, r), r);
}

/* x = n ln 2 + r with |r| <= ln(2) / 2; n as integers. */
INLINE v4 reduce(v4 x, v4 *n) {
  v4 whole = wasm_f32x4_nearest(mul(x, splat(LOG2_E)));
  *n = wasm_i32x4_trunc_sat_f32x4(whole);
  v4 r = sub(x, mul(whole, splat(LN2_HIGH)));
  return sub(r, mul(whole, splat(LN2_LOW)));
}

/* 2^n for -126 <= n <= 127 */
INLINE v4 power_of_two(v4 n) {
  return wasm_i32x4_shl(wasm_i32x4_add(n, wasm_i32x4_splat(127)), 23);
}

/* exp(x) for every x. Scaled in two steps, so that subnormal results are rounded once
 * and 2^128 is never needed. */
INLINE v4 exp4(v4 x) {
  v4 n;
  v4 r = reduce(at_least(at_most(x, 90.0f), -105.0f), &n);
  v4 y = add(splat(1), expm1_reduced(r));
  v4 half = wasm_i32x4_shr(n, 1);
  y = mul(y, power_of_two(half));
  return mul(y, power_of_two(wasm_i32x4_sub(n, half)));
}

/* exp(x) for x <= 0; zero where it would be subnormal. */
INLINE v4 exp_negative(v4 x) {
  v4 n;
  v4 r = reduce(at_least(x, -87.33f), &n);
  v4 s = power_of_two(n);
  v4 y = fma4(expm1_reduced(r), s, s);
  return wasm_v128_andnot(y, wasm_f32x4_lt(x, splat(-87.33f)));
}

/* sigmoid(x) and sigmoid(-x), each to the last digits. */
INLINE v4 sigmoids4(v4 x, v4 *opposite) {
  v4 e = exp_negative(wasm_f32x4_neg(wasm_f32x4_abs(x)));
  v4 large = quotient(splat(1), add(splat(1), e)), small = mul(e, large);
  v4 negative = wasm_f32x4_lt(x, splat(0));
  *opposite = select(negative, large, small);
  return select(negative, small, large);
}

/* 1 / (1 + exp(-x)); below the smallest normal it is zero. */
INLINE v4 sigmoid4(v4 x) {
  v4 e = exp_negative(wasm_f32x4_neg(wasm_f32x4_abs(x)));
  v4 top = select(wasm_f32x4_lt(x, splat(0)), e, splat(1));
  return quotient(top, add(splat(1), e));
}

/* -m / (m + 2) with m = expm1(-2 |x|), and x's sign. */
INLINE v4 tanh4(v4 x) {
  v4 n, z = mul(at_most(wasm_f32x4_abs(x), 9.1f), splat(-2));
  v4 r = reduce(z, &n);
  v4 s = power_of_two(n);
  v4 m = fma4(expm1_reduced(r), s, sub(s, splat(1)));
  v4 y = quotient(wasm_f32x4_neg(m), add(m, splat(2)));
  return wasm_v128_or(y, wasm_v128_and(x, wasm_i32x4_splat((int)0x80000000)));
}

/* log(1 + u) for 0 <= u <= 1, reduced to 1 + f in [sqrt(1/2), sqrt(2)]. */
INLINE v4 log1p_unit(v4 u) {
  v4 large = wasm_f32x4_gt(u, splat(0.41421356f));
  v4 f = select(large, mul(sub(u, splat(1)), splat(0.5f)), u);
  v4 q = splat(0.0674663826f);
  q = fma4(q, f, splat(-0.116756512f));
  q = fma4(q, f, splat(0.11888163f));
  q = fma4(q, f, splat(-0.124055891f));
  q = fma4(q, f, splat(0.142195523f));
  q = fma4(q, f, splat(-0.166679958f));
  q = fma4(q, f, splat(0.200021187f));
  q = fma4(q, f, splat(-0.250000096f));
  q = fma4(q, f, splat(0.333333126f));
  v4 square = mul(f, f);
  v4 y = fma4(mul(q, f), square, mul(square, splat(-0.5f)));
  y = fma4(wasm_v128_and(large, splat(LN2_LOW)), splat(1), y);
  y = add(y, f);
  return add(y, wasm_v128_and(large, splat(LN2_HIGH)));
}

/* max(x, 0) + log(1 + exp(-|x|)) */
INLINE v4 softplus4(v4 x) {
  v4 e = exp_negative(wasm_f32x4_neg(wasm_f32x4_abs(x)));
  return add(wasm_f32x4_pmax(x, splat(0)), log1p_unit(e));
}

#endif
