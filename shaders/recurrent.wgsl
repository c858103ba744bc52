// RNN, LSTM and GRU through all of time. The products with x come first, all at once
// (xp = x W_ih^T + b); what is here is the recurrence alone.
//
//     RNN   h = tanh(x_t + U h)
//     LSTM  i, f, g, o = x_t + U h;  c = s(f) c + s(i) tanh(g);  h = s(o) tanh(c)
//     GRU   r, z = s(x_t + U h);  n = tanh(x_t + r (U h + b_hn));  h = (1 - z) n + z h
//
// Shapes:    xp (B, T, G H), w = U (G H, H), G gates; y (B, T, H), or (B, H) without
//            ALL; kept (B, T, K H): h | i, f, g, o, c | r, z, U h + b_hn, n;
//            before (B, T, H): h of the step before; dvx, dvh (B, T, G H): gradients of
//            the gates' x and h parts (dvh for GRU alone).
// Entries:   forward, backward: one workgroup a sample, all of time in one dispatch
//            forward_step, backward_step: one step, a thread a unit, after the product
//            of that step (B, G H) or (B, H); for layers whose weights are too many
//            alone: one step with its product, for processors that play a GPU
// Overrides: CELL 0 RNN, 1 LSTM, 2 GRU; H; THREADS of a workgroup; PARTS threads share
//            a row of the product; HELD: its weights stay in registers (at most 64 a
//            thread); VEC: H is a multiple of 4; KEEP: a backward pass follows; ALL;
//            ALONE: the text of that entry; SAMPLES of its threads; QUADS: they tell each other
//
// The idea: h lies in workgroup memory; thread (line, part) holds the weights of its
// rows and columns and multiplies them by h; the parts meet in workgroup memory, where
// the first threads make the new h of them. Two barriers a step, and nothing leaves the
// multiprocessor but results.
//: include activation
//: include grid

override CELL: u32 = 0u;
override H: u32 = 16u;
override THREADS: u32 = 256u;
override PARTS: u32 = 2u;
override HELD: bool = true;
override VEC: bool = false;
override BACK: bool = false;
override KEEP: bool = false;
override ALL: bool = true;
override ALONE: bool = false;
override QUADS: bool = false;
override SAMPLES: u32 = 1u;

const G: u32 = 1u + 3u * (CELL % 2u) + CELL / 2u * 2u;
const K: u32 = G + min(CELL, 1u);
//: if BACK
const OUT: u32 = H;
const IN: u32 = G * H;
//: else
const OUT: u32 = G * H;
const IN: u32 = H;
//: end
const LINES: u32 = THREADS / PARTS;
const RUNS: u32 = (OUT + LINES - 1u) / LINES;
const COLUMNS: u32 = (IN + 4u * PARTS - 1u) / (4u * PARTS);
const UNITS: u32 = (H + THREADS - 1u) / THREADS;

struct Params { batch: u32, time: u32, step: u32, groups: u32 }

@group(0) @binding(0) var<storage, read> xp: array<stored>;
//: if VEC && !BACK
@group(0) @binding(1) var<storage, read> w: array<stored4>;
//: else
@group(0) @binding(1) var<storage, read> w: array<stored>;
//: end
@group(0) @binding(1) var<storage, read> product: array<f32>;
@group(0) @binding(2) var<storage, read> bias_hn: array<stored>;
@group(0) @binding(3) var<storage, read_write> y: array<stored>;
@group(0) @binding(4) var<storage, read_write> kept: array<stored>;
@group(0) @binding(5) var<storage, read_write> before: array<stored>;
@group(0) @binding(6) var<storage, read_write> cells: array<f32>;

@group(0) @binding(0) var<storage, read> dy: array<stored>;
@group(0) @binding(2) var<storage, read> saved: array<stored>;
@group(0) @binding(3) var<storage, read> earlier: array<stored>;
@group(0) @binding(4) var<storage, read_write> dvx: array<stored>;
@group(0) @binding(5) var<storage, read_write> dvh: array<stored>;
@group(0) @binding(6) var<storage, read_write> carried: array<f32>;
@group(0) @binding(8) var<uniform> p: Params;

// One step of one unit ------------------------------------------------------------

struct Unit { h: f32, c: f32 }

