// y[o, c, r] = x[o, r, c], through a tile of 32 x 32, so that both sides are read and
// written along rows. The tile's rows are 33 long: its columns then lie in other banks.
//
// Shapes:  x (outer, rows, columns), y (outer, columns, rows), both float32 if WIDE
// Grid:    ceil(columns / 32) * ceil(rows / 32) * outer groups of 256, spread over x, y
//: include grid

override WIDE: bool = false;

//: if WIDE
alias Value = f32;
//: else
alias Value = stored;
//: end

struct Params { rows: u32, columns: u32, outer: u32 }

@group(0) @binding(0) var<storage, read> x: array<Value>;
@group(0) @binding(1) var<storage, read_write> y: array<Value>;
@group(0) @binding(8) var<uniform> p: Params;

var<workgroup> tile: array<array<Value, 33>, 32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) t: u32,
) {
    let n = linear_group(group, groups);
    let across = (p.columns + 31u) / 32u;
    let tiles = across * ((p.rows + 31u) / 32u);
    if (n / tiles >= p.outer) { return; }
    let start = n / tiles * p.rows * p.columns;
    let row = n % tiles / across * 32u;
    let column = n % across * 32u;
    let lane = t % 32u;
    for (var i = t / 32u; i < 32u; i += 8u) {
        let r = row + i;
        let c = column + lane;
        if (r < p.rows && c < p.columns) { tile[i][lane] = x[start + r * p.columns + c]; }
    }
    workgroupBarrier();
    for (var i = t / 32u; i < 32u; i += 8u) {
        let c = column + i;
        let r = row + lane;
        if (r < p.rows && c < p.columns) { y[start + c * p.rows + r] = tile[lane][i]; }
    }
}
