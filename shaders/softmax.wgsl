// Softmax along a row, and its gradient; rows of any length.
//
//     y = exp(s x - max) / sum exp(s x - max)                 entry `forward`
//     dx = s y (dy - sum dy y)                                entry `backward`
//
// Shapes:    x, y, dy, dx (rows, columns), or with `inner` > 1 (outer, columns, inner):
//            the value i of row r lies at r / inner * columns * inner + i * inner
//            + r % inner.
// Grid:      ceil(rows / (256 / LANES)) workgroups, LANES threads a row
// Overrides: LANES; VEC reads fours (columns a multiple of 4, inner 1); IN_PLACE: y is
//            x, dx is dy, and only written to; CAUSAL: row r sees its first
//            first + r % queries + 1 columns, the others are 0.
//
// The greatest value and the sum come in one pass: each thread keeps both for its part,
// and rescales its sum when a greater value comes (Milakov and Gimelshein 2018).
//: include grid
//: include lanes

override VEC: bool = false;
override IN_PLACE: bool = false;
override CAUSAL: bool = false;

struct Params {
    rows: u32, columns: u32, inner: u32, queries: u32, first: u32, groups: u32, scale: f32,
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
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(8) var<uniform> p: Params;

// The backward pass binds y and dy in front of dx.
@group(0) @binding(0) var<storage, read> saved: array<Stored>;
@group(0) @binding(1) var<storage, read> dy: array<Stored>;
@group(0) @binding(2) var<storage, read_write> dx: array<Stored>;

const LOWEST: f32 = -3.4e38;

fn greatest(v: Value) -> f32 {
    //: if VEC
    return max(max(v.x, v.y), max(v.z, v.w));
    //: else
    return v;
    //: end
}

fn total(v: Value) -> f32 {
    //: if VEC
    return (v.x + v.y) + (v.z + v.w);
    //: else
    return v;
    //: end
}

fn load(i: u32) -> Value {
    //: if IN_PLACE
    return Value(y[i]);
    //: else
    return Value(x[i]);
    //: end
}

// Columns from `first` on that are not seen become what exp makes 0 of.
fn seen(v: Value, first: u32, count: u32) -> Value {
    //: if CAUSAL && VEC
    let at = vec4u(first, first + 1u, first + 2u, first + 3u);
    return select(vec4f(LOWEST), v, at < vec4u(count));
    //: end
    //: if CAUSAL && !VEC
    return select(LOWEST, v, first < count);
    //: end
    //: if !CAUSAL
    return v;
    //: end
}

// Where row r begins, in units of Stored.
fn begin(r: u32) -> u32 {
    return (r / p.inner * p.columns * p.inner + r % p.inner) / WIDTH;
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let r = linear_group(group, groups) * (256u / LANES) + t / LANES;
    let count = select(0u, p.columns / WIDTH, r < p.rows);
    let start = begin(r);
    let visible = select(p.columns, p.first + r % p.queries + 1u, CAUSAL);
    var whole = vec2f(LOWEST, 0.0);
    for (var i = t % LANES; i < count; i += LANES) {
        let v = seen(p.scale * load(start + i * p.inner), i * WIDTH, visible);
        let top = max(whole.x, greatest(v));
        whole = vec2f(top, whole.y * exp(whole.x - top) + total(exp(v - top)));
    }
    whole = join_lanes(whole, t);
    for (var i = t % LANES; i < count; i += LANES) {
        let v = seen(p.scale * load(start + i * p.inner), i * WIDTH, visible);
        y[start + i * p.inner] = Stored(exp(v - whole.x) / whole.y);
    }
}

fn load_dy(i: u32) -> Value {
    //: if IN_PLACE
    return Value(dx[i]);
    //: else
    return Value(dy[i]);
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
    let start = begin(r);
    var along = 0.0;
    for (var i = t % LANES; i < count; i += LANES) {
        let at = start + i * p.inner;
        along += total(load_dy(at) * Value(saved[at]));
    }
    along = sum_lanes(vec2f(along, 0.0), t).x;
    for (var i = t % LANES; i < count; i += LANES) {
        let at = start + i * p.inner;
        dx[at] = Stored(p.scale * Value(saved[at]) * (load_dy(at) - along));
    }
}
