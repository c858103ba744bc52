// Normalisation of rows (LayerNorm; RMSNorm without CENTER) and of channels (BatchNorm).
//
//     r = (x - mean) rstd,  rstd = 1 / sqrt(mean((x - mean)^2) + epsilon)
//     rows      y = r weight + bias,  dx = rstd (g - mean(g) - r mean(g r)), g = dy weight
//     channels  the same y, and dx = rstd weight (dy - dbias / n - r dweight / n)
//
// Shapes:    x, y, dy, dx (rows, columns), weight, bias (columns,), mean, rstd (rows,);
//            channels: value n of x is of channel n / run % channels
// Entries:   forward, backward: LANES threads a row, 256 / LANES rows a workgroup;
//            settle: a thread a channel, from mean and var to rstd and the running
//            statistics; settle_running: rstd from the running ones; apply,
//            apply_backward: a thread for each value
// Overrides: LANES; VEC reads fours; CENTER: the mean is taken off; KEEP writes mean and
//            rstd; TRAINED: mean and var were the batch's own
//: include grid
//: include lanes

override VEC: bool = false;
override CENTER: bool = true;
override KEEP: bool = false;
override TRAINED: bool = true;

struct Params {
    rows: u32, columns: u32, groups: u32, run: u32,
    epsilon: f32, momentum: f32, count: f32,
}

//: if VEC
alias Stored = vec4<stored>;
alias Value = vec4f;
const WIDTH: u32 = 4u;
//: else
alias Stored = stored;
alias Value = f32;
const WIDTH: u32 = 1u;
//: end

@group(0) @binding(0) var<storage, read> x: array<Stored>;
@group(0) @binding(1) var<storage, read> weight: array<Stored>;
@group(0) @binding(2) var<storage, read> bias: array<Stored>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(8) var<uniform> p: Params;

// The backward passes and apply bind what was kept after these.
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read> kept_mean: array<f32>;
@group(0) @binding(4) var<storage, read> kept_rstd: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<Stored>;
@group(0) @binding(5) var<storage, read> dweight: array<f32>;
@group(0) @binding(6) var<storage, read> dbias: array<f32>;
@group(0) @binding(7) var<storage, read_write> dz: array<Stored>;
@group(0) @binding(5) var<storage, read_write> z: array<Stored>;

// settle
@group(0) @binding(0) var<storage, read> batch_mean: array<f32>;
@group(0) @binding(1) var<storage, read> batch_var: array<f32>;
@group(0) @binding(2) var<storage, read_write> new_rstd: array<f32>;
@group(0) @binding(3) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_var: array<f32>;

fn total(v: Value) -> f32 {
    //: if VEC
    return (v.x + v.y) + (v.z + v.w);
    //: else
    return v;
    //: end
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let r = linear_group(group, groups) * (256u / LANES) + t / LANES;
    let inside = r < p.rows;
    let count = select(0u, p.columns / WIDTH, inside);
    let start = r * (p.columns / WIDTH);
    let n = f32(p.columns);
    var middle = 0.0;
    //: if CENTER
    var sum = 0.0;
    for (var i = t % LANES; i < count; i += LANES) { sum += total(Value(x[start + i])); }
    middle = sum_lanes(vec2f(sum, 0.0), t).x / n;
    //: end
    var squares = 0.0;
    for (var i = t % LANES; i < count; i += LANES) {
        let d = Value(x[start + i]) - middle;
        squares += total(d * d);
    }
    squares = sum_lanes(vec2f(squares, 0.0), t).x;
    let scale = 1.0 / sqrt(squares / n + p.epsilon);
    for (var i = t % LANES; i < count; i += LANES) {
        var v = (Value(x[start + i]) - middle) * scale * Value(weight[i]);
        //: if CENTER
        v += Value(bias[i]);
        //: end
        y[start + i] = Stored(v);
    }
    //: if KEEP
    if (inside && t % LANES == 0u) {
        //: if CENTER
        mean[r] = middle;
        //: end
        rstd[r] = scale;
    }
    //: end
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let r = linear_group(group, groups) * (256u / LANES) + t / LANES;
    let count = select(0u, p.columns / WIDTH, r < p.rows);
    let start = r * (p.columns / WIDTH);
    var middle = 0.0;
    var scale = 0.0;
    if (r < p.rows) {
        scale = kept_rstd[r];
        //: if CENTER
        middle = kept_mean[r];
        //: end
    }
    var sums = vec2f();
    for (var i = t % LANES; i < count; i += LANES) {
        let g = Value(dy[start + i]) * Value(weight[i]);
        let row = (Value(x[start + i]) - middle) * scale;
        sums += vec2f(total(g), total(g * row));
    }
    sums = sum_lanes(sums, t) / f32(p.columns);
    for (var i = t % LANES; i < count; i += LANES) {
        let g = Value(dy[start + i]) * Value(weight[i]);
        let row = (Value(x[start + i]) - middle) * scale;
        //: if CENTER
        dx[start + i] = Stored(scale * (g - sums.x - row * sums.y));
        //: else
        dx[start + i] = Stored(scale * (g - row * sums.y));
        //: end
    }
}

@compute @workgroup_size(256)
fn settle(@builtin(global_invocation_id) id: vec3u) {
    let c = id.x;
    if (c >= p.columns) { return; }
    new_rstd[c] = 1.0 / sqrt(batch_var[c] + p.epsilon);
    let unbiased = batch_var[c] * (p.count / (p.count - 1.0));
    running_mean[c] += p.momentum * (batch_mean[c] - running_mean[c]);
    running_var[c] += p.momentum * (unbiased - running_var[c]);
}

@compute @workgroup_size(256)
fn settle_running(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= p.columns) { return; }
    new_rstd[id.x] = 1.0 / sqrt(batch_var[id.x] + p.epsilon);
}

//: if !VEC
@compute @workgroup_size(256)
fn apply(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let n = linear_group(group, groups) * 256u + t;
    if (n >= p.rows) { return; }
    let c = n / p.run % p.columns;
    let v = (f32(x[n]) - kept_mean[c]) * kept_rstd[c];
    z[n] = stored(v * f32(weight[c]) + f32(bias[c]));
}

@compute @workgroup_size(256)
fn apply_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let n = linear_group(group, groups) * 256u + t;
    if (n >= p.rows) { return; }
    let c = n / p.run % p.columns;
    var d = f32(dy[n]);
    //: if TRAINED
    let v = (f32(x[n]) - kept_mean[c]) * kept_rstd[c];
    d -= (dbias[c] + v * dweight[c]) / p.count;
    //: end
    dz[n] = stored(d * kept_rstd[c] * f32(weight[c]));
}
//: end
