// Entry `alone` of recurrent.wgsl: one step, its product included, for processors that
// play a GPU. A thread has the gates of one unit, or with BACK four units, of SAMPLES
// samples, so that a weight read serves them all. The threads of a quad have the same
// samples: each reads one value of the factor and tells the others.
//: if QUADS
//: include quads
//: end

//: if BACK
const MINE: u32 = 4u;
const LINES_OF: u32 = (H + 3u) / 4u;
//: else
const MINE: u32 = G;
const LINES_OF: u32 = H;
//: end

// Four weights of the product's row `row` from column k on; the last again beyond it.
fn four_weights(row: u32, k: u32) -> vec4f {
    //: if VEC && !BACK
    return vec4f(w[(row * IN + k) / 4u]);
    //: else
    let columns = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(IN - 1u));
    //: if BACK
    let at = columns * H + row;
    //: else
    let at = columns + row * IN;
    //: end
    return vec4f(vec4<stored>(w[at.x], w[at.y], w[at.z], w[at.w]));
    //: end
}

// Value k of what the product is taken of: h of the step before, or the gradients of the
// gates of the step after; zeros beyond it.
fn factor_of(b: u32, k: u32) -> f32 {
    let column = min(k, IN - 1u);
    //: if !BACK
    let v = f32(before[(b * p.time + p.step) * H + column]);
    //: end
    //: if BACK && CELL == 2u
    let v = f32(dvh[(b * p.time + p.step + 1u) * IN + column]);
    //: end
    //: if BACK && CELL != 2u
    let v = f32(dvx[(b * p.time + p.step + 1u) * IN + column]);
    //: end
    return select(0.0, v, k < IN);
}

fn four_factors(b: u32, k: u32, t: u32) -> vec4f {
    //: if QUADS
    return told(factor_of(b, k + t % 4u));
    //: else
    return vec4f(
        factor_of(b, k), factor_of(b, k + 1u), factor_of(b, k + 2u), factor_of(b, k + 3u));
    //: end
}

@compute @workgroup_size(8)
fn alone(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 8u + t;
    let across = (LINES_OF + 3u) / 4u * 4u;
    let first = min(id / across * SAMPLES, p.batch - 1u);
    let line = min(id % across, LINES_OF - 1u);
    let inside = (id < p.groups) & (id % across < LINES_OF);
    //: names
    var near: array<vec4f, MINE>;
    //: names
    var sum: array<array<f32, MINE>, SAMPLES>;
    //: if BACK
    let known = p.step + 1u < p.time;
    //: else
    let known = p.step > 0u;
    //: end
    for (var k = 0u; k < select(0u, IN, known); k += 4u) {
        //: unroll
        for (var i = 0u; i < MINE; i++) {
            //: if BACK
            near[i] = four_weights(min(4u * line + i, H - 1u), k);
            //: else
            near[i] = four_weights(line + i * H, k);
            //: end
        }
        //: unroll
        for (var r = 0u; r < SAMPLES; r++) {
            let four = four_factors(min(first + r, p.batch - 1u), k, t);
            //: unroll
            for (var i = 0u; i < MINE; i++) {
                sum[r][i] += dot(near[i], four);
            }
        }
    }
    // In a loop, for a compiler that takes its time over a step.
    var totals: array<array<f32, MINE>, SAMPLES>;
    //: unroll
    for (var r = 0u; r < SAMPLES; r++) {
        //: unroll
        for (var i = 0u; i < MINE; i++) {
            totals[r][i] = sum[r][i];
        }
    }
    if (!inside) { return; }
    for (var r = 0u; r < min(SAMPLES, p.batch - first); r++) {
        //: if BACK
        for (var i = 0u; i < min(4u, H - 4u * line); i++) {
            backward_one(first + r, 4u * line + i, totals[r][i]);
        }
        //: else
        var u = vec4f();
        //: unroll
        for (var i = 0u; i < MINE; i++) {
            u[i] = totals[r][i];
        }
        forward_one(first + r, line, u);
        //: end
    }
}
