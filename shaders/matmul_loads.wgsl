// What a thread reads of the tiles of a and b at k0.
            //: unroll
            for (var l = 0u; l < LOADS_A; l++) {
                let k = k0 + place(t, l, ACROSS_A, BM).y;
                next_a[l] = read_a(start_a[l], k, k_end, room_a[l]);
                start_a[l] += BK * step_a / UNIT_A;
            }
            //: unroll
            for (var l = 0u; l < LOADS_B; l++) {
                let k = k0 + place(t, l, ACROSS_B, BN).y;
                next_b[l] = read_b(start_b[l], k, k_end, room_b[l]);
                start_b[l] += BK * step_b / UNIT_B;
            }
