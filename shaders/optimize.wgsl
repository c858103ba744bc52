// Clipping and updates, over whole arenas of parameters.
//
// Entry `norm`     of each 4,096 gradients: the greatest size m, and sum (g / m)^2, so
//                  that no square overflows; -1 for the sum where one is not finite
//   bindings:      0 g (n); 1 parts (all groups of all arenas) vec2f
//   params:        n / 4, first part of this arena
//   grid:          ceil(n / 4096) groups of THREADS, or where that is 1 of 8 parts each,
//                  spread over x and y
// Entry `decide`   from all parts: the loss, the norm, whether the step counts, the
//                  factor for the gradients, the bias corrections, the loss scale
//   bindings:      0 losses (l) vec2f; 1 norms (k) vec2f; 2 control
//   params:        l, k, clip (0: none), beta1, beta2, 1 - beta1, 1 - beta2
//   overrides:     SCALED: a step that overflows is left out, the scale halved
//   grid:          one group of THREADS
// Entry `sgd`      g += decay w; m = momentum m + g; w -= rate m
// Entry `adam`     see optimizers.py, whose formulas these are
//   bindings:      0 g (n); 1 control; 2 w (n); 3 m (n); 4 v (n); 5 the weights' rest;
//                  dummies where the overrides say not to use them
//   params:        n / 4, momentum, decay, 1 - beta1, beta2, 1 - beta2, epsilon, arena,
//                  purpose (of random words, loom/random.py)
//   overrides:     MOMENTUM, NESTEROV, DECAY, DECOUPLED
//   grid:          ceil(n / 4 / 256) groups of 256, spread over x and y
// Override SCALED  halves are stored: g in halves, w, m and v as in packed.wgsl, rounded
//                  by words of (seed, step, arena); else all are f32
// Override THREADS share a part: 1 on a processor, where waiting for each other is slow

//: include grid
//: include step
//: include finite
//: include control
//: include philox
//: include packed

override MOMENTUM: bool = false;
override NESTEROV: bool = false;
override DECAY: bool = false;
override DECOUPLED: bool = false;
override SCALED: bool = false;
override THREADS: u32 = 256u;

//: include parts
const GROWTH: u32 = 2000u;     // good steps after which the scale is tried twice as large
const LARGEST: f32 = 16777216.0;
const SMALLEST: f32 = 0.00001;

struct NormParams {
  count: u32,
  first: u32,
}

struct DecideParams {
  losses: u32,
  norms: u32,
  clip: f32,
  beta1: f32,
  beta2: f32,
  rest1: f32,
  rest2: f32,
}

struct UpdateParams {
  count: u32,
  momentum: f32,
  decay: f32,
  rest1: f32,
  beta2: f32,
  rest2: f32,
  epsilon: f32,
  arena: u32,    // and purpose: of the random words
  purpose: u32,
}

@group(0) @binding(8) var<uniform> norm_p: NormParams;
@group(0) @binding(8) var<uniform> decide_p: DecideParams;
@group(0) @binding(8) var<uniform> p: UpdateParams;

//: if SCALED
alias Gradient4 = stored4;
//: else
alias Gradient4 = vec4f;
//: end
@group(0) @binding(0) var<storage, read> g4: array<Gradient4>;
@group(0) @binding(1) var<storage, read_write> norm_parts: array<vec2f>;

@group(0) @binding(0) var<storage, read> losses: array<vec2f>;
@group(0) @binding(1) var<storage, read> norms: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> decided: Control;

@group(0) @binding(1) var<storage, read> control: Control;
//: if SCALED
@group(0) @binding(2) var<storage, read_write> halves: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> momenta: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> firsts: array<u32>;
@group(0) @binding(4) var<storage, read_write> seconds: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> rests: array<vec2u>;
//: else
@group(0) @binding(2) var<storage, read_write> w: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;
//: end

var<workgroup> pairs: array<vec2f, THREADS>;

