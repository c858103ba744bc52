// Sums and greatest values over the LANES threads that share a row of a workgroup of 256.
// All threads of the workgroup must call these together. LANES is a power of two; one
// thread alone waits for none.

override LANES: u32 = 64u;

//: if LANES > 1u
var<workgroup> lanes: array<vec2f, 256>;
//: end

// The sums of v over the lanes, for each of them.
fn sum_lanes(v: vec2f, t: u32) -> vec2f {
    //: if LANES == 1u
    return v;
    //: else
    lanes[t] = v;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t % LANES < half) { lanes[t] += lanes[t + half]; }
    }
    workgroupBarrier();
    let total = lanes[t / LANES * LANES];
    workgroupBarrier();
    return total;
    //: end
}

// Of pairs (greatest x, sum of exp(x - greatest)) over parts: that over the whole.
fn join(a: vec2f, b: vec2f) -> vec2f {
    let top = max(a.x, b.x);
    return vec2f(top, a.y * exp(a.x - top) + b.y * exp(b.x - top));
}

fn join_lanes(v: vec2f, t: u32) -> vec2f {
    //: if LANES == 1u
    return v;
    //: else
    lanes[t] = v;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t % LANES < half) { lanes[t] = join(lanes[t], lanes[t + half]); }
    }
    workgroupBarrier();
    let whole = lanes[t / LANES * LANES];
    workgroupBarrier();
    return whole;
    //: end
}
