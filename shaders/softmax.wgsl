// Softmax over rows, one workgroup a row.
//
// Entry `forward`   z = exp(x - max x) / sum exp(x - max x)
//   bindings:       0 x (M, N); 1 a dummy; 2 z (M, N)
// Entry `backward`  z = x (dy - sum(dy x)), x being softmax's output
//   bindings:       0 x (M, N); 1 dy (M, N); 2 z (M, N)
// params:           M, N
// Grid:             M groups of 64, spread over x and y

//: include grid

struct Params {
  rows: u32,
  columns: u32,
}

@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> x: array<stored>;
@group(0) @binding(1) var<storage, read> dy: array<stored>;
@group(0) @binding(2) var<storage, read_write> z: array<stored>;

const THREADS: u32 = 64u;
var<workgroup> parts: array<f32, THREADS>;

fn greatest(value: f32, thread: u32) -> f32 {
  workgroupBarrier();
  parts[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      parts[thread] = max(parts[thread], parts[thread + half]);
    }
  }
  workgroupBarrier();
  return parts[0];
}

fn total(value: f32, thread: u32) -> f32 {
  workgroupBarrier();
  parts[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      parts[thread] += parts[thread + half];
    }
  }
  workgroupBarrier();
  return parts[0];
}

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
           @builtin(local_invocation_index) thread: u32) {
  let row = linear_group(group, groups);
  if (row >= p.rows) {
    return;
  }
  let first = row * p.columns;
  var high = -3.4e38;
  for (var i = thread; i < p.columns; i += THREADS) {
    high = max(high, f32(x[first + i]));
  }
  high = greatest(high, thread);
  var sum = 0.0;
  for (var i = thread; i < p.columns; i += THREADS) {
    sum += exp(f32(x[first + i]) - high);
  }
  sum = total(sum, thread);
  for (var i = thread; i < p.columns; i += THREADS) {
    z[first + i] = stored(exp(f32(x[first + i]) - high) / sum);
  }
}

@compute @workgroup_size(THREADS)
fn backward(@builtin(workgroup_id) group: vec3u,
            @builtin(num_workgroups) groups: vec3u,
            @builtin(local_invocation_index) thread: u32) {
  let row = linear_group(group, groups);
  if (row >= p.rows) {
    return;
  }
  let first = row * p.columns;
  var sum = 0.0;
  for (var i = thread; i < p.columns; i += THREADS) {
    sum += f32(x[first + i]) * f32(dy[first + i]);
  }
  sum = total(sum, thread);
  for (var i = thread; i < p.columns; i += THREADS) {
    z[first + i] = stored(f32(x[first + i]) * (f32(dy[first + i]) - sum));
  }
}