// (m, s) and (m, s) of two parts -> that of both; a negative s stays.
fn joined(a: vec2f, b: vec2f) -> vec2f {
  if (a.y < 0.0 || b.y < 0.0) {
    return vec2f(0.0, -1.0);
  }
  let high = max(a.x, b.x);
  if (high == 0.0) {
    return vec2f(0.0);
  }
  let x = a.x / high;
  let z = b.x / high;
  return vec2f(high, a.y * x * x + b.y * z * z);
}

fn all_joined(mine: vec2f, thread: u32) -> vec2f {
  //: if THREADS == 1u
  return mine;
  //: else
  workgroupBarrier();
  pairs[thread] = mine;
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    workgroupBarrier();
    if (thread < half_way) {
      pairs[thread] = joined(pairs[thread], pairs[thread + half_way]);
    }
  }
  workgroupBarrier();
  return pairs[0];
  //: end
}

fn all_added(mine: vec2f, thread: u32) -> vec2f {
  //: if THREADS == 1u
  return mine;
  //: else
  workgroupBarrier();
  pairs[thread] = mine;
  for (var half_way = THREADS / 2u; half_way > 0u; half_way /= 2u) {
    workgroupBarrier();
    if (thread < half_way) {
      pairs[thread] += pairs[thread + half_way];
    }
  }
  workgroupBarrier();
  return pairs[0];
  //: end
}

@compute @workgroup_size(THREADS * PARTS)
fn norm(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) t: u32) {
  let part = part_of(linear_group(group, groups), t);
  let thread = t % THREADS;
  let start = part * 1024u;
  if (start >= norm_p.count) {
    return;
  }
  let end = min(start + 1024u, norm_p.count);
  var highs = vec4f();
  var good = true;
  for (var i = start + thread; i < end; i += THREADS) {
    let g = vec4f(g4[i]);
    // The largest half may be one that did not fit.
    good = good && all_finite(g) && (!SCALED || all(abs(g) < vec4f(65504.0)));
    highs = max(highs, abs(g));
  }
  let high = max(max(highs.x, highs.y), max(highs.z, highs.w));
  var sum = vec4f();
  if (high > 0.0) {
    for (var i = start + thread; i < end; i += THREADS) {
      let g = vec4f(g4[i]) / high;
      sum += g * g;
    }
  }
  let whole = all_joined(vec2f(high, select(-1.0, dot(sum, vec4f(1.0)), good)), thread);
  if (thread == 0u) {
    norm_parts[norm_p.first + part] = whole;
  }
}

// 1 - beta^t, rest being 1 - beta, from t alone: a run that is resumed has the same bits.
// Over t's bits from the highest, q(2 n) = q(n) (2 - q(n)) and q(n + 1) = beta q(n) + rest
// keep the digits that 1 - pow(beta, t) would lose.
fn grown(beta: f32, rest: f32, t: u32) -> f32 {
  var q = 0.0;
  for (var bit = 32u - countLeadingZeros(t); bit > 0u; bit -= 1u) {
    q *= 2.0 - q;
    if (((t >> (bit - 1u)) & 1u) == 1u) {
      q = beta * q + rest;
    }
  }
  return q;
}

@compute @workgroup_size(THREADS)
fn decide(@builtin(local_invocation_index) thread: u32) {
  var loss = vec2f(0.0);
  for (var i = thread; i < decide_p.losses; i += THREADS) {
    loss += losses[i];
  }
  loss = all_added(loss, thread);
  var pair = vec2f(0.0);
  for (var i = thread; i < decide_p.norms; i += THREADS) {
    pair = joined(pair, norms[i]);
  }
  pair = all_joined(pair, thread);
  if (thread != 0u) {
    return;
  }
  let scale = decided.next_scale;
  let norm = pair.x * sqrt(max(pair.y, 0.0)) / scale;
  decided.losses[step.slot] = loss.x;
  decided.loss_scale = scale;
  decided.norm = norm;
  var status = 0u;
  if (loss.y > 0.0) {
    status = FAILED_RANGE;
  } else if (!is_finite(loss.x)) {
    status = FAILED_LOSS;
  } else if (pair.y < 0.0) {
    status = FAILED_GRADIENT;
  }
  if (SCALED && (status & (FAILED_LOSS | FAILED_GRADIENT)) != 0u && scale > SMALLEST) {
    decided.next_scale = scale * 0.5;
    decided.good = 0u;
    decided.skipped += 1u;
    decided.apply = 0u;
    return;
  }
  if (decided.status == 0u && status != 0u) {
    decided.status = status;
    decided.failed = step.slot;
  }
  if (decided.status != 0u) {
    decided.apply = 0u;
    return;
  }
  decided.apply = 1u;
  decided.done += 1u;
  decided.first = grown(decide_p.beta1, decide_p.rest1, decided.done);
  decided.second = grown(decide_p.beta2, decide_p.rest2, decided.done);
  var factor = 1.0;
  if (decide_p.clip > 0.0) {
    factor = min(1.0, decide_p.clip / (norm + 1e-6));
  }
  decided.factor = factor / scale;
  if (SCALED) {
    decided.good += 1u;
    if (decided.good == GROWTH) {
      decided.good = 0u;
      decided.next_scale = min(scale * 2.0, LARGEST);
    }
  }
}

