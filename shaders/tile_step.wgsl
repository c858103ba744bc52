// Inside the loop over k of a tiled product, after the loads of the tile at k0, if there
// is one: the arithmetic of tile `stage`.
        //: unroll
        for (var k = 0u; k < BK - 1u; k++) {
//: insert tile_multiply
        }
//: insert tile_turn
        if (!more) { break; }
