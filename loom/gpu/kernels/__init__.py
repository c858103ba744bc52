"""Operations on a program: one file a family, named as its shader.

Each function appends dispatches to a Builder and returns tensors. They compute nothing,
know no layer and import neither wgpu nor js.
"""
