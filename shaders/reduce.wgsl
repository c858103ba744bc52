// Sum, least or greatest value along the middle axis of (outer, middle, inner).
//
//     y[o, i] = scale * OP over r of map(x[o, r, i])
//
// Shapes:    x (outer, middle, inner); y (outer, chunks, inner), since a long middle axis
//            is cut into chunks of `chunk` values, which a second run then reduces.
// Entries:   across   inner > 1: a thread a column, THREADS / 32 of them down: columns 32
//                     at a time
//            along    inner = 1: LANES threads a row
// Grid:      across (ceil(inner / 32), chunks, outer); along ceil(outer * chunks /
//            (THREADS / LANES)) workgroups
// Overrides: LANES; THREADS of a workgroup: 32, and 1 lane, on a processor, where waiting
//            for each other is slow; OP 0 sum, 1 least, 2 greatest; WIDE: x is f32
//            whatever is stored; NARROW: y is as stored, else f32;
//            MAP 0 x; 1 (x - mean)^2; 2 x (z - mean) rstd, with mean and rstd of the
//            channel; 3 as 2, with those of the row; 4 as 3 without mean.
// Rows:      across, row r of x begins at r * pitch + start: columns of a wider array.
// Channels:  value n of x has channel n / run % channels; its row is n / row.
//: include grid

override LANES: u32 = 64u;
override THREADS: u32 = 256u;
override OP: u32 = 0u;
override MAP: u32 = 0u;
override WIDE: bool = false;
override NARROW: bool = false;

struct Params {
    outer: u32, middle: u32, inner: u32, chunks: u32, chunk: u32,
    run: u32, channels: u32, row: u32, pitch: u32, start: u32, scale: f32,
}

//: if WIDE
alias In = f32;
//: else
alias In = stored;
//: end
//: if NARROW
alias Out = stored;
//: else
alias Out = f32;
//: end
@group(0) @binding(0) var<storage, read> x: array<In>;
@group(0) @binding(1) var<storage, read> z: array<stored>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Out>;
@group(0) @binding(8) var<uniform> p: Params;

fn value(n: u32) -> f32 {
    //: if MAP == 0u
    return f32(x[n]);
    //: end
    //: if MAP == 1u
    let d = f32(x[n]) - mean[n / p.run % p.channels];
    return d * d;
    //: end
    //: if MAP == 2u
    let c = n / p.run % p.channels;
    return f32(x[n]) * (f32(z[n]) - mean[c]) * rstd[c];
    //: end
    //: if MAP == 3u
    return f32(x[n]) * (f32(z[n]) - mean[n / p.row]) * rstd[n / p.row];
    //: end
    //: if MAP == 4u
    return f32(x[n]) * f32(z[n]) * rstd[n / p.row];
    //: end
}

fn first() -> f32 {
    //: if OP == 0u
    return 0.0;
    //: end
    //: if OP == 1u
    return bitcast<f32>(0x7f800000u + p.outer - p.outer);
    //: end
    //: if OP == 2u
    return bitcast<f32>(0xff800000u + p.outer - p.outer);
    //: end
}

// A NaN among the values stays: min and max alone may drop it.
fn together(a: f32, b: f32) -> f32 {
    //: if OP == 0u
    return a + b;
    //: end
    //: if OP == 1u
    return select(select(min(a, b), b, nan(b)), a, nan(a));
    //: end
    //: if OP == 2u
    return select(select(max(a, b), b, nan(b)), a, nan(a));
    //: end
}

fn nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

var<workgroup> block: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn across(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
    let column = group.x * 32u + t % 32u;
    let begin = group.y * p.chunk;
    let end = min(begin + p.chunk, p.middle);
    var v = first();
    if (column < p.inner) {
        for (var r = begin + t / 32u; r < end; r += THREADS / 32u) {
            v = together(v, value((group.z * p.middle + r) * p.pitch + p.start + column));
        }
    }
    //: if THREADS > 32u
    block[t] = v;
    for (var half = THREADS / 2u; half >= 32u; half /= 2u) {
        workgroupBarrier();
        if (t < half) { block[t] = together(block[t], block[t + half]); }
    }
    v = block[t];
    //: end
    if (t < 32u && column < p.inner) {
        y[(group.z * p.chunks + group.y) * p.inner + column] = Out(p.scale * v);
    }
}

@compute @workgroup_size(THREADS)
fn along(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * (THREADS / LANES) + t / LANES;
    let inside = id < p.outer * p.chunks;
    let outer = id / p.chunks;
    let begin = id % p.chunks * p.chunk;
    let end = select(0u, min(begin + p.chunk, p.middle), inside);
    var v = first();
    for (var r = begin + t % LANES; r < end; r += LANES) {
        v = together(v, value(outer * p.middle + r));
    }
    //: if LANES > 1u
    block[t] = v;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (t % LANES < half) { block[t] = together(block[t], block[t + half]); }
    }
    v = block[t];
    //: end
    if (t % LANES == 0u && inside) { y[id] = Out(p.scale * v); }
}
