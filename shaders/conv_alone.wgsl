// Entry `alone` of conv.wgsl, for processors that play a GPU: no thread waits for others,
// and each reads what it needs from where it lies. A thread has TM rows of the product
// and four places side by side in the image, or for WEIGHTS the TAPS weights side by side
// of a kernel; neighbours overlap, so SPAN values of the image serve all of them. The
// threads of a quad have the same rows: each reads what one row needs and tells the others.
//: if QUADS
//: include quads
//: end

const CHUNKS: u32 = (KW + TAPS - 1u) / TAPS;
//: if MODE == INPUT
const TALL: u32 = H;
const BROAD: u32 = W;
const TURNS: u32 = F * KH * CHUNKS;
const SPAN: u32 = TAPS + 3u;
//: else
const TALL: u32 = OH;
const BROAD: u32 = OW;
const TURNS: u32 = C * KH * CHUNKS;
const SPAN: u32 = TAPS + 3u * SW;
//: end
const FOURS: u32 = (BROAD + 3u) / 4u;

// The value at (h, w) of the channel that begins at `at`, 0 outside of the image.
fn value(at: u32, h: u32, w: u32) -> f32 {
    //: if MODE != INPUT
    let inside = (h < H) & (w < W);
    return select(0.0, f32(b[select(0u, at + h * XH + w * XW, inside)]), inside);
    //: end
    //: if MODE == INPUT && SH == 1u && SW == 1u
    let inside = (h < OH) & (w < OW);
    return select(0.0, f32(b[select(0u, at + (h * OW + w) * YW, inside)]), inside);
    //: end
    //: if MODE == INPUT && (SH > 1u || SW > 1u)
    let place = h / SH * OW + w / SW;
    let inside = (h % SH == 0u) & (w % SW == 0u) & (h / SH < OH) & (w / SW < OW);
    return select(0.0, f32(b[select(0u, at + place * YW, inside)]), inside);
    //: end
}

// Values of a at `at`, `step` apart: the first `count`, then the last of those again.
fn same(at: u32, step: u32, count: u32, t: u32) -> vec4f {
    //: if QUADS
    return told(f32(a[at + min(t % 4u, count - 1u) * step]));
    //: else
    return vec4f(vec4<stored>(a[at], a[at + min(1u, count - 1u) * step],
        a[at + min(2u, count - 1u) * step], a[at + min(3u, count - 1u) * step]));
    //: end
}

