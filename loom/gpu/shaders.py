"""The text of shaders/*.wgsl, complete: prelude, includes, loops unrolled.

A line `//: include NAME` stands for shaders/NAME.wgsl, once a text, and a line
`//: insert NAME` wherever it is; `activation` is made from the table of activations
instead: in an expanded text of the rows that its overrides ACTIVATION and SLOPE name,
and always without what is not called, since some compilers take their time over the
rest. The prelude says what `stored` is: the type of activations and weights in memory.
Arithmetic is always float32.
"""

import re
from functools import lru_cache

from loom import assets
from loom.activations import ACTIVATIONS
from loom.gpu import expand

_INCLUDE = re.compile(r"^//: (include|insert) (\w+)$", re.MULTILINE)
_REMARK = re.compile(r"^ *(//(?!:).*)?\n", re.MULTILINE)
_PARAMS = "@group(0) @binding(8) var<uniform> p: Params;"
_ENTRY = re.compile(r"^@compute[^{]*\{$", re.MULTILINE)
LINEAR = 5
STORED = {"f32": "alias stored = f32;\n", "f16": "enable f16;\nalias stored = f16;\n"}


def names() -> list[str]:
    """Every shader's name."""
    return sorted(file.removesuffix(".wgsl") for file in assets.texts("shaders"))


@lru_cache(maxsize=256)
def raw(name: str) -> str:
    """A shader's file, less the lines that only readers need."""
    return _REMARK.sub("", assets.texts("shaders")[f"{name}.wgsl"])


def source(name: str, overrides: dict | None = None, stored: str = "f32") -> str:
    """The text that a pipeline is made of."""
    key = tuple(sorted((overrides or {}).items()))
    return _source(name, key, stored)


@lru_cache(maxsize=512)
def _source(name: str, overrides: tuple, stored: str) -> str:
    seen = {name}

    def included(match: re.Match) -> str:
        once, other = match[1] == "include", match[2]
        if once and other in seen:
            return ""
        seen.add(other)
        text = "" if other == "activation" else raw(other)
        return _INCLUDE.sub(included, text)

    text = _INCLUDE.sub(included, raw(name))
    if expanded(name):
        text = expand.expand(text, dict(overrides))
    if "activation" in seen:
        named, codes = dict(overrides), ()
        if expanded(name):
            codes = named.get("ACTIVATION", LINEAR), named.get("SLOPE", LINEAR)
        text = _called(activation_text(*codes), text) + text
    return STORED[stored] + "alias stored4 = vec4<stored>;\n" + text


def in_storage(text: str) -> str:
    """The same text with its constant blocks in storage buffers instead of uniforms.

    The entry reads all of `p` first, which a loop would read again and again.
    """
    if _PARAMS in text:
        given = _PARAMS.replace(" p:", " given:")
        text = text.replace(_PARAMS, f"{given}\nvar<private> p: Params;")
        text = _ENTRY.sub(r"\g<0>\n  p = given;", text)
    return text.replace("var<uniform>", "var<storage, read>")


@lru_cache(maxsize=256)
def expanded(name: str) -> bool:
    """Whether a shader's text has its overrides set already (expand.py)."""
    return expand.marked(raw(name))


@lru_cache(maxsize=64)
def activation_text(f: int | None = None, g: int | None = None) -> str:
    """`activate(code, v)` and `slope(code, v, y)`, a case for each row of the table.

    slope is f'; it reads v or y, whichever the row's `needs` says. Args: the only code
    that each is called with
    """
    rows = [row for row in ACTIVATIONS if row.elementwise]
    return f"""{raw("activation_parts")}
fn activate(code: u32, v: f32) -> f32 {{
{_chosen({row.code: row.wgsl for row in rows}, f)}
}}

fn slope(code: u32, v: f32, y: f32) -> f32 {{
{_chosen({row.code: row.wgsl_slope for row in rows}, g)}
}}
"""


def _chosen(values: dict[int, str], code: int | None) -> str:
    if code is not None:
        return f"  return {values[code]};"
    cases = "\n".join(f"    case {k}u: {{ return {v}; }}" for k, v in values.items())
    return f"""  switch code {{
{cases}
    default: {{ return {values[LINEAR]}; }}
  }}"""


def _called(functions: str, text: str) -> str:
    """Those that a text calls, or that these call in turn; callers stand last."""
    out = ""
    for function in reversed(("\n" + functions).split("\nfn ")[1:]):
        call = function[: function.index("(") + 1]
        if call in text or call in out:
            out = f"fn {function}\n{out}"
    return out
