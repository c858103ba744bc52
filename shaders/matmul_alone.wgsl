// matmul.wgsl's product on a processor that plays a GPU: a thread has TM x 4 values of y
// and reads a and b, four steps of k at a time, straight from where they lie. There
// workgroup memory is no faster, threads wait for each other slowly, and each branch
// costs: so what lies behind the last four of k comes after the loop, and the last row or
// column is read again instead of none. What a read costs is the most of it: with TEAM,
// the four threads of a quad have the same rows of y, and each reads a fourth of a for
// all of them.
//
// Shapes:    as in matmul.wgsl
// Grid:      a thread for TM x 4 values, 8 a workgroup, spread over x and y; z outer *
//            inner
// Overrides: those of matmul_parts, as in matmul.wgsl; TM 1 or a multiple of 4; TEAM 4
//            where quads share what they read of a, else 1; WHOLE: K is a multiple of 4
//: include matmul_parts

override TM: u32 = 4u;
override TEAM: u32 = 1u;
override WHOLE: bool = false;

const COLUMNS: u32 = 4u;
const LINES: u32 = max(TM / 4u, 1u);

// Four values, the last ones `room` or less from the first.
fn four_a(at: u32, room: u32) -> vec4f {
    //: if VEC_A
    return vec4f(a[at / 4u]);
    //: else
    return vec4f(vec4<stored>(
        a[at], a[at + min(1u, room)], a[at + min(2u, room)], a[at + room]));
    //: end
}

fn four_b(at: u32, room: u32) -> vec4f {
    //: if VEC_B
    return vec4f(b[at / 4u]);
    //: else
    return vec4f(vec4<stored>(
        b[at], b[at + min(1u, room)], b[at + min(2u, room)], b[at + room]));
    //: end
}

//: if !WHOLE
fn one_a(at: u32) -> f32 {
    //: if VEC_A
    return f32(a[at / 4u][at % 4u]);
    //: else
    return f32(a[at]);
    //: end
}

fn one_b(at: u32) -> f32 {
    //: if VEC_B
    return f32(b[at / 4u][at % 4u]);
    //: else
    return f32(b[at]);
    //: end
}
//: end

@compute @workgroup_size(8)
fn alone(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = (group.x + groups.x * group.y) * 8u + t;
    // Down before across: what runs at the same time shares columns of b in the cache.
    let down_m = (p.m + TM - 1u) / TM;
    let m0 = id / TEAM % down_m * TM;
    let column = (id / TEAM / down_m * TEAM + id % TEAM) * 4u;
    let n0 = min(column, (p.n - 1u) / 4u * 4u);
    let outer = group.z / p.inner;
    let inner = group.z % p.inner;
    let base_a = p.a_at + outer * p.a_outer + inner * p.a_inner;
    let base_b = p.b_at + outer * p.b_outer + inner * p.b_inner;
    let base_y = p.y_at + outer * p.y_outer + inner * p.y_inner;

    //: names
    var at_a: array<u32, LINES>;
    //: names
    var room_a: array<u32, LINES>;
    //: names
    var at_b: array<u32, 4>;
    //: names
    var va: array<vec4f, 4>;
    //: names
    var vb: array<vec4f, 4>;
    //: names
    var sum: array<vec4f, TM>;
    let room = min(3u, p.n - 1u - n0);
    //: unroll
    for (var i = 0u; i < 4u; i++) {
        at_b[i] = base_b + select(i * p.ldb + n0, (n0 + min(i, room)) * p.ldb, TB);
    }
    //: unroll
    for (var r = 0u; r < LINES; r++) {
        let m = min(m0 + 4u * r, (p.m - 1u) / 4u * 4u);
        room_a[r] = min(3u, p.m - 1u - m);
        at_a[r] = base_a + m * select(p.lda, 1u, TA);
        //: if TEAM > 1u
        at_a[r] += select(min(t % TEAM, room_a[r]), t % TEAM, TA) * p.lda;
        //: end
    }
    for (var k = 0u; k < p.k / 4u * 4u; k += 4u) {
        //: unroll
        for (var i = 0u; i < 4u; i++) {
            //: if TB
            vb[i] = four_b(at_b[i] + k, 3u);
            //: else
            vb[i] = four_b(at_b[i] + k * p.ldb, room);
            //: end
        }
        //: if TB
        let four = transpose(mat4x4f(vb[0], vb[1], vb[2], vb[3]));
        //: else
        let four = mat4x4f(vb[0], vb[1], vb[2], vb[3]);
        //: end
        //: if TM == 1u
        sum[0] += four * four_a(at_a[0] + k, 3u);
        //: else
        //: unroll
        for (var r = 0u; r < LINES; r++) {
            let at = at_a[r] + k * select(1u, p.lda, TA);
            let room = select(3u, room_a[r], TA);
            //: if TEAM > 1u
            let mine = four_a(at, room);
            //: unroll
            for (var i = 0u; i < 4u; i++) {
                va[i] = quadBroadcast(mine, i);
            }
            //: else
            //: unroll
            for (var i = 0u; i < 4u; i++) {
                va[i] = four_a(at + select(min(i, room_a[r]), i, TA) * p.lda, room);
            }
            //: end
            //: if TA
            let rows = transpose(mat4x4f(va[0], va[1], va[2], va[3]));
            //: else
            let rows = mat4x4f(va[0], va[1], va[2], va[3]);
            //: end
            //: unroll
            for (var i = 0u; i < 4u; i++) {
                sum[4u * r + i] += four * rows[i];
            }
        }
        //: end
    }
    //: if !WHOLE
    for (var k = p.k / 4u * 4u; k < p.k; k++) {
        //: if TB
        let one = vec4f(one_b(at_b[0] + k), one_b(at_b[1] + k), one_b(at_b[2] + k),
            one_b(at_b[3] + k));
        //: else
        let one = four_b(at_b[0] + k * p.ldb, room);
        //: end
        //: unroll
        for (var r = 0u; r < TM; r++) {
            let m = min(m0 + r, p.m - 1u);
            sum[r] += one_a(base_a + select(m * p.lda + k, k * p.lda + m, TA)) * one;
        }
    }
    //: end

    var at = base_y + m0 * p.ldy + column;
    //: if TM == 1u
    write(at, column, sum[0]);
    //: else
    // In a loop, for a compiler that takes its time over the epilogue.
    for (var m = m0; m < min(m0 + TM, p.m); m++) {
        write(at, column, sum[0]);
        at += p.ldy;
        //: unroll
        for (var r = 1u; r < TM; r++) {
            sum[r - 1u] = sum[r];
        }
    }
    //: end
}
