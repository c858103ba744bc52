// Convolution, its gradient for x and its gradient for the weights, each as one tiled
// product whose operand of windows is read straight from the image.
//
//     FORWARD  y[f, o] = act(bias[f] + sum over c, i, j of w[f, c, i, j] x[c, o S + (i, j) - P])
//     INPUT    dx[c, h] = sum over f, i, j of w[f, c, i, j] dy[f, (h + P - (i, j)) / S]
//     WEIGHTS  dw[f, (c, i, j)] = sum over b, o of dy[f, o] x[c, o S + (i, j) - P]
//
// Shapes:    x value (b, c, h, w) lies at b XB + c XC + h XH + w XW, y's (b, f, oh, ow) at
//            b YB + f YF + (oh OW + ow) YW, so that images come channels first and
//            sequences (H = OH = 1) channels last; weights (F, C, KH, KW); bias (F,);
//            before: as y, the value before the activation, with KEEP;
//            dw (splits, F, C KH KW) in float32, to be summed by matmul's combine.
// Products:  FORWARD (F, C KK) x (C KK, B OH OW); INPUT (C, F KK) x (F KK, B H W);
//            WEIGHTS (F, B O') x (B O', C KK), O' the outputs of a sample rounded up to
//            whole tiles, so that a tile of k is inside of one sample
// Entries:   tiled; alone (conv_alone.wgsl) for processors that play a GPU
// Grid:      tiled: the tiles of the product, over x and y; splits along z. alone: a
//            thread for TM rows and four places or, of WEIGHTS, TAPS of a kernel's row;
//            8 a workgroup, the places rounded up to quads
// Params:    alone counts places in n, and of WEIGHTS rows of outputs in k
// Overrides: those of the tile; MODE 0 FORWARD, 1 INPUT, 2 WEIGHTS; the sizes, which are
//            constants so that dividing by them is cheap; VEC writes four (YW or XW 1, all
//            else multiples of 4); of alone ALONE, TM, TAPS, and QUADS: its threads tell
//            each other
//: include activation
//: include grid
//: include tile

override MODE: u32 = 0u;
override C: u32 = 1u;
override F: u32 = 1u;
override H: u32 = 1u;
override W: u32 = 1u;
override OH: u32 = 1u;
override OW: u32 = 1u;
override KH: u32 = 1u;
override KW: u32 = 1u;
override SH: u32 = 1u;
override SW: u32 = 1u;
override PH: u32 = 0u;
override PW: u32 = 0u;
override LAST: bool = false;
override VEC: bool = false;
override BIAS: bool = false;
override KEEP: bool = false;
override ALONE: bool = false;
override QUADS: bool = false;
override TAPS: u32 = 1u;
override ACTIVATION: u32 = 5u;

const FORWARD: u32 = 0u;
const INPUT: u32 = 1u;
const WEIGHTS: u32 = 2u;
const KK: u32 = KH * KW;
const IN: u32 = H * W;
const OUT: u32 = OH * OW;
const ACROSS_A: bool = false;
const ACROSS_B: bool = true;
const STEPS: u32 = (OUT + BK - 1u) / BK;
const XB: u32 = C * IN;
const YB: u32 = F * OUT;
//: if LAST
const XC: u32 = 1u;
const XW: u32 = C;
const YF: u32 = 1u;
const YW: u32 = F;
//: else
const XC: u32 = IN;
const XW: u32 = 1u;
const YF: u32 = OUT;
const YW: u32 = 1u;
//: end
const XH: u32 = W * XW;

//: if MODE == WEIGHTS
alias Element = f32;
//: else
alias Element = stored;
//: end
//: if VEC
alias Out = vec4<Element>;
alias Kept = stored4;
//: else
alias Out = Element;
alias Kept = stored;
//: end

struct Params { m: u32, n: u32, k: u32, groups: u32, k_split: u32 }

// a is the weights or dy, b what windows are taken of: x, dy or x.
@group(0) @binding(0) var<storage, read> a: array<stored>;
@group(0) @binding(1) var<storage, read> b: array<stored>;
@group(0) @binding(2) var<storage, read> bias: array<stored>;
@group(0) @binding(3) var<storage, read_write> y: array<Out>;
@group(0) @binding(4) var<storage, read_write> before: array<Kept>;
@group(0) @binding(8) var<uniform> p: Params;

//: if ALONE
//: include conv_alone
//: else
// Of a place (b, h, w) or of a weight (c, i, j): what it adds to the position in b, and
// where it stands in the image. Sums may wrap below zero; what is read is inside.
struct Part { at: u32, h: u32, w: u32 }

// Columns n of the windows' matrix that do not move along k.
fn column_part(n: u32) -> Part {
    //: if MODE == FORWARD
    let oh = n % OUT / OW * SH;
    let ow = n % OW * SW;
    return Part(n / OUT * XB + (oh - PH) * XH + (ow - PW) * XW, oh - PH, ow - PW);
    //: end
    //: if MODE == INPUT
    return Part(n / IN * YB, n % IN / W + PH, n % W + PW);
    //: end
    //: if MODE == WEIGHTS
    let i = n % KK / KW;
    let j = n % KW;
    return Part(n / KK * XC + i * XH + j * XW, i, j);
    //: end
}

