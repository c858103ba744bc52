// Attention that never writes a score to memory, and its gradient (Dao et al. 2022).
//
//     p = softmax(scale q k^T, later keys hidden if CAUSAL),  y = p v
//     dv = p^T dy,  ds = p (dy v^T - delta),  dq = scale ds k,  dk = scale ds^T q
//
// Shapes:    qkv, dqkv (B, T, 3 N D): q, k and v of N heads of D <= 64 features each;
//            y, dy (B, T, N D); lse (B, N, T): log2 of the sum of 2^score, scores being
//            in powers of two; delta (B, N, T): the sum of dy y of each row
// Entries:   forward, backward_q: queries in registers, PAIRS * QUERIES of them a
//            workgroup, keys go by; backward_k: PAIRS keys in registers, queries go by;
//            delta_of: a thread a row
// Grid:      ceil(T / those) * N * B workgroups of 128; delta_of: B N T threads
// Overrides: D; QUERIES 1 or 2; CAUSAL; VEC reads fours (D a multiple of 4); KEEP writes
//            lse; BACK: the text of the backward entries, without forward
//
// The idea: two threads share a query, each with half of its features, so that a value
// read from workgroup memory meets two queries; the halves of a score meet there, too,
// CHUNK keys at a time. A sum of exponentials is rescaled when a greater score comes.
//: include grid

override D: u32 = 64u;
override QUERIES: u32 = 2u;
override CAUSAL: bool = false;
override VEC: bool = false;
override KEEP: bool = false;
override BACK: bool = false;

const PAIRS: u32 = 64u;
const CHUNK: u32 = 16u / QUERIES;
const KEYS: u32 = 16u;
const HALF: u32 = (D + 7u) / 8u;
const ROW: u32 = 2u * HALF;
const LOG2E: f32 = 1.4426950408889634;
const LOWEST: f32 = -3.4e38;

struct Params { time: u32, heads: u32, groups: u32, blocks: u32, scale: f32 }

//: if VEC
alias Stored = stored4;
//: else
alias Stored = stored;
//: end
@group(0) @binding(0) var<storage, read> qkv: array<Stored>;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;

@group(0) @binding(1) var<storage, read> dy: array<Stored>;
@group(0) @binding(2) var<storage, read> kept: array<f32>;
@group(0) @binding(3) var<storage, read> delta: array<f32>;
@group(0) @binding(4) var<storage, read_write> dqkv: array<Stored>;

@group(0) @binding(0) var<storage, read> out: array<stored>;
@group(0) @binding(1) var<storage, read> dout: array<stored>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(8) var<uniform> p: Params;

var<workgroup> tile_a: array<vec4f, KEYS * ROW>;
var<workgroup> tile_b: array<vec4f, KEYS * ROW>;
var<workgroup> halves: array<vec4f, 128u * 4u>;

// Features 4 i to 4 i + 3 of block `which` (q, k, v) of a step; zeros beyond D.
fn read_qkv(b: u32, step: u32, head: u32, which: u32, i: u32) -> vec4f {
    if (step >= p.time || 4u * i >= D) { return vec4f(); }
    let at = ((b * p.time + step) * 3u + which) * p.heads * D + head * D + 4u * i;
    //: if VEC
    return vec4f(qkv[at / 4u]);
    //: else
    var v = vec4f();
    for (var c = 0u; c < min(D - 4u * i, 4u); c++) { v[c] = f32(qkv[at + c]); }
    return v;
    //: end
}

fn read_dy(b: u32, step: u32, head: u32, i: u32) -> vec4f {
    if (step >= p.time || 4u * i >= D) { return vec4f(); }
    let at = (b * p.time + step) * p.heads * D + head * D + 4u * i;
    //: if VEC
    return vec4f(dy[at / 4u]);
    //: else
    var v = vec4f();
    for (var c = 0u; c < min(D - 4u * i, 4u); c++) { v[c] = f32(dy[at + c]); }
    return v;
    //: end
}

fn write_y(b: u32, step: u32, head: u32, i: u32, v: vec4f) {
    if (step >= p.time || 4u * i >= D) { return; }
    let at = (b * p.time + step) * p.heads * D + head * D + 4u * i;
    //: if VEC
    y[at / 4u] = Stored(v);
    //: else
    for (var c = 0u; c < min(D - 4u * i, 4u); c++) { y[at + c] = Stored(v[c]); }
    //: end
}

