// What matmul.wgsl and, where a processor plays the GPU, matmul_alone.wgsl and
// matmul_small.wgsl share: operands, the constant block, the epilogue.
//
// Shapes:    as in matmul.wgsl
// Overrides: VEC_A, VEC_B, VEC_Y whether these, and what is like y, are read in fours;
//            BIAS, KEEP, ACCUMULATE, ACTIVATION, SLOPE the epilogue; SPLIT none of it;
//            WIDE: y is f32 whatever is stored. COLUMNS of a product `write` are valid.
//: include activation

override TA: bool = false;
override TB: bool = false;
override VEC_A: bool = false;
override VEC_B: bool = false;
override VEC_Y: bool = false;
override SPLIT: bool = false;
override BIAS: bool = false;
override KEEP: bool = false;
override WIDE: bool = false;
override ACCUMULATE: bool = false;
override ACTIVATION: u32 = 5u;
override SLOPE: u32 = 255u;

const NONE: u32 = 255u;
const LINEAR: u32 = 5u;

//: if WIDE || SPLIT
alias Out = f32;
//: else
alias Out = stored;
//: end

struct Params {
    m: u32, n: u32, k: u32, groups: u32,
    lda: u32, ldb: u32, ldy: u32, inner: u32,
    a_at: u32, a_outer: u32, a_inner: u32, splits: u32,
    b_at: u32, b_outer: u32, b_inner: u32, k_split: u32,
    y_at: u32, y_outer: u32, y_inner: u32,
    alpha: f32, beta: f32,
}

//: if VEC_A
alias InA = vec4<stored>;
//: else
alias InA = stored;
//: end
//: if VEC_B
alias InB = vec4<stored>;
//: else
alias InB = stored;
//: end
//: if VEC_Y
alias Side = vec4<stored>;
alias Result = vec4<Out>;
//: else
alias Side = stored;
alias Result = Out;
//: end
@group(0) @binding(0) var<storage, read> a: array<InA>;
@group(0) @binding(1) var<storage, read> b: array<InB>;
@group(0) @binding(2) var<storage, read> bias: array<Side>;
@group(0) @binding(3) var<storage, read> saved: array<Side>;
@group(0) @binding(4) var<storage, read_write> y: array<Result>;
@group(0) @binding(5) var<storage, read_write> before: array<Side>;
@group(0) @binding(8) var<uniform> p: Params;

fn finish(v: f32, s: f32) -> f32 {
    //: if SLOPE == NONE
    return activate(ACTIVATION, v);
    //: else
    return activate(ACTIVATION, v) * slope(SLOPE, s, s);
    //: end
}

// The products of one row from column n on, to y from `at` on.
fn write(at: u32, n: u32, product: vec4f) {
    //: if VEC_Y
    if (n >= p.n) { return; }
    let i = at / 4u;
    //: if SPLIT
    y[i] = product;
    //: else
    var v = p.alpha * product;
    //: if ACCUMULATE
    v += p.beta * vec4f(y[i]);
    //: end
    //: if BIAS
    v += vec4f(bias[n / 4u]);
    //: end
    //: if KEEP
    before[i] = Side(v);
    //: end
    //: if ACTIVATION != LINEAR || SLOPE != NONE
    var s = vec4f();
    //: if SLOPE != NONE
    s = vec4f(saved[i]);
    //: end
    v = vec4f(finish(v.x, s.x), finish(v.y, s.y), finish(v.z, s.z), finish(v.w, s.w));
    //: end
    y[i] = Result(v);
    //: end
    //: else
    //: unroll
    for (var c = 0u; c < COLUMNS; c++) {
        if (n + c < p.n) {
            //: if SPLIT
            y[at + c] = product[c];
            //: else
            var v = p.alpha * product[c];
            //: if ACCUMULATE
            v += p.beta * f32(y[at + c]);
            //: end
            //: if BIAS
            v += f32(bias[n + c]);
            //: end
            //: if KEEP
            before[at + c] = Side(v);
            //: end
            var s = 0.0;
            //: if SLOPE != NONE
            s = f32(saved[at + c]);
            //: end
            y[at + c] = Result(finish(v, s));
            //: end
        }
    }
    //: end
}
