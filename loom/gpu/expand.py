"""The expander: a family's readable WGSL becomes the text that a backend compiles.

A file of shaders/ whose loops must be written out marks them in comments, and every
backend compiles what `expand` makes of it:

    //: if EXPR, //: else, //: end    lines kept or left out
    //: unroll                        the `for` loop of the next line, written out
    //: names                         the array `var` of the next line, as variables

Its `override` constants become `const`s of the values given (or their defaults), since
conditions, counts and the sizes of nested arrays need them. Unrolled loops count
upwards; their bodies see the counter as a literal. A named array is indexed by such
literals alone, so that `sum[2u * 1u + 0u]` becomes `sum_2`. Why this is needed:
compilers keep an array that a loop indexes in memory, and naga bounds every loop;
written out, the same matrix product runs twice as fast.

Raises:  ConfigError for an override that the file has not, ValueError for a mark that
         is misused
"""

import ast
import operator
import re
from collections.abc import Mapping
from functools import lru_cache

from loom.errors import ConfigError, known

Value = int | float | bool

_MARK = re.compile(r"^\s*//: (if|unroll|names)\b", re.MULTILINE)
_OVERRIDE = re.compile(
    r"^override (?P<name>\w+)\s*:\s*(?P<type>\w+)\s*=\s*(?P<value>[^;]+);(?P<rest>.*)$"
)
_CONST = re.compile(r"^\s*const\s+(\w+)\s*(?::\s*\w+\s*)?=\s*([^;]+);")
_FOR = re.compile(
    r"^\s*for \(var (?P<name>\w+) = (?P<first>[^;]+); (?P=name) < (?P<end>[^;]+); "
    r"(?P=name)(?:\+\+| \+= (?P<step>[^)]+))\) \{\s*$"
)
_VAR = re.compile(r"^(?P<indent>\s*)var (?P<name>\w+): (?P<type>array<.+>);\s*$")
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def marked(text: str) -> bool:
    """Whether a text has marks: `expand` then leaves no override in it."""
    return bool(_MARK.search(text))


def expand(text: str, overrides: Mapping[str, Value] | None = None) -> str:
    """The text to compile: overrides set, conditions resolved, loops written out."""
    lines, constants = _set(text.split("\n"), dict(overrides or {}))
    _read_constants(lines, constants)
    lines = _choose(lines, constants)
    _read_constants(lines, constants)
    return "\n".join(_name(_unroll(lines, constants), constants))


def evaluate(text: str, constants: Mapping[str, Value]) -> int:
    """An integer or boolean constant expression of WGSL; ValueError if it is none."""
    try:
        return _value(_parsed(text), constants)
    except (SyntaxError, KeyError, TypeError, ZeroDivisionError):
        raise ValueError(f"no constant expression: {text.strip()!r}") from None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.AST:
    """The tree of an expression; a family's texts have many in common."""
    code = re.sub(r"\b(\d+)[ui]\b", r"\1", text).replace("&&", " and ")
    code = re.sub(r"!(?!=)", " not ", code.replace("||", " or ")).replace("/", "//")
    return ast.parse(code.strip(), mode="eval").body


