// What a network decides for each row of its outputs.
//
// Entry `greatest`  z = the index of the greatest value of a row; of a row of one value
//                   that value; NaN where all of the row is NaN. The first of equals.
//   bindings:       0 y (M, K) stored; 1 z (M) f32
//   params:         M, K
// Grid:             M groups of 64, spread over x and y

//: include grid

struct Params {
  rows: u32,
  columns: u32,
}

@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> y: array<stored>;
@group(0) @binding(1) var<storage, read_write> z: array<f32>;

const NONE: u32 = 0xffffffffu;

var<workgroup> values: array<f32, 64>;
var<workgroup> places: array<u32, 64>;

// By its bits: compilers may assume that there is none.
fn is_nan(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

// Whether (b, j) comes before (a, i): greater, or equal and earlier.
fn before(a: f32, i: u32, b: f32, j: u32) -> bool {
  return j != NONE && (i == NONE || b > a || (b == a && j < i));
}

@compute @workgroup_size(64)
fn greatest(@builtin(workgroup_id) group: vec3u,
            @builtin(num_workgroups) groups: vec3u,
            @builtin(local_invocation_index) thread: u32) {
  let row = linear_group(group, groups);
  if (row >= p.rows) {
    return;
  }
  let first = row * p.columns;
  if (p.columns == 1u) {
    if (thread == 0u) {
      z[row] = f32(y[first]);
    }
    return;
  }
  var high = 0.0;
  var place = NONE;
  for (var i = thread; i < p.columns; i += 64u) {
    let v = f32(y[first + i]);
    if (!is_nan(v) && before(high, place, v, i)) {
      high = v;
      place = i;
    }
  }
  values[thread] = high;
  places[thread] = place;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      let other = thread + half;
      if (before(values[thread], places[thread], values[other], places[other])) {
        values[thread] = values[other];
        places[thread] = places[other];
      }
    }
  }
  if (thread == 0u) {
    let nan = bitcast<f32>(0x7fc00000u + p.rows * 0u);
    z[row] = select(f32(places[0]), nan, places[0] == NONE);
  }
}
