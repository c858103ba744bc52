"""The C ABI: Loom inside any program, by cffi and an embedded Python.

python -m loom.cabi build       -> compiled/<platform>_<arch>/

native/    the C side: start-up (start.c), texts (text.c), functions (api.c)
header.py  loom.h and the layer initialisers, from the reflection
build.py   the compiler's run
bridge.py  the Python side: handles, locks, replies
step.py    one training step on arrays
examples/  C, C++, Rust, Go and Python programs that use the library
"""
