"""The expander: what it makes of each mark, and that misuse is an error."""

import pytest

from loom.errors import ConfigError
from loom.gpu.expand import evaluate, expand, marked


def text(*lines: str) -> str:
    return "\n".join(lines)


def test_overrides_become_constants_of_their_type():
    source = text(
        "override N: u32 = 4u;  // why",
        "override HALF: bool = false;",
        "override RATE: f32 = 0.5;",
        "override LOW: i32 = -1;",
    )
    assert expand(source) == text(
        "const N: u32 = 4u;  // why",
        "const HALF: bool = false;",
        "const RATE: f32 = 0.5;",
        "const LOW: i32 = -1;",
    )
    given = {"N": 8, "HALF": True, "RATE": 2, "LOW": -3}
    assert expand(source, given) == text(
        "const N: u32 = 8u;  // why",
        "const HALF: bool = true;",
        "const RATE: f32 = 2.0f;",
        "const LOW: i32 = -3i;",
    )


def test_an_unknown_override_is_an_error_that_lists_the_known():
    with pytest.raises(ConfigError, match=r"unknown override 'MB'.*BM"):
        expand("override BM: u32 = 4u;", {"MB": 8})


def test_conditions_nest_and_see_constants():
    source = text(
        "override N: u32 = 4u;",
        "const HALF: u32 = N / 2u;",
        "//: if HALF == 2u && N != 3u",
        "a",
        "    //: if !(N < 5u)",
        "b",
        "    //: else",
        "c",
        "    //: end",
        "//: else",
        "d",
        "//: end",
    )
    assert expand(source).split("\n")[2:] == ["a", "c"]
    assert expand(source, {"N": 5}).split("\n")[2:] == ["a", "b"]
    assert expand(source, {"N": 3}).split("\n")[2:] == ["d"]


def test_loops_are_written_out_and_arrays_become_variables():
    source = text(
        "const N: u32 = 2u;",
        "fn f() {",
        "    //: names",
        "    var sum: array<array<vec4f, N>, 2>;",
        "    //: unroll",
        "    for (var i = 0u; i < N; i++) {",
        "        let x = i + 1u;",
        "        //: unroll",
        "        for (var j = i; j < 2u * N; j += 2u) {",
        "            sum[i][j / 2u] += x;",
        "        }",
        "    }",
        "}",
        "fn g(sum: f32) { h(sum[9]); }",
    )
    assert expand(source) == text(
        "const N: u32 = 2u;",
        "fn f() {",
        "    var sum_0_0: vec4f;",
        "    var sum_0_1: vec4f;",
        "    var sum_1_0: vec4f;",
        "    var sum_1_1: vec4f;",
        "{",
        "        let x = 0u + 1u;",
        "            sum_0_0 += x;",
        "            sum_0_1 += x;",
        "}",
        "{",
        "        let x = 1u + 1u;",
        "            sum_1_0 += x;",
        "            sum_1_1 += x;",
        "}",
        "}",
        "fn g(sum: f32) { h(sum[9]); }",
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["//: else"], "without //: if"),
        (["//: end"], "without //: if"),
        (["//: if 1u == 1u", "a"], "without //: end"),
        (["//: if WHAT", "//: end"], "no constant expression: 'WHAT'"),
        (["//: unroll", "while (true) {", "}"], "no counted loop"),
        (["//: unroll", "for (var i = 0u; i < n; i++) {", "}"], "expression: 'n'"),
        (["//: unroll", "for (var i = 0u; i < 2u; i++) {"], "no end of the block"),
        (["//: names", "let a = 1u;"], "no array"),
        (["//: names", "var a: array<f32, 2>;", "a[2u] = 1.0;"], "outside of a"),
        (["//: names", "var a: array<f32, 2>;", "a[i] = 1.0;"], "expression: 'i'"),
    ],
)
def test_misuse_is_an_error(lines, message):
    with pytest.raises(ValueError, match=message):
        expand(text(*lines))


def test_arithmetic_is_that_of_unsigned_integers():
    assert evaluate("7u / 2u * 2u + min(3u, 1u) + max(1u, 2u)", {}) == 9
    assert evaluate("(5u - 1u) % 3u + 2u * (N / 3u)", {"N": 16}) == 11
    assert evaluate("true && 2u >= 2u", {}) == 1
    assert evaluate("!true || 2u > 2u", {}) == 0


def test_marked():
    assert marked("a\n    //: unroll\nb")
    assert not marked("a\n//: include grid\nb // unroll")