// x and u: the gates' parts of x and of h; old: h and c before.
fn step_of(x: vec4f, u: vec4f, old: Unit, unit: u32, at: u32) -> Unit {
    //: if CELL == 0u
    let h = tanh_of(x.x + u.x);
    keep(vec4f(h, 0.0, 0.0, 0.0), 0.0, unit, at);
    return Unit(h, 0.0);
    //: end
    //: if CELL == 1u
    let v = x + u;
    let i = sigmoid(v.x);
    let f = sigmoid(v.y);
    let g = tanh_of(v.z);
    let o = sigmoid(v.w);
    let c = f * old.c + i * g;
    keep(vec4f(i, f, g, o), c, unit, at);
    return Unit(o * tanh_of(c), c);
    //: end
    //: if CELL == 2u
    let r = sigmoid(x.x + u.x);
    let z = sigmoid(x.y + u.y);
    let hidden = u.z + f32(bias_hn[unit]);
    let n = tanh_of(x.z + r * hidden);
    keep(vec4f(r, z, hidden, n), 0.0, unit, at);
    return Unit(n + z * (old.h - n), 0.0);
    //: end
}

fn keep(v: vec4f, c: f32, unit: u32, at: u32) {
    //: if KEEP
    let start = at * K * H + unit;
    //: unroll
    for (var k = 0u; k < min(K, 4u); k++) {
        kept[start + k * H] = stored(v[k]);
    }
    //: if CELL == 1u
    kept[start + 4u * H] = stored(c);
    //: end
    //: end
}

// Gradients of one step of one unit: dh is dL/dh of this step, with dy; memory is what
// LSTM's c and GRU's z h hand to the step before.
struct Slopes { x: vec4f, h: vec4f, memory: f32 }

fn slopes_of(dh: f32, memory: f32, unit: u32, at: u32, first: bool) -> Slopes {
    let start = at * K * H + unit;
    //: if CELL == 0u
    let h = f32(saved[start]);
    let d = (1.0 - h * h) * dh;
    return Slopes(vec4f(d, 0.0, 0.0, 0.0), vec4f(d, 0.0, 0.0, 0.0), 0.0);
    //: end
    //: if CELL == 1u
    let i = f32(saved[start]);
    let f = f32(saved[start + H]);
    let g = f32(saved[start + 2u * H]);
    let o = f32(saved[start + 3u * H]);
    let tanh_c = tanh_of(f32(saved[start + 4u * H]));
    var old = 0.0;
    if (!first) { old = f32(saved[start + 4u * H - K * H]); }
    let dc = memory + dh * o * (1.0 - tanh_c * tanh_c);
    let d = vec4f(dc * g * i * (1.0 - i), dc * old * f * (1.0 - f),
        dc * i * (1.0 - g * g), dh * tanh_c * o * (1.0 - o));
    return Slopes(d, d, dc * f);
    //: end
    //: if CELL == 2u
    let r = f32(saved[start]);
    let z = f32(saved[start + H]);
    let hidden = f32(saved[start + 2u * H]);
    let n = f32(saved[start + 3u * H]);
    let old = f32(earlier[at * H + unit]);
    let d_n = dh * (1.0 - z) * (1.0 - n * n);
    let d_r = d_n * hidden * r * (1.0 - r);
    let d_z = dh * (old - n) * z * (1.0 - z);
    return Slopes(vec4f(d_r, d_z, d_n, 0.0), vec4f(d_r, d_z, d_n * r, 0.0), dh * z);
    //: end
}

fn gates_of(b: u32, step: u32, unit: u32) -> vec4f {
    let start = (b * p.time + step) * G * H + unit;
    var v = vec4f();
    //: unroll
    for (var k = 0u; k < G; k++) {
        v[k] = f32(xp[start + k * H]);
    }
    return v;
}

fn write_h(h: f32, b: u32, step: u32, unit: u32) {
    //: if ALL
    y[(b * p.time + step) * H + unit] = stored(h);
    //: else
    if (step + 1u == p.time) { y[b * H + unit] = stored(h); }
    //: end
}

fn read_dy(b: u32, step: u32, unit: u32) -> f32 {
    //: if ALL
    return f32(dy[(b * p.time + step) * H + unit]);
    //: else
    if (step + 1u == p.time) { return f32(dy[b * H + unit]); }
    return 0.0;
    //: end
}