fn write_dqkv(b: u32, step: u32, head: u32, which: u32, i: u32, v: vec4f) {
    if (step >= p.time || 4u * i >= D) { return; }
    let at = ((b * p.time + step) * 3u + which) * p.heads * D + head * D + 4u * i;
    //: if VEC
    dqkv[at / 4u] = Stored(v);
    //: else
    for (var c = 0u; c < min(D - 4u * i, 4u); c++) { dqkv[at + c] = Stored(v[c]); }
    //: end
}

// s + a . b in four multiply-adds.
fn along(s: f32, a: vec4f, b: vec4f) -> f32 {
    return s + a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}

fn hidden(query: u32, key: u32) -> bool {
    return key >= p.time || (CAUSAL && key > query);
}

// Workgroup -> (sample, head, block of steps).
fn place_of(id: u32) -> vec3u {
    return vec3u(id / p.blocks / p.heads, id / p.blocks % p.heads, id % p.blocks);
}

//: if !BACK
@compute @workgroup_size(128)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups);
    if (id >= p.groups) { return; }
    let place = place_of(id);
    let b = place.x;
    let head = place.y;
    let first = (p.blocks - 1u - place.z) * PAIRS * QUERIES;
    let own = t / PAIRS * HALF;
    let other = t ^ PAIRS;

    //: names
    var q: array<array<vec4f, HALF>, QUERIES>;
    //: names
    var sum: array<array<vec4f, HALF>, QUERIES>;
    //: names
    var greatest: array<f32, QUERIES>;
    //: names
    var total: array<f32, QUERIES>;
    //: names
    var s: array<array<f32, CHUNK>, QUERIES>;
    //: names
    var part: array<vec4f, QUERIES>;
    //: unroll
    for (var n = 0u; n < QUERIES; n++) {
        greatest[n] = LOWEST;
        //: unroll
        for (var i = 0u; i < HALF; i++) {
            let query = first + t % PAIRS + n * PAIRS;
            q[n][i] = p.scale * LOG2E * read_qkv(b, query, head, 0u, own + i);
        }
    }
    let end = select(p.time, min(p.time, first + PAIRS * QUERIES), CAUSAL);
    for (var key = 0u; key < end; key += KEYS) {
        workgroupBarrier();
        for (var e = t; e < KEYS * ROW; e += 128u) {
            tile_a[e] = read_qkv(b, key + e / ROW, head, 1u, e % ROW);
            tile_b[e] = read_qkv(b, key + e / ROW, head, 2u, e % ROW);
        }
        workgroupBarrier();
        for (var c0 = 0u; c0 < KEYS; c0 += CHUNK) {
            //: unroll
            for (var c = 0u; c < CHUNK; c++) {
                //: unroll
                for (var n = 0u; n < QUERIES; n++) {
                    s[n][c] = 0.0;
                }
                //: unroll
                for (var i = 0u; i < HALF; i++) {
                    let k = tile_a[(c0 + c) * ROW + own + i];
                    //: unroll
                    for (var n = 0u; n < QUERIES; n++) {
                        s[n][c] = along(s[n][c], q[n][i], k);
                    }
                }
            }
            //: unroll
            for (var n = 0u; n < QUERIES; n++) {
                //: unroll
                for (var c = 0u; c < CHUNK; c += 4u) {
                    halves[(n * CHUNK / 4u + c / 4u) * 128u + t] =
                        vec4f(s[n][c], s[n][c + 1u], s[n][c + 2u], s[n][c + 3u]);
                }
            }
            workgroupBarrier();
            //: unroll
            for (var n = 0u; n < QUERIES; n++) {
                let query = first + t % PAIRS + n * PAIRS;
                var top = greatest[n];
                //: unroll
                for (var c = 0u; c < CHUNK; c += 4u) {
                    part[n] = halves[(n * CHUNK / 4u + c / 4u) * 128u + other];
                    //: unroll
                    for (var e = 0u; e < 4u; e++) {
                        s[n][c + e] += part[n][e];
                        if (hidden(query, key + c0 + c + e)) { s[n][c + e] = LOWEST; }
                        top = max(top, s[n][c + e]);
                    }
                }
                let smaller = exp2(greatest[n] - top);
                greatest[n] = top;
                total[n] *= smaller;
                //: unroll
                for (var i = 0u; i < HALF; i++) {
                    sum[n][i] *= smaller;
                }
                //: unroll
                for (var c = 0u; c < CHUNK; c++) {
                    s[n][c] = exp2(s[n][c] - top);
                    total[n] += s[n][c];
                }
            }
            //: unroll
            for (var c = 0u; c < CHUNK; c++) {
                //: unroll
                for (var i = 0u; i < HALF; i++) {
                    let v = tile_b[(c0 + c) * ROW + own + i];
                    //: unroll
                    for (var n = 0u; n < QUERIES; n++) {
                        sum[n][i] += s[n][c] * v;
                    }
                }
            }
            workgroupBarrier();
        }
    }
    //: unroll
    for (var n = 0u; n < QUERIES; n++) {
        let query = first + t % PAIRS + n * PAIRS;
        //: unroll
        for (var i = 0u; i < HALF; i++) {
            write_y(b, query, head, own + i, sum[n][i] / total[n]);
        }
        //: if KEEP
        if (t < PAIRS && query < p.time) {
            lse[(b * p.heads + head) * p.time + query] = greatest[n] + log2(total[n]);
        }
        //: end
    }
}
//: end

