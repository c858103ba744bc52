// What the four threads of a quad tell each other. On a processor a value read from
// memory costs five multiply-adds, and one told by a neighbour almost none.

// Of each thread's value, all four.
fn told(v: f32) -> vec4f {
    return vec4f(
        quadBroadcast(v, 0u), quadBroadcast(v, 1u), quadBroadcast(v, 2u), quadBroadcast(v, 3u));
}
