// What training decides on the device, so that the host need not wait for a loss.

struct Control {
  status: u32,      // 0: fine; bits of FAILED_... of the first step that failed
  failed: u32,      // the slot of that step's loss
  apply: u32,       // 1: this step's update is made
  done: u32,        // updates made, t
  first: f32,       // 1 - beta1^t
  second: f32,      // 1 - beta2^t
  factor: f32,      // for gradients: clipping, and 1 / loss_scale
  loss_scale: f32,  // of this step's backward pass
  next_scale: f32,  // of the next one's
  good: u32,        // updates since the scale changed
  skipped: u32,     // steps left out since their halves overflowed
  norm: f32,        // of all gradients, before clipping
  unused: vec4u,
  losses: array<f32, 1024>,
}

const FAILED_LOSS: u32 = 1u;
const FAILED_GRADIENT: u32 = 2u;
const FAILED_RANGE: u32 = 4u;
