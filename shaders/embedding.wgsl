// Rows of a table, chosen by ids.
//
// Entry `forward`   y[i] = w[x[i]]; NaN where x[i] is no id, so that it is noticed
//   bindings:       0 x (N) f32; 1 w (V, D) stored; 2 y (N, D) stored
//   grid:           ceil(N D / 256) groups of 256, spread over x and y
// Entry `backward`  dw[v] = sum of dy[i] over the places where x[i] = v, in their order
//   bindings:       0 x (N) f32; 1 dy (N, D) stored; 2 dw (V, D) f32, or as stored with
//                   the override NARROW
//   grid:           (V ceil(D / 256)) groups of 256, spread over x and y
// params:           N, V, D
//
// Each group of `backward` looks through all ids, 256 at a time, and adds only where
// one of them is its own: no atomics, so the sums are the same in every run.

//: include grid

override NARROW: bool = false;

//: if NARROW
alias Out = stored;
//: else
alias Out = f32;
//: end

struct Params {
  ids: u32,
  rows: u32,
  columns: u32,
}

@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<stored>;
@group(0) @binding(2) var<storage, read_write> y: array<stored>;

@group(0) @binding(1) var<storage, read> dy: array<stored>;
@group(0) @binding(2) var<storage, read_write> dw: array<Out>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
           @builtin(local_invocation_index) thread: u32) {
  let i = linear_group(group, groups) * 256u + thread;
  if (i >= p.ids * p.columns) {
    return;
  }
  let id = x[i / p.columns];
  let valid = id >= 0.0 && id < f32(p.rows);
  let row = u32(select(0.0, id, valid));
  let value = w[row * p.columns + i % p.columns];
  y[i] = select(stored(bitcast<f32>(0x7fc00000u + p.ids * 0u)), value, valid);
}

var<workgroup> tile: array<f32, 256>;
var<workgroup> found: atomic<u32>;

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) group: vec3u,
            @builtin(num_workgroups) groups: vec3u,
            @builtin(local_invocation_index) thread: u32) {
  let part = linear_group(group, groups);
  let parts = (p.columns + 255u) / 256u;
  let id = part / parts;
  if (id >= p.rows) {
    return;
  }
  let column = part % parts * 256u + thread;
  var sum = 0.0;
  for (var start = 0u; start < p.ids; start += 256u) {
    let here = start + thread;
    let mine = select(-1.0, x[min(here, p.ids - 1u)], here < p.ids);
    if (thread == 0u) {
      atomicStore(&found, 0u);
    }
    tile[thread] = mine;
    workgroupBarrier();
    if (mine == f32(id)) {
      atomicAdd(&found, 1u);
    }
    workgroupBarrier();
    if (atomicLoad(&found) > 0u && column < p.columns) {
      // In eights: where a processor plays the GPU, rounds are few (Limits.alone).
      for (var k = 0u; k < 256u; k += 8u) {
        //: unroll
        for (var i = 0u; i < 8u; i++) {
          if (tile[k + i] == f32(id)) {
            sum += f32(dy[(start + k + i) * p.columns + column]);
          }
        }
      }
    }
    workgroupBarrier();
  }
  if (column < p.columns) {
    dw[id * p.columns + column] = Out(sum);
  }
}
