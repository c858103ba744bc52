// What a thread of a tiled product keeps: the tile to come, sums, and two steps' values.
    //: names
    var next_a: array<vec4f, LOADS_A>;
    //: names
    var next_b: array<vec4f, LOADS_B>;
    //: names
    var sum: array<array<vec4f, TN / 4u>, TM>;
    //: names
    var va: array<array<vec4f, TM / 4u>, 2>;
    //: names
    var vb: array<array<vec4f, TN / 4u>, 2>;

    var k0 = k_first;
