// matmul.wgsl's product where it takes a processor that plays a GPU less time than the
// text of matmul_alone.wgsl takes to compile: a thread has TM rows of y and four columns
// or one, and goes on by one k. Every read costs text: with TEAM, the four threads of a
// quad have the same rows, and each reads a fourth of a for all of them. What lies behind
// the last column is read, or not, as the backend likes, and not stored.
//
// Shapes:    as in matmul.wgsl
// Grid:      a thread for TM x 4 values with VEC_B, else TM x 1, 8 a workgroup, spread
//            over x and y; z outer * inner
// Overrides: those of matmul_parts, without VEC_A, with VEC_B and VEC_Y or neither (with
//            TB neither); TM 1 or a multiple of 4; TEAM 4 where quads share what they
//            read of a, else 1; BATCH unless outer, inner and the starts say nothing
//: include matmul_parts

override TM: u32 = 4u;
override TEAM: u32 = 1u;
override BATCH: bool = false;

const COLUMNS: u32 = 1u;
const READS: u32 = TM / TEAM;
//: if VEC_B
alias Line = vec4f;
const WIDTH: u32 = 4u;
//: else
alias Line = f32;
const WIDTH: u32 = 1u;
//: end

@compute @workgroup_size(8)
fn small(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = (group.x + groups.x * group.y) * 8u + t;
    //: if TM == 1u
    let n = id * WIDTH;
    //: else
    let down_m = (p.m + TM - 1u) / TM;
    let m0 = id / TEAM % down_m * TM;
    let n = (id / TEAM / down_m * TEAM + id % TEAM) * WIDTH;
    //: end
    //: if BATCH
    let outer = group.z / p.inner;
    let inner = group.z % p.inner;
    let base_a = p.a_at + outer * p.a_outer + inner * p.a_inner;
    let base_b = p.b_at + outer * p.b_outer + inner * p.b_inner;
    let base_y = p.y_at + outer * p.y_outer + inner * p.y_inner;
    //: else
    const base_a = 0u;
    const base_b = 0u;
    const base_y = 0u;
    //: end
    //: if TB
    var at_b = n * p.ldb + base_b;
    let step_b = 1u;
    //: else
    var at_b = (n + base_b) / WIDTH;
    let step_b = p.ldb / WIDTH;
    //: end
    //: names
    var at_a: array<u32, READS>;
    //: names
    var sum: array<Line, TM>;
    //: unroll
    for (var r = 0u; r < READS; r++) {
        at_a[r] = base_a;
        //: if TM > 1u
        at_a[r] += min(m0 + TEAM * r + t % TEAM, p.m - 1u) * select(p.lda, 1u, TA);
        //: end
    }
    let end = p.k;
    for (var k = 0u; k < end; k++) {
        let line = Line(b[at_b]);
        at_b += step_b;
        //: if TA
        let at_k = k * p.lda;
        //: else
        let at_k = k;
        //: end
        //: unroll
        for (var r = 0u; r < READS; r++) {
            let one = f32(a[at_a[r] + at_k]);
            //: if TEAM > 1u
            //: unroll
            for (var i = 0u; i < TEAM; i++) {
                sum[TEAM * r + i] += quadBroadcast(one, i) * line;
            }
            //: else
            sum[r] += one * line;
            //: end
        }
    }
    //: if TM == 1u
    write(base_y + n, n, vec4f(sum[0]));
    //: else
    var at = base_y + m0 * p.ldy + n;
    for (var m = m0; m < min(m0 + TM, p.m); m++) {
        write(at, n, vec4f(sum[0]));
        at += p.ldy;
        //: unroll
        for (var r = 1u; r < TM; r++) {
            sum[r - 1u] = sum[r];
        }
    }
    //: end
}
