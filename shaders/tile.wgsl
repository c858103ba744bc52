// The tile of a product that a workgroup computes: what matmul and conv share.
//
// Overrides: BM, BN, BK the tile, BM and BN >= 32; TM, TN what one thread computes,
//            multiples of 4; BM / TM * BN / TN threads, BN / TN a multiple of 8 and
//            BM / TM of 4; STAGES 1 or 2 tiles, of 4 BK (BM + BN) bytes each
//
// The idea: a workgroup's tiles of a and b lie in workgroup memory as rows of k, so that
// a thread reads its TM + TN values as vec4s; it keeps TM x TN sums in registers, its
// rows and columns in groups of four spread over the tile. The next tiles are read into
// registers before the arithmetic and stored after it (tile_step). A load is of four
// values of an operand, along k or ACROSS it. One that lies along k is transposed while
// stored, its columns xor-ed by k so that the stores of a warp meet different banks.

override BM: u32 = 64u;
override BN: u32 = 64u;
override BK: u32 = 16u;
override TM: u32 = 8u;
override TN: u32 = 4u;
override STAGES: u32 = 1u;

const ROWS: u32 = BM / TM;
const COLS: u32 = BN / TN;
const THREADS: u32 = ROWS * COLS;
const LOADS_A: u32 = BM * BK / 4u / THREADS;
const LOADS_B: u32 = BN * BK / 4u / THREADS;
const GROUP: u32 = 8u;

var<workgroup> tile_a: array<array<array<vec4f, BM / 4u>, BK>, STAGES>;
var<workgroup> tile_b: array<array<array<vec4f, BN / 4u>, BK>, STAGES>;

// Where load `e` of a tile lies: x along the rows of a (or columns of b), y along k.
fn place(e: u32, across: bool, width: u32) -> vec2u {
    if (across) { return vec2u(e % (width / 4u) * 4u, e / (width / 4u)); }
    return vec2u(e / (BK / 4u), e % (BK / 4u) * 4u);
}

// The column of a row k of a tile, in steps of four.
fn column(x: u32, k: u32, across: bool) -> u32 {
    if (across) { return x; }
    return x ^ (k / 4u * (32u / BK));
}

// The first row and column of tile `id` of (m, n). Tiles go down GROUP of them before
// the next column: what runs at the same time then shares rows of a and columns of b in
// the cache.
fn corner(id: u32, m: u32, n: u32) -> vec2u {
    let across_n = (n + BN - 1u) / BN;
    let down_m = (m + BM - 1u) / BM;
    let first = id / (GROUP * across_n) * GROUP;
    let height = min(down_m - first, GROUP);
    let within = id % (GROUP * across_n);
    return vec2u((first + within % height) * BM, within / height * BN);
}

// A thread's column and row in the tile, in steps of four. Lanes of a warp lie 8 x 4:
// they read few different values.
fn seat(t: u32) -> vec2u {
    return vec2u(t / 32u % (COLS / 8u) * 8u + t % 8u,
        t / 32u / (COLS / 8u) * 4u + t / 8u % 4u);
}