//: if BACK
@compute @workgroup_size(128)
fn delta_of(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 128u + t;
    if (id >= p.groups) { return; }
    let step = id % p.time;
    let head = id / p.time % p.heads;
    let at = (id / p.time / p.heads * p.time + step) * p.heads * D + head * D;
    var v = 0.0;
    for (var i = 0u; i < D; i++) { v += f32(out[at + i]) * f32(dout[at + i]); }
    sums[id] = v;
}

// One query and one key: 2^(score - lse) of the halves' sums, and its slope.
fn weight(score: f32, lse: f32, out_of_sight: bool) -> f32 {
    return select(exp2(score - lse), 0.0, out_of_sight);
}

@compute @workgroup_size(128)
fn backward_q(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups);
    if (id >= p.groups) { return; }
    let place = place_of(id);
    let b = place.x;
    let head = place.y;
    let first = (p.blocks - 1u - place.z) * PAIRS * QUERIES;
    let own = t / PAIRS * HALF;
    let other = t ^ PAIRS;

    //: names
    var q: array<array<vec4f, HALF>, QUERIES>;
    //: names
    var g: array<array<vec4f, HALF>, QUERIES>;
    //: names
    var sum: array<array<vec4f, HALF>, QUERIES>;
    //: names
    var s: array<array<f32, 4>, QUERIES>;
    //: names
    var d: array<array<f32, 4>, QUERIES>;
    //: names
    var row_lse: array<f32, QUERIES>;
    //: names
    var row_delta: array<f32, QUERIES>;
    //: unroll
    for (var n = 0u; n < QUERIES; n++) {
        let query = first + t % PAIRS + n * PAIRS;
        let row = (b * p.heads + head) * p.time + min(query, p.time - 1u);
        row_lse[n] = kept[row];
        row_delta[n] = delta[row];
        //: unroll
        for (var i = 0u; i < HALF; i++) {
            q[n][i] = p.scale * LOG2E * read_qkv(b, query, head, 0u, own + i);
            g[n][i] = read_dy(b, query, head, own + i);
        }
    }
    let end = select(p.time, min(p.time, first + PAIRS * QUERIES), CAUSAL);
    for (var key = 0u; key < end; key += KEYS) {
        workgroupBarrier();
        for (var e = t; e < KEYS * ROW; e += 128u) {
            tile_a[e] = read_qkv(b, key + e / ROW, head, 1u, e % ROW);
            tile_b[e] = read_qkv(b, key + e / ROW, head, 2u, e % ROW);
        }
        workgroupBarrier();
        for (var c0 = 0u; c0 < KEYS; c0 += 4u) {
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                //: unroll
                for (var n = 0u; n < QUERIES; n++) {
                    s[n][c] = 0.0;
                    d[n][c] = 0.0;
                }
                //: unroll
                for (var i = 0u; i < HALF; i++) {
                    let k = tile_a[(c0 + c) * ROW + own + i];
                    let v = tile_b[(c0 + c) * ROW + own + i];
                    //: unroll
                    for (var n = 0u; n < QUERIES; n++) {
                        s[n][c] = along(s[n][c], q[n][i], k);
                        d[n][c] = along(d[n][c], g[n][i], v);
                    }
                }
            }
            //: unroll
            for (var n = 0u; n < QUERIES; n++) {
                halves[n * 256u + t] = vec4f(s[n][0u], s[n][1u], s[n][2u], s[n][3u]);
                halves[n * 256u + 128u + t] = vec4f(d[n][0u], d[n][1u], d[n][2u], d[n][3u]);
            }
            workgroupBarrier();
            //: unroll
            for (var n = 0u; n < QUERIES; n++) {
                let query = first + t % PAIRS + n * PAIRS;
                let more_s = halves[n * 256u + other];
                let more_d = halves[n * 256u + 128u + other];
                //: unroll
                for (var c = 0u; c < 4u; c++) {
                    let sight = hidden(query, key + c0 + c);
                    let w = weight(s[n][c] + more_s[c], row_lse[n], sight);
                    s[n][c] = w * (d[n][c] + more_d[c] - row_delta[n]);
                }
            }
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                //: unroll
                for (var i = 0u; i < HALF; i++) {
                    let k = tile_a[(c0 + c) * ROW + own + i];
                    //: unroll
                    for (var n = 0u; n < QUERIES; n++) {
                        sum[n][i] += s[n][c] * k;
                    }
                }
            }
            workgroupBarrier();
        }
    }
    //: unroll
    for (var n = 0u; n < QUERIES; n++) {
        let query = first + t % PAIRS + n * PAIRS;
        //: unroll
        for (var i = 0u; i < HALF; i++) {
            write_dqkv(b, query, head, 0u, own + i, p.scale * sum[n][i]);
        }
    }
}