fn row_part(k: u32) -> Part {
    //: if MODE == FORWARD
    let i = k % KK / KW;
    let j = k % KW;
    return Part(k / KK * XC + i * XH + j * XW, i, j);
    //: end
    //: if MODE == INPUT
    return Part(k / KK * YF, k % KK / KW, k % KW);
    //: end
    //: if MODE == WEIGHTS
    let place = k % (STEPS * BK);
    if (place >= OUT) { return Part(0u, H, W); }
    let oh = place / OW * SH;
    let ow = place % OW * SW;
    return Part(k / (STEPS * BK) * XB + (oh - PH) * XH + (ow - PW) * XW,
        oh - PH, ow - PW);
    //: end
}

// The value where a column and a row of the windows' matrix meet; 0 in the padding.
fn meet(n: Part, k: Part) -> f32 {
    //: if MODE == INPUT
    let h = n.h - k.h;
    let w = n.w - k.w;
    if (h % SH != 0u || w % SW != 0u || h / SH >= OH || w / SW >= OW) { return 0.0; }
    return f32(b[n.at + k.at + (h / SH * OW + w / SW) * YW]);
    //: else
    if (n.h + k.h >= H || n.w + k.w >= W) { return 0.0; }
    return f32(b[n.at + k.at]);
    //: end
}

// Row m of a at k.
fn read_a(m: u32, k: u32) -> f32 {
    //: if MODE == FORWARD
    return f32(a[m * C * KK + k]);
    //: end
    //: if MODE == INPUT
    return f32(a[k / KK * C * KK + m * KK + k % KK]);
    //: end
    //: if MODE == WEIGHTS
    let place = k % (STEPS * BK);
    if (place >= OUT) { return 0.0; }
    return f32(a[k / (STEPS * BK) * YB + m * YF + place * YW]);
    //: end
}

@compute @workgroup_size(THREADS)
fn tiled(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(vec3u(group.xy, 0u), vec3u(groups.xy, 1u));
    if (id >= p.groups) { return; }
    let first = corner(id, p.m, p.n);
    let m0 = first.x;
    let n0 = first.y;
    let k_first = group.z * p.k_split;
    let k_end = min(k_first + p.k_split, p.k);
    let tx = seat(t).x;
    let ty = seat(t).y;

    //: names
    var columns: array<array<Part, 4>, LOADS_B>;
    //: unroll
    for (var l = 0u; l < LOADS_B; l++) {
        let n = n0 + place(t, l, ACROSS_B, BN).x;
        //: unroll
        for (var c = 0u; c < 4u; c++) {
            columns[l][c] = column_part(min(n + c, p.n - 1u));
        }
    }
//: include tile_sums
//: insert conv_loads
    //: unroll
    for (var stage = 1u; stage < 2u; stage++) {
//: insert tile_turn
    }
    loop {
        //: unroll
        for (var stage = 0u; stage < 2u; stage++) {
            k0 += BK;
            let more = k0 < k_end;
            if (more) {
//: insert conv_loads
            }
//: include tile_step
        }
    }

    //: unroll
    for (var i = 0u; i < TM / 4u; i++) {
        //: unroll
        for (var c = 0u; c < 4u; c++) {
            let m = m0 + 4u * (i * ROWS + ty) + c;
            if (m < p.m) {
                //: unroll
                for (var j = 0u; j < TN / 4u; j++) {
                    write(m, n0 + 4u * (j * COLS + tx), group.z, sum[4u * i + c][j]);
                }
            }
        }
    }
}

// Where y's (or dx's or dw's) value (m, n) lies.
fn target_of(m: u32, n: u32, split: u32) -> u32 {
    //: if MODE == FORWARD
    return n / OUT * YB + m * YF + n % OUT * YW;
    //: end
    //: if MODE == INPUT
    return n / IN * XB + m * XC + n % IN * XW;
    //: end
    //: if MODE == WEIGHTS
    return (split * p.m + m) * p.n + n;
    //: end
}

//: end

fn act(v: f32) -> f32 { return activate(ACTIVATION, v); }

fn biased(m: u32, v: vec4f) -> vec4f {
    //: if BIAS
    return v + f32(bias[m]);
    //: else
    return v;
    //: end
}

//: if VEC
fn write_four(at: u32, v: vec4f) {
    //: if KEEP
    before[at / 4u] = Kept(v);
    //: end
    y[at / 4u] = Out(vec4f(act(v.x), act(v.y), act(v.z), act(v.w)));
}
//: else
fn write_one(at: u32, v: f32) {
    //: if KEEP
    before[at] = Kept(v);
    //: end
    y[at] = Out(act(v));
}
//: end

//: if !ALONE
fn write(m: u32, n: u32, split: u32, sums: vec4f) {
    let v = biased(m, sums);
    //: if VEC
    if (n < p.n) { write_four(target_of(m, n, split), v); }
    //: else
    //: unroll
    for (var c = 0u; c < 4u; c++) {
        if (n + c < p.n) { write_one(target_of(m, n + c, split), v[c]); }
    }
    //: end
}
//: end
