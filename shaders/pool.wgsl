// Greatest value or mean of windows, and the gradients.
//
// Shapes:    x, dx (outer, H, W, inner), y, dy, place (outer, OH, OW, inner): images are
//            (B C, H, W, 1), sequences (B, 1, T, C). A window is KH x KW, its first at
//            -PH, -PW. place: where in x a window's greatest value lies (u32).
// Entries:   forward: a thread an output; backward: a thread an input, which gathers
//            from the windows it lies in, so that the order of sums is fixed
// Overrides: MAX or mean; KEEP writes place
//: include grid

override MAX: bool = true;
override KEEP: bool = false;

struct Params {
    size: u32, height: u32, width: u32, inner: u32,
    out_height: u32, out_width: u32, kernel_h: u32, kernel_w: u32,
    stride_h: u32, stride_w: u32, pad_h: u32, pad_w: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<stored>;
@group(0) @binding(1) var<storage, read_write> y: array<stored>;
@group(0) @binding(2) var<storage, read_write> place: array<u32>;
@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read> dy: array<stored>;
@group(0) @binding(1) var<storage, read> chosen: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<stored>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.size) { return; }
    let c = id % p.inner;
    let ow = id / p.inner % p.out_width;
    let oh = id / p.inner / p.out_width % p.out_height;
    let outer = id / p.inner / p.out_width / p.out_height;
    // Windows begin in the padding: their first and last places inside.
    let top = max(oh * p.stride_h, p.pad_h) - p.pad_h;
    let left = max(ow * p.stride_w, p.pad_w) - p.pad_w;
    let bottom = min(oh * p.stride_h + p.kernel_h, p.pad_h + p.height) - p.pad_h;
    let right = min(ow * p.stride_w + p.kernel_w, p.pad_w + p.width) - p.pad_w;
    var best = 0.0;
    var at = 0u;
    var first = MAX;
    for (var h = top; h < bottom; h++) {
        for (var w = left; w < right; w++) {
            let n = ((outer * p.height + h) * p.width + w) * p.inner + c;
            let v = f32(x[n]);
            if (!MAX) {
                best += v;
            } else if (first || v > best) {
                best = v;
                at = n;
                first = false;
            }
        }
    }
    y[id] = stored(best * p.scale);
    if (KEEP) { place[id] = at; }
}

// The first window that holds place i of an axis (itself padded), and the one after the
// last.
fn windows(i: u32, kernel: u32, stride: u32, count: u32) -> vec2u {
    let first = (max(i + 1u, kernel) - kernel + stride - 1u) / stride;
    return vec2u(first, min(i / stride + 1u, count));
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let id = linear_group(group, groups) * 256u + t;
    if (id >= p.size) { return; }
    let c = id % p.inner;
    let w = id / p.inner % p.width;
    let h = id / p.inner / p.width % p.height;
    let outer = id / p.inner / p.width / p.height;
    let rows = windows(h + p.pad_h, p.kernel_h, p.stride_h, p.out_height);
    let columns = windows(w + p.pad_w, p.kernel_w, p.stride_w, p.out_width);
    var sum = 0.0;
    for (var oh = rows.x; oh < rows.y; oh++) {
        for (var ow = columns.x; ow < columns.y; ow++) {
            let n = ((outer * p.out_height + oh) * p.out_width + ow) * p.inner + c;
            if (!MAX) {
                sum += f32(dy[n]);
            } else if (chosen[n] == id) {
                sum += f32(dy[n]);
            }
        }
    }
    dx[id] = stored(sum * p.scale);
}
