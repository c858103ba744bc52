// Element by element, four values a thread; the tail's padding may be written too.
//
// Entry `chain`    y = f_k(... f_1(x)), and with KEEP d = dy/dx, the product of the f'
//   bindings:      0 x (n) stored; 1 y (n) stored; 2 d (n) f32 or a dummy
//   params:        count of vec4s, length of the chain, 2 unused; 256 codes, 4 a word
//   overrides:     CODE the one activation of a chain of one (else 255), KEEP
// Entry `scale`    dx = dy * d
//   bindings:      0 dy (n) stored; 1 d (n) f32; 2 dx (n) stored
// Entry `slope_of` dx = dy * f'(saved), saved f's v or y as the table says
//   bindings:      0 dy (n) stored; 1 saved (n) stored; 2 dx (n) stored
//   overrides:     CODE
// Entry `binary`   z = x + y (OP 0) or x * y (OP 1)
//   bindings:      0 x (n); 1 y (n); 2 z (n), all stored
// Entry `add_rows` z[i] = x[i] + y[i mod the values of y]
//   bindings:      0 x (n); 1 y (m) stored; 2 z (n)
//   params:        count of vec4s, m
// Grid:            ceil(n / 4 / 256) groups of 256, spread over x and y

//: include grid
//: include activation

override CODE: u32 = 255u;
override OP: u32 = 0u;
override KEEP: bool = false;

struct Params {
  count: u32,
  length: u32,
  codes: array<vec4u, 16>,
}

@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> x: array<stored4>;
@group(0) @binding(1) var<storage, read_write> chain_y: array<stored4>;
@group(0) @binding(2) var<storage, read_write> chain_d: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<stored4>;
@group(0) @binding(1) var<storage, read> d: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> z: array<stored4>;

fn place(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return linear_group(group, groups) * 256u + thread;
}

fn activate4(code: u32, v: vec4f) -> vec4f {
  return vec4f(activate(code, v.x), activate(code, v.y), activate(code, v.z),
               activate(code, v.w));
}

fn slope4(code: u32, v: vec4f, y: vec4f) -> vec4f {
  return vec4f(slope(code, v.x, y.x), slope(code, v.y, y.y), slope(code, v.z, y.z),
               slope(code, v.w, y.w));
}

@compute @workgroup_size(256)
fn chain(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
         @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i >= p.count) {
    return;
  }
  var v = vec4f(x[i]);
  var product = vec4f(1.0);
  if (CODE != 255u) {
    let f = activate4(CODE, v);
    if (KEEP) {
      product = slope4(CODE, v, f);
    }
    v = f;
  } else {
    for (var k = 0u; k < p.length; k++) {
      let code = (p.codes[k / 16u][(k / 4u) % 4u] >> (8u * (k % 4u))) & 255u;
      let f = activate4(code, v);
      if (KEEP) {
        product *= slope4(code, v, f);
      }
      v = f;
    }
  }
  chain_y[i] = stored4(v);
  if (KEEP) {
    chain_d[i] = product;
  }
}

@compute @workgroup_size(256)
fn scale(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
         @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    z[i] = stored4(vec4f(x[i]) * d[i]);
  }
}

@compute @workgroup_size(256)
fn slope_of(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
            @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    let saved = vec4f(y[i]);
    z[i] = stored4(vec4f(x[i]) * slope4(CODE, saved, saved));
  }
}

@compute @workgroup_size(256)
fn binary(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
          @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    let a = vec4f(x[i]);
    let b = vec4f(y[i]);
    z[i] = stored4(select(a + b, a * b, OP == 1u));
  }
}

@group(0) @binding(1) var<storage, read> row: array<stored>;

@compute @workgroup_size(256)
fn add_rows(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
            @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    let first = i * 4u;
    let m = p.length;
    z[i] = stored4(vec4f(x[i]) + vec4f(f32(row[first % m]), f32(row[(first + 1u) % m]),
                                       f32(row[(first + 2u) % m]),
                                       f32(row[(first + 3u) % m])));
  }
}
