// A loss and its gradient for the outputs, n values or `rows` rows of `columns`.
//
// Entry `values`   each value by itself: mse, mae, huber, binary_cross_entropy, and
//                  cross_entropy (y probabilities). CODE: the row of the loss table
// Entry `softmax_cross_entropy`   THREADS a row, y logits
//   bindings:      0 y (n) stored; 1 t (n) f32, or a dummy; 2 classes (rows) u32, or a
//                  dummy; 3 control; 4 dy (n) stored, times the loss scale;
//                  5 parts (parts) vec2f: loss, and 1.0 where y is no probability
//   params:        n, rows, columns, number of parts, 1 / values in the mean
//   overrides:     CODE, CLASSES: targets are class indices; THREADS share a part: 1 on a
//                  processor, where waiting for each other is slow; PART: values of one
// Grid:            as many groups as parts: ceil(n / PART), or rows; where THREADS is 1
//                  a group has 8 parts
//
// Both are times step.share, the share of the batch's rows that is here.

//: include grid
//: include step
//: include control

override CODE: u32 = 0u;
override CLASSES: bool = false;
override THREADS: u32 = 256u;
override PART: u32 = 1024u;

//: include parts
const CROSS_ENTROPY: u32 = 1u;
const MAE: u32 = 3u;
const HUBER: u32 = 4u;
const BINARY: u32 = 5u;
const LEAST: f32 = 1e-30;

struct Params {
  count: u32,
  rows: u32,
  columns: u32,
  parts: u32,
  inverse: f32,
}

@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> y: array<stored>;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read> classes: array<u32>;
@group(0) @binding(3) var<storage, read> control: Control;
@group(0) @binding(4) var<storage, read_write> dy: array<stored>;
@group(0) @binding(5) var<storage, read_write> parts: array<vec2f>;

//: if THREADS > 1u
var<workgroup> sums: array<vec2f, THREADS>;
//: end

fn total(value: vec2f, thread: u32) -> vec2f {
  //: if THREADS == 1u
  return value;
  //: else
  workgroupBarrier();
  sums[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      sums[thread] += sums[thread + half];
    }
  }
  workgroupBarrier();
  return sums[0];
  //: end
}

fn greatest(value: f32, thread: u32) -> f32 {
  //: if THREADS == 1u
  return value;
  //: else
  sums[thread] = vec2f(value);
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      sums[thread] = max(sums[thread], sums[thread + half]);
    }
  }
  workgroupBarrier();
  return sums[0].x;
  //: end
}

fn target_of(i: u32) -> f32 {
  if (CLASSES) {
    return select(0.0, 1.0, classes[i / p.columns] == i % p.columns);
  }
  return targets[i];
}

fn log1p_minus(v: f32) -> f32 {
  // log(1 - v) for v in 0 to 1, at least -100.
  let series = -v * (1.0 + v * (0.5 + v * (0.33333334 + v * 0.25)));
  let large = select(log(1.0 - v), -100.0, v >= 1.0);
  return select(large, series, v < 0.01);
}

// The loss and its derivative of one value, both still to be divided by the count.
fn value_of(v: f32, wanted: f32) -> vec2f {
  let d = v - wanted;
  switch CODE {
    case CROSS_ENTROPY: {
      let probability = select(v, LEAST, v < LEAST);
      return vec2f(-wanted * log(probability), -wanted / probability);
    }
    case MAE: { return vec2f(abs(d), sign(d)); }
    case HUBER: {
      let inner = min(abs(d), 1.0);
      return vec2f(inner * (abs(d) - 0.5 * inner), clamp(d, -1.0, 1.0));
    }
    case BINARY: {
      let yes = select(log(v), -100.0, v < 1.2e-38);
      let slope = v * (1.0 - v);
      return vec2f(-(wanted * yes + (1.0 - wanted) * log1p_minus(v)),
                   d / select(slope, 1e-12, slope < 1e-12));
    }
    default: { return vec2f(d * d, 2.0 * d); }
  }
}

@compute @workgroup_size(THREADS * PARTS)
fn values(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
          @builtin(local_invocation_index) t: u32) {
  let part = part_of(linear_group(group, groups), t);
  let thread = t % THREADS;
  let end = min(part * PART + PART, p.count);
  var sum = vec2f(0.0);
  for (var i = part * PART + thread; i < end; i += THREADS) {
    let v = f32(y[i]);
    let pair = value_of(v, target_of(i)) * (p.inverse * step.share);
    if (CODE == CROSS_ENTROPY || CODE == BINARY) {
      sum.y += select(0.0, 1.0, v < 0.0 || v > 1.001);
    }
    sum.x += pair.x;
    dy[i] = stored(pair.y * control.next_scale);
  }
  sum = total(sum, thread);
  if (thread == 0u && part < p.parts) {
    parts[part] = sum;
  }
}

@compute @workgroup_size(THREADS * PARTS)
fn softmax_cross_entropy(@builtin(workgroup_id) group: vec3u,
                         @builtin(num_workgroups) groups: vec3u,
                         @builtin(local_invocation_index) t: u32) {
  let row = part_of(linear_group(group, groups), t);
  let thread = t % THREADS;
  if (row >= p.rows) {
    return;
  }
  let first = row * p.columns;
  var high = f32(y[first]);
  for (var i = thread; i < p.columns; i += THREADS) {
    high = max(high, f32(y[first + i]));
  }
  high = greatest(high, thread);
  // Sum of the exponentials, and of the targets.
  var sum = vec2f(0.0);
  for (var i = thread; i < p.columns; i += THREADS) {
    sum += vec2f(exp(f32(y[first + i]) - high), target_of(first + i));
  }
  sum = total(sum, thread);
  let log_sum = log(sum.x);
  let scale = p.inverse * step.share;
  var loss = 0.0;
  for (var i = thread; i < p.columns; i += THREADS) {
    let v = f32(y[first + i]) - high;
    let wanted = target_of(first + i);
    loss += select(0.0, wanted * (log_sum - v), wanted != 0.0);
    dy[first + i] = stored((exp(v) / sum.x * sum.y - wanted) * scale * control.next_scale);
  }
  let whole = total(vec2f(loss * scale, 0.0), thread);
  if (thread == 0u) {
    parts[row] = whole;
  }
}