fn write_slopes(s: Slopes, unit: u32, at: u32) {
    let start = at * G * H + unit;
    //: unroll
    for (var k = 0u; k < G; k++) {
        dvx[start + k * H] = stored(s.x[k]);
        //: if CELL == 2u
        dvh[start + k * H] = stored(s.h[k]);
        //: end
    }
}

//: if !ALONE
// All of time in one workgroup ------------------------------------------------------

// What the product is taken of: h, or the gates' gradients; padded with zeros.
var<workgroup> factor: array<vec4f, COLUMNS * PARTS>;
var<workgroup> sums: array<f32, OUT * PARTS>;

// Four weights of row `row` of the product, from column `column` on.
fn weight(row: u32, column: u32) -> vec4f {
    if (row >= OUT || column >= IN) { return vec4f(); }
    //: if VEC && !BACK
    return vec4f(w[(row * IN + column) / 4u]);
    //: else
    var v = vec4f();
    //: unroll
    for (var k = 0u; k < 4u; k++) {
        //: if BACK
        if (column + k < IN) { v[k] = f32(w[(column + k) * H + row]); }
        //: else
        if (column + k < IN) { v[k] = f32(w[row * IN + column + k]); }
        //: end
    }
    return v;
    //: end
}

fn summed(row: u32) -> f32 {
    var v = 0.0;
    //: unroll
    for (var q = 0u; q < PARTS; q++) {
        v += sums[q * OUT + row];
    }
    return v;
}

// Neighbouring threads read neighbouring weights: along a row, or down the columns.
fn part_of(t: u32) -> u32 { return select(t % PARTS, t / LINES, BACK); }
fn line_of(t: u32) -> u32 { return select(t / PARTS, t % LINES, BACK); }

//: end

//: if !BACK
//: if !ALONE
@compute @workgroup_size(THREADS)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let b = linear_group(group, groups);
    if (b >= p.groups) { return; }
    let part = part_of(t);
    let line = line_of(t);
    //: if HELD
    //: names
    var held: array<array<vec4f, COLUMNS>, RUNS>;
    //: unroll
    for (var i = 0u; i < RUNS; i++) {
        //: unroll
        for (var j = 0u; j < COLUMNS; j++) {
            held[i][j] = weight(line + i * LINES, 4u * (part + j * PARTS));
        }
    }
    //: end
    for (var i = t; i < COLUMNS * PARTS; i += THREADS) { factor[i] = vec4f(); }
    workgroupBarrier();
    //: names
    var state: array<Unit, UNITS>;
    //: names
    var now: array<vec4f, UNITS>;
    //: names
    var sum: array<vec4f, RUNS>;
    for (var step = 0u; step < p.time; step++) {
        //: unroll
        for (var i = 0u; i < UNITS; i++) {
            if (t + i * THREADS < H) { now[i] = gates_of(b, step, t + i * THREADS); }
        }
        //: unroll
        for (var i = 0u; i < RUNS; i++) {
            sum[i] = vec4f();
        }
        //: if HELD
        //: unroll
        //: end
        for (var j = 0u; j < COLUMNS; j++) {
            let v = factor[part + j * PARTS];
            //: unroll
            for (var i = 0u; i < RUNS; i++) {
                //: if HELD
                sum[i] += held[i][j] * v;
                //: else
                sum[i] += weight(line + i * LINES, 4u * (part + j * PARTS)) * v;
                //: end
            }
        }
        //: unroll
        for (var i = 0u; i < RUNS; i++) {
            if (line + i * LINES < OUT) {
                sums[part * OUT + line + i * LINES] = dot(sum[i], vec4f(1.0));
            }
        }
        workgroupBarrier();
        //: unroll
        for (var i = 0u; i < UNITS; i++) {
            let unit = t + i * THREADS;
            if (unit < H) {
                let at = b * p.time + step;
                var u = vec4f();
                //: unroll
                for (var k = 0u; k < G; k++) {
                    u[k] = summed(unit + k * H);
                }
                //: if KEEP
                before[at * H + unit] = stored(state[i].h);
                //: end
                state[i] = step_of(now[i], u, state[i], unit, at);
                factor[unit / 4u][unit % 4u] = state[i].h;
                write_h(state[i].h, b, step, unit);
            }
        }
        workgroupBarrier();
    }
}

//: end

