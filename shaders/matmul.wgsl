// Matrix product with an epilogue, tiled through workgroup memory.
//
//     v = alpha a @ b + beta y + bias,  y = f(v) g'(saved)
//
// Entry `tiled` does it, or with SPLIT writes part[s] = a[:, K_s] @ b[K_s, :], whose
// sum, in order, `combine` then takes for a @ b. Entry `rows` is for few rows of a.
// Processors that play a GPU have texts of their own, matmul_alone and matmul_small.
//
// Shapes:    a (M, K), or (K, M) with TA; b (K, N), or (N, K) with TB; y (M, N);
//            bias (N,) with BIAS; saved (M, N) with SLOPE != NONE; before (M, N) = v
//            with KEEP; part (splits, outer * inner, M, N). A batch is outer x inner
//            products, every operand with a start and two strides.
// Grid:      tiled (ceil(N / BN) * ceil(M / BM), 1, outer * inner * splits), spread
//            over x and y; rows (ceil(M / RM) * ceil(N / RN), 1, outer * inner);
//            combine: a thread for four values of a row
// Overrides: those of the tile and of matmul_parts: VEC_A and VEC_B read a and b in fours
//            (strides and starts multiples of 4, and K, or zeros behind what lies along
//            k); VEC_Y the other arrays (N, strides and starts); WHOLE where every
//            workgroup of `tiled` goes through whole tiles of k; RM and RN the rows and
//            columns of y of a workgroup of `rows`, RM 1 or a multiple of 4, RN 8, 16 or
//            32; ACTIVATION, SLOPE: rows of the table.
//
// Edge tiles read the last row or column again instead of guarding: what that gives is
// not stored. Only k is guarded, with zeros.
//: include matmul_parts
//: include grid
//: include tile

override RM: u32 = 8u;
override RN: u32 = 32u;
override WHOLE: bool = false;

const ACROSS_A: bool = TA;
const ACROSS_B: bool = !TB;
const UNIT_A: u32 = select(1u, 4u, VEC_A);
const UNIT_B: u32 = select(1u, 4u, VEC_B);
const BLOCK: u32 = min(RM, 4u);
const FOURS: u32 = RN / 4u;
const SLICES: u32 = 256u / FOURS;
const ADDERS: u32 = min(SLICES / 4u, 16u);
const COLUMNS: u32 = 4u;

// What `combine` reads in a's place.
//: if VEC_Y
@group(0) @binding(0) var<storage, read> part: array<vec4f>;
//: else
@group(0) @binding(0) var<storage, read> part: array<f32>;
//: end

// Four values of a from `start` on (in fours with VEC_A), which is at `k` of `end`; zeros
// beyond the end. They lie along k, or with TA across it: then `room` more than the first
// may be read. Asking for the end in every load takes a tenth of the time: not if WHOLE.
fn read_a(start: u32, k: u32, end: u32, room: u32) -> vec4f {
    //: if !WHOLE
    if (k >= end) { return vec4f(); }
    //: end
    //: if VEC_A
    return vec4f(a[start]);
    //: end
    //: if !VEC_A && TA
    return vec4f(vec4<stored>(
        a[start], a[start + min(1u, room)], a[start + min(2u, room)], a[start + room]));
    //: end
    //: if !VEC_A && !TA
    if (k + 3u < end) {
        return vec4f(vec4<stored>(a[start], a[start + 1u], a[start + 2u], a[start + 3u]));
    }
    var v = vec4f(f32(a[start]), 0.0, 0.0, 0.0);
    if (k + 1u < end) { v.y = f32(a[start + 1u]); }
    if (k + 2u < end) { v.z = f32(a[start + 2u]); }
    return v;
    //: end
}

