// Values moved or set, one word or value a thread.
//
// Entry `fill`    y[i] = value (u32 words)
//   bindings:     0 y (n)
// Entry `copy`    y[i] = x[i] (u32 words)
//   bindings:     0 x (n); 1 y (n)
// Entry `narrow`  y = x as stored (x f32)
// Entry `widen`   y = x as f32 (x stored)
//   bindings:     0 x (n); 1 y (n)
// params:         n, value
// Grid:           ceil(n / 256) groups of 256, spread over x and y

//: include grid

struct Params {
  count: u32,
  value: u32,
}

@group(0) @binding(8) var<uniform> p: Params;

@group(0) @binding(0) var<storage, read_write> filled: array<u32>;
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> words_out: array<u32>;
@group(0) @binding(0) var<storage, read> wide: array<f32>;
@group(0) @binding(1) var<storage, read_write> wide_out: array<f32>;
@group(0) @binding(0) var<storage, read> halves: array<stored>;
@group(0) @binding(1) var<storage, read_write> halves_out: array<stored>;

fn place(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return linear_group(group, groups) * 256u + thread;
}

@compute @workgroup_size(256)
fn fill(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    filled[i] = p.value;
  }
}

@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    words_out[i] = words[i];
  }
}

@compute @workgroup_size(256)
fn narrow(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
          @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    halves_out[i] = stored(wide[i]);
  }
}

@compute @workgroup_size(256)
fn widen(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
         @builtin(local_invocation_index) thread: u32) {
  let i = place(group, groups, thread);
  if (i < p.count) {
    wide_out[i] = f32(halves[i]);
  }
}