// A step of one unit from what the step before left in memory; u: the gates' parts of h.
fn forward_one(b: u32, unit: u32, u: vec4f) {
    let id = b * H + unit;
    let at = b * p.time + p.step;
    var old = Unit(0.0, 0.0);
    if (p.step > 0u) {
        old = Unit(f32(before[at * H + unit]), cells[id]);
    } else {
        before[at * H + unit] = stored(0.0);
    }
    let next = step_of(gates_of(b, p.step, unit), u, old, unit, at);
    write_h(next.h, b, p.step, unit);
    if (p.step + 1u < p.time) {
        before[(at + 1u) * H + unit] = stored(next.h);
        cells[id] = next.c;
    }
}

//: if !ALONE
@compute @workgroup_size(256)
fn forward_step(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.batch * H) { return; }
    var u = vec4f();
    if (p.step > 0u) {
        //: unroll
        for (var k = 0u; k < G; k++) {
            u[k] = product[id / H * G * H + k * H + id % H];
        }
    }
    forward_one(id / H, id % H, u);
}
//: end
//: end

//: if BACK
//: if !ALONE
@compute @workgroup_size(THREADS)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let b = linear_group(group, groups);
    if (b >= p.groups) { return; }
    let part = part_of(t);
    let line = line_of(t);
    //: if HELD
    //: names
    var held: array<array<vec4f, COLUMNS>, RUNS>;
    //: unroll
    for (var i = 0u; i < RUNS; i++) {
        //: unroll
        for (var j = 0u; j < COLUMNS; j++) {
            held[i][j] = weight(line + i * LINES, 4u * (part + j * PARTS));
        }
    }
    //: end
    for (var i = t; i < COLUMNS * PARTS; i += THREADS) { factor[i] = vec4f(); }
    for (var i = t; i < OUT * PARTS; i += THREADS) { sums[i] = 0.0; }
    workgroupBarrier();
    //: names
    var memory: array<f32, UNITS>;
    //: names
    var sum: array<vec4f, RUNS>;
    for (var step = p.time; step > 0u; step--) {
        let at = b * p.time + step - 1u;
        //: unroll
        for (var i = 0u; i < UNITS; i++) {
            let unit = t + i * THREADS;
            if (unit < H) {
                var dh = read_dy(b, step - 1u, unit) + summed(unit);
                //: if CELL == 2u
                dh += memory[i];
                //: end
                let s = slopes_of(dh, memory[i], unit, at, step == 1u);
                memory[i] = s.memory;
                write_slopes(s, unit, at);
                //: unroll
                for (var k = 0u; k < G; k++) {
                    factor[(k * H + unit) / 4u][(k * H + unit) % 4u] = s.h[k];
                }
            }
        }
        workgroupBarrier();
        //: unroll
        for (var i = 0u; i < RUNS; i++) {
            sum[i] = vec4f();
        }
        //: if HELD
        //: unroll
        //: end
        for (var j = 0u; j < COLUMNS; j++) {
            let v = factor[part + j * PARTS];
            //: unroll
            for (var i = 0u; i < RUNS; i++) {
                //: if HELD
                sum[i] += held[i][j] * v;
                //: else
                sum[i] += weight(line + i * LINES, 4u * (part + j * PARTS)) * v;
                //: end
            }
        }
        //: unroll
        for (var i = 0u; i < RUNS; i++) {
            if (line + i * LINES < OUT) {
                sums[part * OUT + line + i * LINES] = dot(sum[i], vec4f(1.0));
            }
        }
        workgroupBarrier();
    }
}

//: end

// The gradients of a step of one unit; u: what the step after it hands back to h.
fn backward_one(b: u32, unit: u32, u: f32) {
    let id = b * H + unit;
    let at = b * p.time + p.step;
    var dh = read_dy(b, p.step, unit) + u;
    var memory = 0.0;
    if (p.step + 1u < p.time) {
        memory = carried[id];
        //: if CELL == 2u
        dh += memory;
        //: end
    }
    let s = slopes_of(dh, memory, unit, at, p.step == 0u);
    carried[id] = s.memory;
    write_slopes(s, unit, at);
}

//: if !ALONE
@compute @workgroup_size(256)
fn backward_step(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.batch * H) { return; }
    var u = 0.0;
    if (p.step + 1u < p.time) { u = product[id]; }
    backward_one(id / H, id % H, u);
}
//: end
//: end
//: if ALONE
//: include recurrent_alone
//: end