@compute @workgroup_size(128)
fn backward_k(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups);
    if (id >= p.groups) { return; }
    let place = place_of(id);
    let b = place.x;
    let head = place.y;
    let first = place.z * PAIRS;
    let key = first + t % PAIRS;
    let own = t / PAIRS * HALF;
    let other = t ^ PAIRS;
    let rows = (b * p.heads + head) * p.time;

    //: names
    var k: array<vec4f, HALF>;
    //: names
    var v: array<vec4f, HALF>;
    //: names
    var dk: array<vec4f, HALF>;
    //: names
    var dv: array<vec4f, HALF>;
    //: names
    var s: array<f32, 4>;
    //: names
    var d: array<f32, 4>;
    //: unroll
    for (var i = 0u; i < HALF; i++) {
        k[i] = p.scale * LOG2E * read_qkv(b, key, head, 1u, own + i);
        v[i] = read_qkv(b, key, head, 2u, own + i);
    }
    // Queries before the first key of the block see none of it.
    let begin = select(0u, first / KEYS * KEYS, CAUSAL);
    for (var query = begin; query < p.time; query += KEYS) {
        workgroupBarrier();
        for (var e = t; e < KEYS * ROW; e += 128u) {
            tile_a[e] = read_qkv(b, query + e / ROW, head, 0u, e % ROW);
            tile_b[e] = read_dy(b, query + e / ROW, head, e % ROW);
        }
        workgroupBarrier();
        for (var c0 = 0u; c0 < KEYS; c0 += 4u) {
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                s[c] = 0.0;
                d[c] = 0.0;
                //: unroll
                for (var i = 0u; i < HALF; i++) {
                    s[c] = along(s[c], k[i], tile_a[(c0 + c) * ROW + own + i]);
                    d[c] = along(d[c], v[i], tile_b[(c0 + c) * ROW + own + i]);
                }
            }
            let slot = c0 / 4u % 2u * 256u;
            halves[slot + t] = vec4f(s[0u], s[1u], s[2u], s[3u]);
            halves[slot + 128u + t] = vec4f(d[0u], d[1u], d[2u], d[3u]);
            workgroupBarrier();
            let more_s = halves[slot + other];
            let more_d = halves[slot + 128u + other];
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                let at = query + c0 + c;
                let row = rows + min(at, p.time - 1u);
                let sight = at >= p.time || hidden(at, key);
                let w = weight(s[c] + more_s[c], kept[row], sight);
                let ds = w * (d[c] + more_d[c] - delta[row]);
                //: unroll
                for (var i = 0u; i < HALF; i++) {
                    dv[i] += w * tile_b[(c0 + c) * ROW + own + i];
                    dk[i] += ds * tile_a[(c0 + c) * ROW + own + i];
                }
            }
        }
    }
    //: unroll
    for (var i = 0u; i < HALF; i++) {
        write_dqkv(b, key, head, 1u, own + i, p.scale * dk[i]);
        write_dqkv(b, key, head, 2u, own + i, dv[i]);
    }
}
//: end
