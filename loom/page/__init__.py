"""What the web page needs from Python beside Network's methods.

The page calls a function here through `loom.browser` as `page.Name`, the wire name of a
row of `FUNCTIONS`: `loom.call("page.Catalog")`, or with a network as the first
argument `network.call("page.LayerRows")`. Results are JSON values, arrays and networks.
This is the page's own, not the JavaScript API: it may change with the page.
"""

from collections.abc import Callable, Sequence
from typing import Any

from loom.errors import WireError, known
from loom.introspection import wire_name
from loom.page import examples, layers, plane, reading

FUNCTIONS: dict[str, Callable] = {
    wire_name(name): getattr(module, name)
    for module in (examples, reading, layers, plane)
    for name in module.__all__
}


def call(network: Any, name: str, arguments: Sequence[Any]) -> list[Any]:
    """Call a function by wire name; `network`, unless None, is its first argument."""
    if name not in FUNCTIONS:
        raise WireError(f"page: {known(name, FUNCTIONS, 'function')}")
    first = () if network is None else (network,)
    try:
        result = FUNCTIONS[name](*first, *arguments)
    except TypeError as error:
        raise WireError(f"page.{name}: {error}") from error
    return [] if result is None else [result]