def _value(node: ast.AST, constants: Mapping[str, Value]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        if node.id in ("true", "false"):
            return int(node.id == "true")
        return constants[node.id]
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, constants), _value(node.right, constants)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left = _value(node.left, constants)
        right = _value(node.comparators[0], constants)
        return int(_OPERATORS[type(node.ops[0])](left, right))
    if isinstance(node, ast.BoolOp):
        values = [bool(_value(part, constants)) for part in node.values]
        return int(all(values) if isinstance(node.op, ast.And) else any(values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return int(not _value(node.operand, constants))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, constants)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("min", "max"):
        values = [_value(part, constants) for part in node.args]
        return min(values) if node.func.id == "min" else max(values)
    raise ValueError("not constant")


def _set(lines: list[str], given: dict[str, Value]) -> tuple[list[str], dict]:
    """Lines with overrides as constants of their values, and those values by name."""
    values: dict[str, Value] = {}
    out = []
    for line in lines:
        match = line.startswith("override ") and _OVERRIDE.match(line)
        if not match:
            out.append(line)
            continue
        name, kind, text = match["name"], match["type"], match["value"]
        value = given.pop(name, None)
        if value is not None:
            text = str(float(value) if kind == "f32" else int(value))
            text = text + {"u32": "u", "i32": "i", "f32": "f"}.get(kind, "")
            text = str(bool(value)).lower() if kind == "bool" else text
        if kind != "f32":
            values[name] = evaluate(text, {})
        out.append(f"const {name}: {kind} = {text};{match['rest']}")
    if given:
        raise ConfigError(known(next(iter(given)), values, "override"))
    return out, values


def _read_constants(lines: list[str], constants: dict[str, Value]) -> None:
    """Add the integer constants that the lines declare."""
    for line in lines:
        if "const " in line and (match := _CONST.match(line)):
            try:
                constants[match[1]] = evaluate(match[2], constants)
            except ValueError:
                continue  # a float or a vector: no loop counts by it


def _choose(lines: list[str], constants: Mapping[str, Value]) -> list[str]:
    """Lines without those whose `@if` does not hold."""
    out: list[str] = []
    stack: list[bool] = []
    for number, line in enumerate(lines, 1):
        mark = line.strip() if "//:" in line else ""
        if mark.startswith("//: if "):
            stack.append(bool(evaluate(mark[len("//: if ") :], constants)))
        elif mark in ("//: else", "//: end") and not stack:
            raise ValueError(f"line {number}: {mark} without //: if")
        elif mark == "//: else":
            stack[-1] = not stack[-1]
        elif mark == "//: end":
            stack.pop()
        elif all(stack):
            out.append(line)
    if stack:
        raise ValueError("//: if without //: end")
    return out


def _block(lines: list[str], start: int) -> int:
    """The index of the line that closes the brace which line `start` opens."""
    depth = 0
    for at in range(start, len(lines)):
        code = lines[at].split("//")[0]
        depth += code.count("{") - code.count("}")
        if depth <= 0:
            return at
    raise ValueError(f"no end of the block: {lines[start].strip()}")


def _unroll(lines: list[str], constants: Mapping[str, Value]) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(lines):
        if lines[at].strip() != "//: unroll":
            out.append(lines[at])
            at += 1
            continue
        head = _FOR.match(lines[at + 1])
        if not head:
            raise ValueError(f"//: unroll before no counted loop: {lines[at + 1]}")
        end = _block(lines, at + 1)
        body = lines[at + 2 : end]
        first, stop = (evaluate(head[part], constants) for part in ("first", "end"))
        step = evaluate(head["step"] or "1", constants)
        counter = re.compile(rf"\b{head['name']}\b")
        for value in range(first, stop, step):
            copy = [counter.sub(f"{value}u", line) for line in body]
            declares = any(re.match(r"\s*(let|var)\b", line) for line in copy)
            copy = _unroll(copy, constants)
            out += ["{", *copy, "}"] if declares else copy
        at = end + 1
    return out


def _dimensions(text: str, constants: Mapping[str, Value]) -> tuple[str, list[int]]:
    """array<array<vec4f, 2>, 8> -> vec4f, [8, 2]."""
    sizes = []
    while text.startswith("array<"):
        inner, _, size = text[len("array<") : -1].rpartition(",")
        sizes.append(evaluate(size, constants))
        text = inner.strip()
    return text, sizes


def _name(lines: list[str], constants: Mapping[str, Value]) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(lines):
        if lines[at].strip() != "//: names":
            out.append(lines[at])
            at += 1
            continue
        match = _VAR.match(lines[at + 1])
        if not match:
            raise ValueError(f"//: names before no array: {lines[at + 1]}")
        kind, sizes = _dimensions(match["type"], constants)
        places = [()]
        for size in sizes:
            places = [(*place, i) for place in places for i in range(size)]
        name, indent = match["name"], match["indent"]
        for place in places:
            label = "_".join(map(str, place))
            out.append(f"{indent}var {name}_{label}: {kind};")
        index = r"\[([^\[\]]+)\]" * len(sizes)
        use = re.compile(rf"\b{name}{index}")

        def one(found: re.Match, name=name, sizes=sizes) -> str:
            place = [evaluate(part, constants) for part in found.groups()]
            if any(i >= size for i, size in zip(place, sizes, strict=True)):
                raise ValueError(f"{found[0]} is outside of {name}{sizes}")
            return f"{name}_{'_'.join(map(str, place))}"

        end = _scope(lines, at + 2)
        lines[at + 2 : end] = [use.sub(one, line) for line in lines[at + 2 : end]]
        at += 2
    return out


def _scope(lines: list[str], start: int) -> int:
    """The index of the line that ends the scope in which line `start` stands."""
    depth = 0
    for at in range(start, len(lines)):
        code = lines[at].split("//")[0]
        depth += code.count("{") - code.count("}")
        if depth < 0:
            return at
    return len(lines)
