"""The GPU room: programs as data, what builds them, and what runs them.

    program.py   buffers, pipelines, dispatches: pure data, JSON-able
    builder.py   what kernels append to; allocates, validates
    layout.py    where parameters lie in the arenas
    memory.py    which transient buffers may share memory
    shaders.py   the text of shaders/*.wgsl with its includes
    kernels/     operations: one file a family, one function an operation
    lower.py     a network as a program
    native.py    runs programs by wgpu-py
    session.py   a network on a device: programs, weights in both places
    detector.py  which adapters there are, and which one is taken

program, builder, layout, memory, shaders and kernels stand below the layers and import
neither wgpu nor js.
"""
