// Dropout: y_i = x_i / (1 - rate) where word i of the stream stays, else 0.
//
// The mask is made again in the backward pass, from the same words: nothing is kept.
//
// Entry `main`
//   bindings:   0 x (n) stored; 1 y (n) stored
//   params:     n; values of a sample; the layer's stream; purpose; least word >> 8 that
//               stays; 1 / (1 - rate)
// Grid:         ceil(n / 4 / 256) groups of 256, spread over x and y

//: include grid
//: include step
//: include philox

struct Params {
  count: u32,
  sample: u32,
  stream: u32,
  purpose: u32,
  bound: u32,
  scale: f32,
}

@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> x: array<stored>;
@group(0) @binding(1) var<storage, read_write> y: array<stored>;

fn words(block: u32) -> vec4u {
  return philox(vec2u(step.seed_low, step.seed_high),
                vec4u(block, step.number, p.stream, p.purpose));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let first = (linear_group(group, groups) * 256u + thread) * 4u;
  if (first >= p.count) {
    return;
  }
  // A device that has the batch's later rows begins inside of a block of four words.
  let at = step.first_row * p.sample + first;
  let shift = at % 4u;
  var drawn = words(at / 4u);
  if (shift != 0u) {
    let next = words(at / 4u + 1u);
    let here = drawn;
    for (var k = 0u; k < 4u; k++) {
      let j = k + shift;
      drawn[k] = select(next[j % 4u], here[j % 4u], j < 4u);
    }
  }
  for (var k = 0u; k < 4u; k++) {
    let i = first + k;
    if (i < p.count) {
      y[i] = stored(select(0.0, f32(x[i]) * p.scale, (drawn[k] >> 8u) >= p.bound));
    }
  }
}
