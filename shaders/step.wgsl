// What changes from step to step, written by the host.

struct Step {
  seed_low: u32,    // the network's seed
  seed_high: u32,
  number: u32,      // passes in training mode so far: chooses dropout's masks
  first_row: u32,   // of the batch's rows, the first that is here (several devices)
  rate: f32,        // learning rate
  share: f32,       // of the batch's rows that are here
  slot: u32,        // where in the ring of losses this step's loss goes
  unused: u32,
  unused4: array<vec4u, 2>,
}

@group(0) @binding(9) var<uniform> step: Step;
