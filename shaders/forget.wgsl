// Forget pooling, the recurrence of QRNN and SRU, and what stands around it.
//
//     c_t = f_t c_{t-1} + (1 - f_t) z_t,  c_0 = 0
//     QRNN  z = tanh(v_z), f, o = sigmoid(v_f, v_o),  y = o c
//     SRU   z = v_z, f, r = sigmoid(v_f + b_f, v_r + b_r),  y = r g + (1 - r) p,
//           with g an activation of c, and p = v_p, or x without OWN
//
// Shapes:    v, dv (B, T, parts H), the parts z, f, o | z, f, r | z, f, r, p; bias (2 H,);
//            c, g, dc, dg, x, dp (B, T, H), c in float32; y, dy (B, T, H), or (B, H)
//            without ALL
// Entries:   pool: c, and QRNN's y; pool_backward: the z, f (and o) parts of dv; a thread
//            a unit and sample, which goes through time.
//            mix: SRU's y; mix_backward: dg, the r and p parts of dv, or dp; a thread a
//            value
// Overrides: SRU, or QRNN; OWN: p is a part of v; ALL
//: include activation
//: include grid

override SRU: bool = false;
override OWN: bool = false;
override ALL: bool = true;

struct Params { batch: u32, time: u32, units: u32 }

//: if SRU
const PARTS: u32 = 3u + u32(OWN);
//: else
const PARTS: u32 = 3u;
//: end

@group(0) @binding(0) var<storage, read> v: array<stored>;
@group(0) @binding(1) var<storage, read> bias: array<stored>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<stored>;
@group(0) @binding(8) var<uniform> p: Params;

// pool_backward: dy is of y for QRNN, of c for SRU.
@group(0) @binding(2) var<storage, read> kept: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<stored>;
@group(0) @binding(4) var<storage, read_write> dv: array<stored>;

// mix and mix_backward
@group(0) @binding(2) var<storage, read> g: array<stored>;
@group(0) @binding(3) var<storage, read> x: array<stored>;
@group(0) @binding(4) var<storage, read_write> mixed: array<stored>;
@group(0) @binding(4) var<storage, read> dmixed: array<stored>;
@group(0) @binding(5) var<storage, read_write> dg: array<stored>;
@group(0) @binding(6) var<storage, read_write> dparts: array<stored>;
@group(0) @binding(7) var<storage, read_write> dp: array<stored>;

fn part(at: u32, unit: u32, which: u32) -> f32 {
    return f32(v[at * PARTS * p.units + which * p.units + unit]);
}

// A gate: SRU's have their bias here, QRNN's in the product before.
fn gate(at: u32, unit: u32, which: u32) -> f32 {
    //: if SRU
    return sigmoid(part(at, unit, which) + f32(bias[(which - 1u) * p.units + unit]));
    //: else
    return sigmoid(part(at, unit, which));
    //: end
}

fn source(at: u32, unit: u32) -> f32 {
    //: if SRU
    return part(at, unit, 0u);
    //: else
    return tanh_of(part(at, unit, 0u));
    //: end
}

@compute @workgroup_size(64)
fn pool(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 64u + t;
    if (id >= p.batch * p.units) { return; }
    let b = id / p.units;
    let unit = id % p.units;
    var state = 0.0;
    for (var step = 0u; step < p.time; step++) {
        let at = b * p.time + step;
        let z = source(at, unit);
        state = z + gate(at, unit, 1u) * (state - z);
        c[at * p.units + unit] = state;
        //: if !SRU
        if (ALL) {
            y[at * p.units + unit] = stored(gate(at, unit, 2u) * state);
        } else if (step + 1u == p.time) {
            y[id] = stored(gate(at, unit, 2u) * state);
        }
        //: end
    }
}

@compute @workgroup_size(64)
fn pool_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 64u + t;
    if (id >= p.batch * p.units) { return; }
    let b = id / p.units;
    let unit = id % p.units;
    var carried = 0.0;
    for (var step = p.time; step > 0u; step--) {
        let at = b * p.time + step - 1u;
        let n = at * p.units + unit;
        let to = at * PARTS * p.units + unit;
        let z = source(at, unit);
        let f = gate(at, unit, 1u);
        var old = 0.0;
        if (step > 1u) { old = kept[n - p.units]; }
        //: if SRU
        let dc = carried + f32(dy[n]);
        dv[to] = stored(dc * (1.0 - f));
        //: else
        var d = 0.0;
        if (ALL) { d = f32(dy[n]); } else if (step == p.time) { d = f32(dy[id]); }
        let o = gate(at, unit, 2u);
        let dc = carried + d * o;
        dv[to] = stored(dc * (1.0 - f) * (1.0 - z * z));
        dv[to + 2u * p.units] = stored(d * kept[n] * o * (1.0 - o));
        //: end
        dv[to + p.units] = stored(dc * (old - z) * f * (1.0 - f));
        carried = dc * f;
    }
}

//: if SRU
fn highway(at: u32, unit: u32) -> f32 {
    //: if OWN
    return part(at, unit, 3u);
    //: else
    return f32(x[at * p.units + unit]);
    //: end
}

@compute @workgroup_size(256)
fn mix(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    let steps = select(1u, p.time, ALL);
    if (id >= p.batch * steps * p.units) { return; }
    let unit = id % p.units;
    let at = select((id / p.units + 1u) * p.time - 1u, id / p.units, ALL);
    let from_x = highway(at, unit);
    let r = gate(at, unit, 2u);
    mixed[id] = stored(from_x + r * (f32(g[at * p.units + unit]) - from_x));
}

@compute @workgroup_size(256)
fn mix_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.batch * p.time * p.units) { return; }
    let unit = id % p.units;
    let at = id / p.units;
    // Without ALL only the last step's output meets a gradient.
    var d = 0.0;
    if (ALL) {
        d = f32(dmixed[id]);
    } else if (at % p.time + 1u == p.time) {
        d = f32(dmixed[at / p.time * p.units + unit]);
    }
    let r = gate(at, unit, 2u);
    let to = at * PARTS * p.units + unit;
    dg[id] = stored(d * r);
    dparts[to + 2u * p.units] = stored(d * (f32(g[id]) - highway(at, unit)) * r * (1.0 - r));
    //: if OWN
    dparts[to + 3u * p.units] = stored(d * (1.0 - r));
    //: else
    dp[id] = stored(d * (1.0 - r));
    //: end
}
//: end
