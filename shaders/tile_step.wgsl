// Inside the loop over k of a tiled product, after the loads of tile k0 into next_a
// and next_b: the arithmetic of the tile before; then k0's goes to its place.
        if (k0 > k_first) {
            //: unroll
            for (var k = 0u; k < BK; k++) {
                //: unroll
                for (var i = 0u; i < TM / 4u; i++) {
                    va[i] = tile_a[stage][k][column(i * ROWS + ty, k, ACROSS_A)];
                }
                //: unroll
                for (var j = 0u; j < TN / 4u; j++) {
                    vb[j] = tile_b[stage][k][column(j * COLS + tx, k, ACROSS_B)];
                }
                //: unroll
                for (var i = 0u; i < TM / 4u; i++) {
                    //: unroll
                    for (var c = 0u; c < 4u; c++) {
                        //: unroll
                        for (var j = 0u; j < TN / 4u; j++) {
                            sum[4u * i + c][j] += va[i][c] * vb[j];
                        }
                    }
                }
            }
        }
        if (k0 >= k_end) { break; }
        //: if STAGES == 1
        workgroupBarrier();
        //: else
        stage = 1u - stage;
        //: end
        //: unroll
        for (var l = 0u; l < LOADS_A; l++) {
            let at = place(t + l * THREADS, ACROSS_A, BM);
            //: if ACROSS_A
            tile_a[stage][at.y][at.x / 4u] = next_a[l];
            //: else
            let to = column(at.x / 4u, at.y, ACROSS_A);
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                tile_a[stage][at.y + c][to][at.x % 4u] = next_a[l][c];
            }
            //: end
        }
        //: unroll
        for (var l = 0u; l < LOADS_B; l++) {
            let at = place(t + l * THREADS, ACROSS_B, BN);
            //: if ACROSS_B
            tile_b[stage][at.y][at.x / 4u] = next_b[l];
            //: else
            let to = column(at.x / 4u, at.y, ACROSS_B);
            //: unroll
            for (var c = 0u; c < 4u; c++) {
                tile_b[stage][at.y + c][to][at.x % 4u] = next_b[l][c];
            }
            //: end
        }
        workgroupBarrier();
        k0 += BK;