// How values are kept, four a thread.
//: if SCALED
fn noise(i: u32) -> vec4u {
  return philox(vec2u(step.seed_low, step.seed_high),
                vec4u(i, step.number, p.arena, p.purpose));
}

fn weight(i: u32) -> vec4f {
  return joined_weight(halves[i], rests[i]);
}

fn keep_weight(i: u32, value: vec4f) {
  let words = split_weight(value);
  halves[i] = words[0];
  rests[i] = words[1];
}

fn momentum(i: u32) -> vec4f {
  return joined_momentum(momenta[i]);
}

fn keep_momentum(i: u32, value: vec4f) {
  momenta[i] = split_momentum(value, noise(i));
}

fn moments(i: u32) -> array<vec4f, 2> {
  let second = joined_second(seconds[i]);
  return array<vec4f, 2>(joined_first(firsts[i], sqrt(second)), second);
}

fn keep_moments(i: u32, first: vec4f, second: vec4f) {
  let drawn = noise(i);
  let code = split_second(second, drawn);
  seconds[i] = code;
  firsts[i] = split_first(first, sqrt(joined_second(code)), drawn);
}
//: else
fn weight(i: u32) -> vec4f {
  return w[i];
}

fn keep_weight(i: u32, value: vec4f) {
  w[i] = value;
}

fn momentum(i: u32) -> vec4f {
  return m[i];
}

fn keep_momentum(i: u32, value: vec4f) {
  m[i] = value;
}

fn moments(i: u32) -> array<vec4f, 2> {
  return array<vec4f, 2>(m[i], v[i]);
}

fn keep_moments(i: u32, first: vec4f, second: vec4f) {
  m[i] = first;
  v[i] = second;
}
//: end

@compute @workgroup_size(256)
fn sgd(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
       @builtin(local_invocation_index) thread: u32) {
  let i = linear_group(group, groups) * 256u + thread;
  if (i >= p.count || control.apply == 0u) {
    return;
  }
  var g = vec4f(g4[i]) * control.factor;
  let value = weight(i);
  if (DECAY) {
    g += p.decay * value;
  }
  if (MOMENTUM) {
    let moved = p.momentum * momentum(i) + g;
    keep_momentum(i, moved);
    if (NESTEROV) {
      g += p.momentum * moved;
    } else {
      g = moved;
    }
  }
  keep_weight(i, value - step.rate * g);
}

@compute @workgroup_size(256)
fn adam(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let i = linear_group(group, groups) * 256u + thread;
  if (i >= p.count || control.apply == 0u) {
    return;
  }
  var g = vec4f(g4[i]) * control.factor;
  var value = weight(i);
  if (DECOUPLED) {
    value *= 1.0 - step.rate * p.decay;
  } else if (DECAY) {
    g += p.decay * value;
  }
  let before = moments(i);
  let first = before[0] + p.rest1 * (g - before[0]);
  let second = p.beta2 * before[1] + p.rest2 * (g * g);
  keep_moments(i, first, second);
  let root = sqrt(second) / sqrt(control.second) + p.epsilon;
  keep_weight(i, value - step.rate / control.first * (first / root));
}
