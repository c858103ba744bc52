// The tile of a product that a workgroup computes: what matmul and conv share.
//
// Overrides: BM, BN, BK the tile, BM and BN >= 32, BK 8, 16 or 32; TM, TN what one
//            thread computes, multiples of 4; BM / TM and BN / TN multiples of 8, and their
//            product, the threads, one of 8 BK; 8 BK (BM + BN) bytes of workgroup memory
//
// The idea: a workgroup's tiles of a and b lie in workgroup memory as rows of k, so that
// a thread reads its TM + TN values as vec4s; it keeps TM x TN sums in registers, its
// rows and columns in groups of four spread over the tile. There is room for two tiles.
// While one is multiplied, the next one is on its way: read into registers first (the
// family's loads), stored towards the end, and after the one barrier of a tile its first
// values are read before the last ones of the tile before are multiplied (tile_turn): the
// arithmetic does not wait for memory. Before the first tile all values are zeros.
//
// A load is of four values of an operand, along k or ACROSS it. One that lies along k is
// transposed while stored, its columns xor-ed by k so that the stores of a warp meet
// different banks.

override BM: u32 = 64u;
override BN: u32 = 64u;
override BK: u32 = 16u;
override TM: u32 = 8u;
override TN: u32 = 4u;

const ROWS: u32 = BM / TM;
const COLS: u32 = BN / TN;
const THREADS: u32 = ROWS * COLS;
const LOADS_A: u32 = BM * BK / 4u / THREADS;
const LOADS_B: u32 = BN * BK / 4u / THREADS;

var<workgroup> tile_a: array<array<array<vec4f, BM / 4u>, BK>, 2>;
var<workgroup> tile_b: array<array<array<vec4f, BN / 4u>, BK>, 2>;

// Where load l of a thread lies in a tile: x along the rows of a (or columns of b), y
// along k. What l adds stands apart: it then is a part of the instruction.
fn place(t: u32, l: u32, across: bool, width: u32) -> vec2u {
    if (across) {
        return vec2u(t % (width / 4u) * 4u, t / (width / 4u) + l * (4u * THREADS / width));
    }
    return vec2u(t / (BK / 4u) + l * (4u * THREADS / BK), t % (BK / 4u) * 4u);
}

// The column x + more of a row k of a tile, in steps of four; more a multiple of 8, and
// apart for the same reason.
fn column(x: u32, more: u32, k: u32, across: bool) -> u32 {
    if (across) { return x + more; }
    return (x ^ (k / 4u * (32u / BK))) + more;
}

// The first row and column of tile `id` of (m, n). Tiles go down 8 of them before
// the next column: what runs at the same time then shares rows of a and columns of b in
// the cache.
fn corner(id: u32, m: u32, n: u32) -> vec2u {
    let across_n = (n + BN - 1u) / BN;
    let down_m = (m + BM - 1u) / BM;
    let first = id / (8u * across_n) * 8u;
    let height = min(down_m - first, 8u);
    let within = id % (8u * across_n);
    return vec2u((first + within % height) * BM, within / height * BN);
}

// A thread's column and row in the tile, in steps of four. Lanes of a warp lie 8 x 4, so
// that they read few different values, and neighbours share a column: two reads of the
// same four are one.
fn seat(t: u32) -> vec2u {
    return vec2u(t / 32u % (COLS / 8u) * 8u + t / 2u % 8u,
        t / 32u / (COLS / 8u) * 4u + t % 2u + t / 16u % 2u * 2u);
}