fn read_b(start: u32, k: u32, end: u32, room: u32) -> vec4f {
    //: if !WHOLE
    if (k >= end) { return vec4f(); }
    //: end
    //: if VEC_B
    return vec4f(b[start]);
    //: end
    //: if !VEC_B && !TB
    return vec4f(vec4<stored>(
        b[start], b[start + min(1u, room)], b[start + min(2u, room)], b[start + room]));
    //: end
    //: if !VEC_B && TB
    if (k + 3u < end) {
        return vec4f(vec4<stored>(b[start], b[start + 1u], b[start + 2u], b[start + 3u]));
    }
    var v = vec4f(f32(b[start]), 0.0, 0.0, 0.0);
    if (k + 1u < end) { v.y = f32(b[start + 1u]); }
    if (k + 2u < end) { v.z = f32(b[start + 2u]); }
    return v;
    //: end
}

// The last place from which values are read: fours may end beyond the matrix.
fn last(size: u32, fours: bool) -> u32 {
    if (fours) { return (size - 1u) / 4u * 4u; }
    return size - 1u;
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
    let batch = group.z / p.splits;
    let split = group.z % p.splits;
    let outer = batch / p.inner;
    let inner = batch % p.inner;
    let k_first = split * p.k_split;
    let k_end = min(k_first + p.k_split, p.k);

    let tx = seat(t).x;
    let ty = seat(t).y;

    //: names
    var start_a: array<u32, LOADS_A>;
    //: names
    var room_a: array<u32, LOADS_A>;
    //: names
    var start_b: array<u32, LOADS_B>;
    //: names
    var room_b: array<u32, LOADS_B>;
    let step_a = select(1u, p.lda, TA);
    let step_b = select(p.ldb, 1u, TB);
    let base_a = p.a_at + outer * p.a_outer + inner * p.a_inner;
    let base_b = p.b_at + outer * p.b_outer + inner * p.b_inner;
    //: unroll
    for (var l = 0u; l < LOADS_A; l++) {
        let at = place(t, l, ACROSS_A, BM);
        let m = min(m0 + at.x, last(p.m, VEC_A && TA));
        room_a[l] = min(3u, p.m - 1u - m);
        start_a[l] = (base_a + m * select(p.lda, 1u, TA) + (k_first + at.y) * step_a)
            / UNIT_A;
    }
    //: unroll
    for (var l = 0u; l < LOADS_B; l++) {
        let at = place(t, l, ACROSS_B, BN);
        let n = min(n0 + at.x, last(p.n, VEC_B && !TB));
        room_b[l] = min(3u, p.n - 1u - n);
        start_b[l] = (base_b + n * select(1u, p.ldb, TB) + (k_first + at.y) * step_b)
            / UNIT_B;
    }

//: include tile_sums
//: insert matmul_loads
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
//: insert matmul_loads
            }
//: include tile_step
        }
    }

    //: if SPLIT
    let base_y = (split * (groups.z / p.splits) + batch) * p.m * p.n;
    let row_y = p.n;
    //: else
    let base_y = p.y_at + outer * p.y_outer + inner * p.y_inner;
    let row_y = p.ldy;
    //: end
    //: unroll
    for (var i = 0u; i < TM / 4u; i++) {
        //: unroll
        for (var c = 0u; c < 4u; c++) {
            let m = m0 + 4u * (i * ROWS + ty) + c;
            if (m < p.m) {
                //: unroll
                for (var j = 0u; j < TN / 4u; j++) {
                    let n = n0 + 4u * (j * COLS + tx);
                    write(base_y + m * row_y + n, n, sum[4u * i + c][j]);
                }
            }
        }
    }
}

// A workgroup has RM x RN values of y. Its threads take 4 columns each and every SLICES'
// four of k; their sums meet in workgroup memory. Lanes read b along its rows.
var<workgroup> slices: array<array<vec4f, 256>, BLOCK>;

