// Copy rows into longer ones, whose ends are zeros: they can then be read in fours.
//
// Shapes:  x (rows, columns) from `start` on, a row each `pitch`; y (rows, padded)
// Grid:    rows * padded / 256 workgroups
//: include grid

struct Params { size: u32, columns: u32, padded: u32, pitch: u32, start: u32 }

@group(0) @binding(0) var<storage, read> x: array<stored>;
@group(0) @binding(1) var<storage, read_write> y: array<stored>;
@group(0) @binding(8) var<uniform> p: Params;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.size) { return; }
    let column = id % p.padded;
    var v = stored(0.0);
    if (column < p.columns) { v = x[p.start + id / p.padded * p.pitch + column]; }
    y[id] = v;
}
