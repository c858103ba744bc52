// What training with halves keeps in fewer than four bytes; loom/gpu/packed.py says how.
//
// Only integers and normal float32 are computed with: a device may flush small halves.

// The leading bits of floats less `shift`, one more where `noise` (u32) carries: each
// neighbour as often as the value is near to it.
fn rounded(bits: vec4u, noise: vec4u, shift: u32) -> vec4u {
  return (bits + (noise & vec4u((1u << shift) - 1u))) >> vec4u(shift);
}

fn sixteen(words: vec2u) -> vec4u {
  return vec4u(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
}

fn words_of(v: vec4u) -> vec2u {
  return (v.xz & vec2u(0xffffu)) | (v.yw << vec2u(16u));
}

// Weights: bits of the half and the rest, words each.
fn joined_weight(half: vec2u, rest: vec2u) -> vec4f {
  let h = sixteen(half);
  let size = h & vec4u(0x7fffu);
  let more = bitcast<vec4i>(sixteen(rest) << vec4u(16u)) >> vec4u(16u);
  let large = (size << vec4u(13u)) + 0x38000000u + bitcast<vec4u>(more);
  let small = vec4f(bitcast<vec4i>(size << vec4u(15u)) + more) * 0x1p-39f;
  let bits = select(large, bitcast<vec4u>(small), size < vec4u(0x400u));
  return bitcast<vec4f>(bits | ((h & vec4u(0x8000u)) << vec4u(16u)));
}

fn even_up(v: vec4u, shift: u32) -> vec4u {
  let odd = (v >> vec4u(shift)) & vec4u(1u);
  return (v + ((1u << (shift - 1u)) - 1u) + odd) >> vec4u(shift);
}

// The words of the half and of the rest.
fn split_weight(w: vec4f) -> array<vec2u, 2> {
  let sign = (bitcast<vec4u>(w) >> vec4u(16u)) & vec4u(0x8000u);
  let a = min(bitcast<vec4u>(w) & vec4u(0x7fffffffu), vec4u(0x477fe000u));
  let fixed = vec4u(round(min(bitcast<vec4f>(a), vec4f(0x1p-14f)) * 0x1p39f));
  let normal = a >= vec4u(0x38800000u);
  let h = select(even_up(fixed, 15u), even_up(a, 13u) - 0x1c000u, normal);
  let large = a - ((h << vec4u(13u)) + 0x38000000u);
  let small = fixed - (h << vec4u(15u));
  let rest = select(large, small, h < vec4u(0x400u));
  return array<vec2u, 2>(words_of(h | sign), words_of(rest));
}

// Adam's second moment: a float without its sign and last 15 bits.
fn joined_second(code: vec2u) -> vec4f {
  return bitcast<vec4f>(sixteen(code) << vec4u(15u));
}

fn split_second(v: vec4f, noise: vec4u) -> vec2u {
  return words_of(rounded(bitcast<vec4u>(v), noise, 15u));
}

// Adam's first moment over the root of the second as it is kept.
fn joined_first(code: u32, root: vec4f) -> vec4f {
  let c = (vec4u(code) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu);
  let size = c & vec4u(0x7fu);
  let bits = select((size + 928u) << vec4u(20u), vec4u(0u), size == vec4u(0u));
  return bitcast<vec4f>(bits | ((c & vec4u(0x80u)) << vec4u(24u))) * root;
}

fn split_first(m: vec4f, root: vec4f, noise: vec4u) -> u32 {
  let some = root > vec4f(0.0);
  let ratio = select(vec4f(0.0), abs(m) / select(vec4f(1.0), root, some), some);
  // Bits of the noise that the second moment does not take.
  let own = (noise >> vec4u(15u)) << vec4u(3u);
  let leading = rounded(bitcast<vec4u>(ratio), own, 20u);
  let size = clamp(leading, vec4u(928u), vec4u(1055u)) - 928u;
  let c = size | ((bitcast<vec4u>(m) >> vec4u(24u)) & vec4u(0x80u));
  return c.x | (c.y << 8u) | (c.z << 16u) | (c.w << 24u);
}

// Momentum: the upper half of a float.
fn joined_momentum(code: vec2u) -> vec4f {
  return bitcast<vec4f>(sixteen(code) << vec4u(16u));
}

fn split_momentum(m: vec4f, noise: vec4u) -> vec2u {
  return words_of(rounded(bitcast<vec4u>(m), noise >> vec4u(16u), 16u));
}
