// Turn pairs of features by their step's angle, in place (Su et al. 2021).
//
//     (a, c) -> (a cos - c sin, c cos + a sin), a the feature i of a head, c the i + d / 2
//
// Shapes:    x (rows, width): of each row the first `heads` heads of d features are
//            turned; row r is step r % time; cosine, sine (time, d / 2)
// Overrides: BACK turns the other way, which is the gradient's way
//: include grid

override BACK: bool = false;

struct Params { size: u32, width: u32, heads: u32, half: u32, time: u32 }

@group(0) @binding(0) var<storage, read> cosine: array<f32>;
@group(0) @binding(1) var<storage, read> sine: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<stored>;
@group(0) @binding(8) var<uniform> p: Params;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.size) { return; }
    let i = id % p.half;
    let head = id / p.half % p.heads;
    let row = id / p.half / p.heads;
    let at = row * p.width + head * 2u * p.half + i;
    let angle = row % p.time * p.half + i;
    let along = cosine[angle];
    let across = select(sine[angle], -sine[angle], BACK);
    let a = f32(x[at]);
    let c = f32(x[at + p.half]);
    x[at] = stored(a * along - c * across);
    x[at + p.half] = stored(c * along + a * across);
}
