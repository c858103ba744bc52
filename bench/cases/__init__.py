"""The lines of `python -m bench cpu`, one module a family; each has LINES.

A line's `build` makes the contenders: "loom", "numpy" (the same written out by hand, as
a careful person would) where that says something, and "torch" where it is installed.
"""
