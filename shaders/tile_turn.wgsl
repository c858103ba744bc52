// From tile `stage` to the other one: what was read is stored there, and its first values
// are read before the last step of `stage` is multiplied.
        //: unroll
        for (var l = 0u; l < LOADS_A; l++) {
            let at = place(t, l, ACROSS_A, BM);
            //: if ACROSS_A
            tile_a[1u - stage][at.y][at.x / 4u] = next_a[l];
            //: else
            let to = column(t / BK, l * (THREADS / BK), at.y, ACROSS_A);
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                tile_a[1u - stage][at.y + c][to][at.x % 4u] = next_a[l][c];
            }
            //: end
        }
        //: unroll
        for (var l = 0u; l < LOADS_B; l++) {
            let at = place(t, l, ACROSS_B, BN);
            //: if ACROSS_B
            tile_b[1u - stage][at.y][at.x / 4u] = next_b[l];
            //: else
            let to = column(t / BK, l * (THREADS / BK), at.y, ACROSS_B);
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                tile_b[1u - stage][at.y + c][to][at.x % 4u] = next_b[l][c];
            }
            //: end
        }
        workgroupBarrier();
        //: unroll
        for (var k = BK - 1u; k < BK; k++) {
//: insert tile_multiply
        }
