"""loom.h and the C code that follow from the reflection.

A layer initialiser of the reflection (InitDenseLayer, ...) becomes a C function of the
same name behind `Loom_`; activations become an enum; methods become a list.
"""

import json
import textwrap

import loom
from loom import assets, introspection

# Wire type -> C type, and the macro that hands the value over.
_SCALARS = {
    "int": ("int ", "LOOM_INT"),
    "int|string": ("int ", "LOOM_INT"),
    "float": ("double ", "LOOM_REAL"),
    "bool": ("bool ", "LOOM_BOOL"),
    "string": ("const char *", "LOOM_TEXT"),
}


def initialisers() -> list[dict]:
    """The reflected functions that make a layer's configuration."""
    rows = introspection.get_functions()
    return [row for row in rows if row["method_name"].startswith("Init")]


def header() -> str:
    """The text of loom.h."""
    activations = [
        f"    LOOM_{row.name.upper()} = {row.code}, /* {_inside(row.formula)} */"
        for row in loom.ACTIVATIONS
    ]
    layers = []
    for row in initialisers():
        text = " ".join([_inside(row["doc"]), *_usual(row)])
        comment = textwrap.fill(text, 82, subsequent_indent="   ")
        layers.append(f"/* {comment} */\nLOOM_API {_prototype(row)};")
    methods = []
    for row in introspection.get_methods():
        signature = introspection.get_method_signature(row["method_name"])
        methods.append(_fill(signature, "   "))
        methods.append(_fill(row["doc"], "       "))
    text = assets.texts("native")["loom.h.in"]
    for name, value in {
        "VERSION": loom.__version__,
        "ACTIVATIONS": "\n".join(activations),
        "LAYERS": "\n\n".join(layers),
        "METHODS": "\n".join(methods),
    }.items():
        text = text.replace(f"@{name}@", value)
    return text


def layer_functions() -> str:
    """The text of layers.c."""
    parts = [
        "/* Written by loom/cabi/header.py from the reflection. */",
        '#include "internal.h"\n#include "loom.h"',
    ]
    for row in initialisers():
        name, parameters = row["method_name"], _parameters(row)
        values = ", ".join(f"{macro}({at})" for _, at, macro in parameters)
        array = f"    const loom_value values[] = {{{values}}};\n" if values else ""
        given = "values, LOOM_COUNT(values)" if values else "NULL, 0"
        parts.append(
            f'LOOM_API {_prototype(row)} {{\n{array}    return loom_ask("{name}", '
            f"{given});\n}}"
        )
    return "\n\n".join(parts) + "\n"


def built(executable: str, package: str, paths: list[str]) -> str:
    """The text of built.h: where this build's Python, package and its needs are."""
    return (
        f"#define LOOM_EXECUTABLE {c_string(executable)}\n"
        f"#define LOOM_PACKAGE {c_string(repr(package))}\n"
        f"#define LOOM_PATHS {c_string(repr(paths))}\n"
    )


def c_string(text: str) -> str:
    """A C literal of the text's UTF-8 bytes."""
    safe = set(range(0x20, 0x7F)) - set(b'"\\?')
    parts = (chr(b) if b in safe else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(parts)}"'


def _prototype(row: dict) -> str:
    # A line ends between parameters only; \0 holds the words of one together.
    parameters = [
        (kind + name).replace(" ", "\0") for kind, name, _ in _parameters(row)
    ]
    text = f"char\0*Loom_{row['method_name']}({', '.join(parameters) or 'void'})"
    lines = textwrap.wrap(text, 79, subsequent_indent="    ", break_long_words=False)
    return "\n".join(lines).replace("\0", " ")


def _parameters(row: dict) -> list[tuple[str, str, str]]:
    """(C type, name, macro) of each; what is no scalar, or may be null, is JSON."""
    out = []
    for parameter in row["parameters"]:
        name, word = parameter["name"], parameter["type"]
        nullable = parameter.get("default", 0) is None
        if word in _SCALARS and not nullable:
            kind, macro = _SCALARS[word]
            out.append((kind, name, macro))
        else:
            out.append(("const char *", f"{name}_json", "LOOM_JSON"))
    return out


def _usual(row: dict) -> list[str]:
    """A sentence of what a call in Python would leave out, if there is any."""
    usual = [
        f"{p['name']} {json.dumps(p['default'])}"
        for p in row["parameters"]
        if p.get("default") is not None
    ]
    return [f"Usual: {', '.join(usual)}."] if usual else []


def _fill(text: str, indent: str) -> str:
    return textwrap.fill(
        _inside(text),
        84,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
    )


def _inside(text: str) -> str:
    """Text that cannot end the comment around it."""
    return text.replace("*/", "* /")
