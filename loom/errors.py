"""Every error that Loom raises.

    LoomError
    ├── ConfigError    (ValueError)    a layer, network or training setting is wrong
    ├── ShapeError     (ValueError)    an array's shape does not fit its place
    ├── InputError     (ValueError)    an array or value is not usable (NaN, text, ...)
    ├── FormatError    (ValueError)    a file or a bundle is damaged or not ours
    ├── WireError      (ValueError)    a JSON call cannot be understood
    ├── DeviceError    (RuntimeError)  a GPU is missing or refuses
    └── TrainingError  (RuntimeError)  training cannot go on (the loss is not finite)

A message says where, what was expected, what came, and what to do about it.
"""


class LoomError(Exception):
    """The root: catch this to catch everything of ours."""


class ConfigError(LoomError, ValueError):
    """A layer, network or training setting is wrong."""


class ShapeError(LoomError, ValueError):
    """An array's shape does not fit its place."""


class InputError(LoomError, ValueError):
    """A value is not usable: NaN, infinity, text where numbers belong."""


class FormatError(LoomError, ValueError):
    """A file or bundle is damaged, hostile or of another kind."""


class WireError(LoomError, ValueError):
    """A JSON call cannot be understood."""


class DeviceError(LoomError, RuntimeError):
    """A GPU is missing, refuses, or was lost."""


class TrainingError(LoomError, RuntimeError):
    """Training cannot go on."""


def known(name: object, names, what: str) -> str:
    """Text for an unknown name: the near match first, then all that are known."""
    from difflib import get_close_matches

    names = [str(n) for n in names]
    near = get_close_matches(str(name), names, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"unknown {what} {name!r}. {hint}Known: {', '.join(names)}."