@compute @workgroup_size(256)
fn rows(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(vec3u(group.xy, 0u), vec3u(groups.xy, 1u));
    if (id >= p.groups) { return; }
    let across_n = (p.n + RN - 1u) / RN;
    let m0 = id / across_n * RM;
    let n0 = id % across_n * RN;
    let outer = group.z / p.inner;
    let inner = group.z % p.inner;
    let base_a = p.a_at + outer * p.a_outer + inner * p.a_inner;
    let base_b = p.b_at + outer * p.b_outer + inner * p.b_inner;
    let base_y = p.y_at + outer * p.y_outer + inner * p.y_inner;

    let slice = select(t / FOURS, t % SLICES, TB);
    let part_n = select(t % FOURS, t / SLICES, TB);
    let n = min(n0 + 4u * part_n, last(p.n, VEC_B && !TB));
    let room = min(3u, p.n - 1u - n);
    //: names
    var sum: array<vec4f, RM>;
    //: names
    var vb: array<vec4f, 4>;
    for (var k = 4u * slice; k < p.k; k += 4u * SLICES) {
        //: unroll
        for (var i = 0u; i < 4u; i++) {
            //: if TB
            vb[i] = read_b((base_b + (n + min(i, room)) * p.ldb + k) / UNIT_B, k, p.k, 0u);
            //: else
            vb[i] = read_b((base_b + (k + i) * p.ldb + n) / UNIT_B, k + i, p.k, room);
            //: end
        }
        //: unroll
        for (var r = 0u; r < RM; r++) {
            let row_a = base_a + min(m0 + r, p.m - 1u) * p.lda;
            let va = read_a((row_a + k) / UNIT_A, k, p.k, 0u);
            //: if TB
            sum[r] += vec4f(dot(va, vb[0]), dot(va, vb[1]), dot(va, vb[2]), dot(va, vb[3]));
            //: else
            sum[r] += va.x * vb[0] + va.y * vb[1] + va.z * vb[2] + va.w * vb[3];
            //: end
        }
    }
    // ADDERS threads add up the slices of a row's four, one of another row's what they
    // found: thread t of row t / FOURS.
    let four = t / ADDERS % FOURS;
    let row = t / ADDERS / FOURS;
    let place = t % ADDERS * FOURS + four;
    var total = vec4f();
    //: unroll
    for (var first = 0u; first < RM; first += BLOCK) {
        //: unroll
        for (var r = 0u; r < BLOCK; r++) {
            slices[r][slice * FOURS + part_n] = sum[first + r];
        }
        workgroupBarrier();
        if (row < BLOCK) {
            var found = slices[row][place];
            //: unroll
            for (var i = 1u; i < SLICES / ADDERS; i++) {
                found += slices[row][place + i * ADDERS * FOURS];
            }
            slices[row][place] = found;
        }
        workgroupBarrier();
        let mine = t / FOURS - first;
        if (mine < BLOCK) {
            for (var i = t % FOURS; i < ADDERS * FOURS; i += FOURS) {
                total += slices[mine][i];
            }
        }
        workgroupBarrier();
    }
    let m = m0 + t / FOURS;
    let column = n0 + t % FOURS * 4u;
    if (t < RM * FOURS && m < p.m && column < p.n) {
        write(base_y + m * p.ldy + column, column, total);
    }
}

@compute @workgroup_size(256)
fn combine(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let columns = (p.n + 3u) / 4u;
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.groups) { return; }
    let batch = id / (p.m * columns);
    let m = id / columns % p.m;
    let n = id % columns * 4u;
    let at = (batch * p.m + m) * p.n + n;
    let step = p.groups / columns * p.n;
    var total = vec4f();
    for (var s = 0u; s < p.splits; s++) {
        let start = at + s * step;
        //: if VEC_Y
        total += part[start / 4u];
        //: else
        total += vec4f(part[start], part[start + min(1u, p.n - 1u - n)],
            part[start + min(2u, p.n - 1u - n)], part[start + min(3u, p.n - 1u - n)]);
        //: end
    }
    let base_y = p.y_at + batch / p.inner * p.y_outer + batch % p.inner * p.y_inner;
    write(base_y + m * p.ldy + n, n, total);
}
