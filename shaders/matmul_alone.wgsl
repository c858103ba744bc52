// Entry `alone` of matmul.wgsl: a thread has TM x 4 values of y and reads a and b, four
// steps of k at a time, straight from where they lie. On a processor workgroup memory is
// no faster, threads wait for each other slowly, and each branch costs: so what lies
// behind the last four of k comes after the loop, and the last row or column is read
// again instead of none.

//: if TA
const LINES: u32 = TM / 4u;
//: else
const LINES: u32 = TM;
//: end

// Four values, the last ones `room` or less from the first.
fn four_a(at: u32, room: u32) -> vec4f {
    //: if VEC
    return vec4f(a[at / 4u]);
    //: else
    return vec4f(vec4<stored>(
        a[at], a[at + min(1u, room)], a[at + min(2u, room)], a[at + room]));
    //: end
}

fn four_b(at: u32, room: u32) -> vec4f {
    //: if VEC
    return vec4f(b[at / 4u]);
    //: else
    return vec4f(vec4<stored>(
        b[at], b[at + min(1u, room)], b[at + min(2u, room)], b[at + room]));
    //: end
}

//: if !WHOLE
fn one_a(at: u32) -> f32 {
    //: if VEC
    return f32(a[at / 4u][at % 4u]);
    //: else
    return f32(a[at]);
    //: end
}

fn one_b(at: u32) -> f32 {
    //: if VEC
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
    let id = linear_group(vec3u(group.xy, 0u), vec3u(groups.xy, 1u)) * 8u + t;
    if (id >= p.groups) { return; }
    let across_n = (p.n + 3u) / 4u;
    let m0 = id / across_n * TM;
    let n0 = id % across_n * 4u;
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
        //: if TA
        let m = min(m0 + 4u * r, (p.m - 1u) / 4u * 4u);
        room_a[r] = min(3u, p.m - 1u - m);
        at_a[r] = base_a + m;
        //: else
        at_a[r] = base_a + min(m0 + r, p.m - 1u) * p.lda;
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
        //: unroll
        for (var r = 0u; r < LINES; r++) {
            //: if TA
            //: unroll
            for (var i = 0u; i < 4u; i++) {
                va[i] = four_a(at_a[r] + (k + i) * p.lda, room_a[r]);
            }
            let turned = transpose(mat4x4f(va[0], va[1], va[2], va[3]));
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                sum[4u * r + c] += four * turned[c];
            }
            //: else
            sum[r] += four * four_a(at_a[r] + k, 3u);
            //: end
        }
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
        for (var r = 0u; r < LINES; r++) {
            //: if TA
            let turned = four_a(at_a[r] + k * p.lda, room_a[r]);
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                sum[4u * r + c] += turned[c] * one;
            }
            //: else
            sum[r] += one_a(at_a[r] + k) * one;
            //: end
        }
    }
    //: end

    // In a loop, for a compiler that takes its time over the epilogue.
    var sums: array<vec4f, TM>;
    //: unroll
    for (var r = 0u; r < TM; r++) {
        sums[r] = sum[r];
    }
    for (var r = 0u; r < min(TM, p.m - m0); r++) {
        write(base_y + (m0 + r) * p.ldy + n0, n0, sums[r]);
    }
}
