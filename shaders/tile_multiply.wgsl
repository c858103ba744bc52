// Step k of tile `stage`: the next step's values are read, then this one's multiplied.
            //: unroll
            for (var i = 0u; i < TM / 4u; i++) {
                va[(k + 1u) % 2u][i] = tile_a[(stage + (k + 1u) / BK) % 2u][(k + 1u) % BK][
                    column(ty, i * ROWS, (k + 1u) % BK, ACROSS_A)];
            }
            //: unroll
            for (var j = 0u; j < TN / 4u; j++) {
                vb[(k + 1u) % 2u][j] = tile_b[(stage + (k + 1u) / BK) % 2u][(k + 1u) % BK][
                    column(tx, j * COLS, (k + 1u) % BK, ACROSS_B)];
            }
            //: unroll
            for (var i = 0u; i < TM / 4u; i++) {
                //: unroll
                for (var c = 0u; c < 4u; c++) {
                    //: unroll
                    for (var j = 0u; j < TN / 4u; j++) {
                        sum[4u * i + c][j] += va[k % 2u][i][c] * vb[k % 2u][j];
                    }
                }
            }
