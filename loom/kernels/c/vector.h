/* Four floats at a time: the few operations that all families share.
 *
 * relaxed SIMD fuses a multiply and an add (one rounding less, never one more); every
 * stated bound holds with and without. */
#ifndef LOOM_VECTOR_H
#define LOOM_VECTOR_H

#include <wasm_simd128.h>

typedef v128_t v4;
#define INLINE static inline __attribute__((always_inline))

INLINE v4 splat(float x) { return wasm_f32x4_splat(x); }
INLINE v4 load(const float *p) { return wasm_v128_load(p); }
INLINE void store(float *p, v4 x) { wasm_v128_store(p, x); }
INLINE v4 add(v4 a, v4 b) { return wasm_f32x4_add(a, b); }
INLINE v4 sub(v4 a, v4 b) { return wasm_f32x4_sub(a, b); }
INLINE v4 mul(v4 a, v4 b) { return wasm_f32x4_mul(a, b); }
INLINE v4 quotient(v4 a, v4 b) { return wasm_f32x4_div(a, b); }
INLINE v4 select(v4 mask, v4 yes, v4 no) { return wasm_v128_bitselect(yes, no, mask); }

/* The lesser and the greater; a NaN in the first stays. */
INLINE v4 at_most(v4 x, float high) { return wasm_f32x4_pmin(x, splat(high)); }
INLINE v4 at_least(v4 x, float low) { return wasm_f32x4_pmax(x, splat(low)); }

/* a * b + c */
INLINE v4 fma4(v4 a, v4 b, v4 c) {
#ifdef __wasm_relaxed_simd__
  return wasm_f32x4_relaxed_madd(a, b, c);
#else
  return add(mul(a, b), c);
#endif
}

/* The first n of four floats, 0 < n < 4; the rest are zero. */
INLINE v4 load_part(const float *p, int n) {
  float t[4] = {0, 0, 0, 0};
  for (int i = 0; i < n; i++) t[i] = p[i];
  return load(t);
}

INLINE void store_part(float *p, v4 x, int n) {
  float t[4];
  store(t, x);
  for (int i = 0; i < n; i++) p[i] = t[i];
}

INLINE float sum4(v4 x) {
  x = add(x, wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
  x = add(x, wasm_i32x4_shuffle(x, x, 1, 0, 3, 2));
  return wasm_f32x4_extract_lane(x, 0);
}

INLINE float max4(v4 x) {
  x = wasm_f32x4_pmax(x, wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
  x = wasm_f32x4_pmax(x, wasm_i32x4_shuffle(x, x, 1, 0, 3, 2));
  return wasm_f32x4_extract_lane(x, 0);
}

#endif
