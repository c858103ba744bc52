// What a thread reads of the tiles of a and of the windows' matrix at k0.
            //: unroll
            for (var l = 0u; l < LOADS_A; l++) {
                let at = place(t, l, ACROSS_A, BM);
                let m = min(m0 + at.x, p.m - 1u);
                next_a[l] = vec4f();
                //: unroll
                for (var c = 0u; c < 4u; c++) {
                    if (k0 + at.y + c < k_end) { next_a[l][c] = read_a(m, k0 + at.y + c); }
                }
            }
            //: unroll
            for (var l = 0u; l < LOADS_B; l++) {
                let k = k0 + place(t, l, ACROSS_B, BN).y;
                next_b[l] = vec4f();
                if (k < k_end) {
                    let row = row_part(k);
                    //: unroll
                    for (var c = 0u; c < 4u; c++) {
                        next_b[l][c] = meet(columns[l][c], row);
                    }
                }
            }
