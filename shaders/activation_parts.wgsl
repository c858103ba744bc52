// Parts of the activations. Every one is finite for finite v, and keeps a NaN.

fn sigmoid(v: f32) -> f32 {
  // exp's argument is bounded where the result is below the smallest normal anyway.
  return 1.0 / (1.0 + exp(select(-v, 87.0, v < -87.0)));
}

fn tanh_of(v: f32) -> f32 {
  // Some backends compute tanh from exp(2 v), which overflows; others lose the small
  // values. Below 0.3 the series is exact to rounding.
  let a = abs(v);
  let s = v * v;
  let small = v * (1.0 + s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254
    + s * (0.021869488 + s * -0.008863236)))));
  let e = exp(-2.0 * select(a, 20.0, a > 20.0));
  let large = (1.0 - e) / (1.0 + e);
  return select(select(large, -large, v < 0.0), small, a < 0.3);
}

fn softplus(v: f32) -> f32 {
  // max(v, 0) + log(1 + u), u = exp(-|v|); log1p(u) = log(w) + (u - (w - 1)) / w.
  // Where w rounds to 1 the bits of u would be lost: there log1p(u) is u (1 - u / 2).
  let u = exp(-abs(v));
  let log1p = select(log(1.0 + u), u * (1.0 - u * (0.5 - u * 0.33333334)), u < 0.01);
  return select(v, 0.0, v < 0.0) + log1p;
}

fn gelu_tanh(v: f32) -> f32 {
  return tanh_of(0.7978845608028654 * v * (1.0 + 0.044715 * v * v));
}

fn gelu_slope(v: f32) -> f32 {
  let t = gelu_tanh(v);
  return 0.5 * (1.0 + t
    + v * 0.7978845608028654 * (1.0 + 0.134145 * v * v) * (1.0 - t * t));
}

fn silu_slope(v: f32) -> f32 {
  let s = sigmoid(v);
  return s * (1.0 + v * (1.0 - s));
}
