// Running sums of u32, modulo 2^32.
//
//     y[i] = sum of x[j] over j <= i, or j < i without INCLUSIVE
//
// Shapes:  x, y (size,); totals (ceil(size / 1024),)
// Entries: blocks: sums within blocks of 1,024, four a thread, and each block's total;
//          shift: adds what comes before a block (the exclusive scan of the totals)
// Grid:    a workgroup of 256 a block
//: include grid

override INCLUSIVE: bool = true;

struct Params { size: u32, groups: u32 }

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<storage, read_write> totals: array<u32>;
@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> before: array<u32>;

var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn blocks(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let block = linear_group(group, groups);
    if (block >= p.groups) { return; }
    let start = block * 1024u + t * 4u;
    var v = vec4u();
    if (start < p.size) { v.x = x[start]; }
    if (start + 1u < p.size) { v.y = x[start + 1u]; }
    if (start + 2u < p.size) { v.z = x[start + 2u]; }
    if (start + 3u < p.size) { v.w = x[start + 3u]; }
    let own = v.x + v.y + v.z + v.w;
    var run = own;
    sums[t] = run;
    // Hillis and Steele 1986: after step k each sum spans 2^k threads.
    for (var back = 1u; back < 256u; back *= 2u) {
        workgroupBarrier();
        var more = 0u;
        if (t >= back) { more = sums[t - back]; }
        workgroupBarrier();
        run += more;
        sums[t] = run;
    }
    if (t == 255u) { totals[block] = run; }
    var sum = run - own;
    for (var i = 0u; i < 4u; i++) {
        let next = sum + v[i];
        if (start + i < p.size) { y[start + i] = select(sum, next, INCLUSIVE); }
        sum = next;
    }
}

@compute @workgroup_size(256)
fn shift(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let block = linear_group(group, groups);
    let more = before[min(block, p.groups - 1u)];
    for (var i = block * 1024u + t; i < min(block * 1024u + 1024u, p.size); i += 256u) {
        y[i] += more;
    }
}