@compute @workgroup_size(8)
fn alone(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(vec3u(group.xy, 0u), vec3u(groups.xy, 1u)) * 8u + t;
    let across = (p.n + 3u) / 4u * 4u;
    let m0 = min(id / across * TM, p.m - 1u);
    let n = min(id % across, p.n - 1u);
    let writes = (id < p.groups) & (id % across < p.n);
    //: names
    var v: array<f32, SPAN>;

    //: if MODE == WEIGHTS
    //: names
    var sum: array<array<f32, 4>, TM>;
    let channel = n / (KH * CHUNKS) * XC;
    let i = n / CHUNKS % KH - PH;
    let j = n % CHUNKS * TAPS - PW;
    var at_x = group.z * p.k_split / OH * XB + channel;
    var at_y = group.z * p.k_split / OH * YB;
    var oh = group.z * p.k_split % OH;
    var ow = 0u;
    let turns = min(p.k_split, p.k - group.z * p.k_split) * FOURS;
    for (var turn = 0u; turn < turns; turn++) {
        //: unroll
        for (var s = 0u; s < SPAN; s++) {
            v[s] = value(at_x, oh * SH + i, ow * SW + j + s);
        }
        let at = at_y + (oh * OW + ow) * YW;
        let count = min(4u, OW - ow);
        let valid = vec4u(0u, 1u, 2u, 3u) < vec4u(count);
        //: unroll
        for (var r = 0u; r < TM; r++) {
            let one = same(at + min(m0 + r, p.m - 1u) * YF, YW, count, t);
            //: if OW % 4u == 0u
            let four = one;
            //: else
            let four = select(vec4f(), one, valid);
            //: end
            //: unroll
            for (var tap = 0u; tap < TAPS; tap++) {
                sum[r][tap] += dot(four, vec4f(v[tap], v[SW + tap], v[2u * SW + tap],
                    v[3u * SW + tap]));
            }
        }
        ow += 4u;
        let row = ow >= OW;
        ow = select(ow, 0u, row);
        oh += select(0u, 1u, row);
        let sample = oh == OH;
        oh = select(oh, 0u, sample);
        at_x += select(0u, XB, sample);
        at_y += select(0u, YB, sample);
    }
    let step = 1u;
    let row_step = C * KK;
    let goal = group.z * p.m * C * KK + n / CHUNKS * KW + n % CHUNKS * TAPS;
    let room = min(TAPS, KW - n % CHUNKS * TAPS);
    //: else
    //: names
    var sum: array<vec4f, TM>;
    let sample = n / (TALL * FOURS);
    let h = n / FOURS % TALL;
    let w = n % FOURS * 4u;
    //: if MODE == INPUT
    var at_b = sample * YB;
    var at_a = m0 * KK;
    let h0 = h + PH;
    let w0 = w + PW - (TAPS - 1u);
    let row_a = KK;
    let step = XW;
    let row_step = XC;
    let goal = sample * XB + h * XH + w * XW;
    //: else
    var at_b = sample * XB;
    var at_a = m0 * C * KK;
    let h0 = h * SH - PH;
    let w0 = w * SW - PW;
    let row_a = C * KK;
    let step = YW;
    let row_step = YF;
    let goal = sample * YB + (h * OW + w) * YW;
    //: end
    let room = min(4u, BROAD - w);
    var i = 0u;
    var j = 0u;
    for (var turn = 0u; turn < TURNS; turn++) {
        //: unroll
        for (var s = 0u; s < SPAN; s++) {
            //: if MODE == INPUT
            v[s] = value(at_b, h0 - i, w0 - j + s);
            //: else
            v[s] = value(at_b, h0 + i, w0 + j + s);
            //: end
        }
        //: unroll
        for (var tap = 0u; tap < TAPS; tap++) {
            //: if MODE == INPUT
            let four = vec4f(v[TAPS - 1u - tap], v[TAPS - tap], v[TAPS + 1u - tap],
                v[TAPS + 2u - tap]);
            //: else
            let four = vec4f(v[tap], v[SW + tap], v[2u * SW + tap], v[3u * SW + tap]);
            //: end
            let at = at_a + i * KW + min(j + tap, KW - 1u);
            //: if KW % TAPS == 0u
            let counted = four;
            //: else
            let counted = select(vec4f(), four, j + tap < KW);
            //: end
            //: unroll
            for (var r = 0u; r < TM; r += 4u) {
                let first = min(r, p.m - m0 - 1u);
                let one = same(at + first * row_a, row_a, p.m - m0 - first, t);
                //: unroll
                for (var c = 0u; c < min(4u, TM - r); c++) {
                    sum[r + c] += one[c] * counted;
                }
            }
        }
        j += TAPS;
        let row = j >= KW;
        j = select(j, 0u, row);
        i += select(0u, 1u, row);
        let channel = i == KH;
        i = select(i, 0u, channel);
        //: if MODE == INPUT
        at_b += select(0u, YF, channel);
        at_a += select(0u, C * KK, channel);
        //: else
        at_b += select(0u, XC, channel);
        at_a += select(0u, KK, channel);
        //: end
    }
    //: end

    // In a loop, for a compiler that takes its time over the activation.
    var sums: array<vec4f, TM>;
    //: unroll
    for (var r = 0u; r < TM; r++) {
        //: if MODE == WEIGHTS
        sums[r] = vec4f(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        //: else
        sums[r] = sum[r];
        //: end
    }
    if (!writes) { return; }
    for (var r = 0u; r < min(TM, p.m - m0); r++) {
        let at = goal + (m0 + r) * row_step;
        let whole = biased(m0 + r, sums[r]);
        //: if VEC
        write_four(at, whole);
        //: else
        for (var c = 0u; c < room; c++) { write_one(at + c * step, whole[c]); }
        //: end
    }
}
