"""Shared memory: transient buffers whose lifetimes do not overlap take the same place.

Greedy by size (Pisarchyk and Lee 2020, "Efficient memory management for deep neural
net inference"): the largest buffer first, each into the smallest place that is free for
its whole life. Each place is a buffer of its own, so that no two bindings of one
dispatch ever alias.
"""

from loom.gpu.program import Buffer, Dispatch


def lifetimes(dispatches: list[Dispatch]) -> dict[Buffer, tuple[int, int]]:
    """Transient buffer -> (first, last) dispatch that uses it; pinned: to the end."""
    spans: dict[Buffer, tuple[int, int]] = {}
    for i, row in enumerate(dispatches):
        for binding in row.bindings:
            buffer = binding.buffer
            if buffer.role == "transient":
                spans[buffer] = (spans.get(buffer, (i, i))[0], i)
    end = len(dispatches)
    return {b: (s, end if b.pinned else e) for b, (s, e) in spans.items()}


def plan(dispatches: list[Dispatch]) -> list[int]:
    """Give each transient buffer its `slot`; the bytes of each slot."""
    spans = lifetimes(dispatches)
    sizes: list[int] = []
    taken: list[list[tuple[int, int]]] = []
    for buffer in sorted(spans, key=lambda b: (-b.nbytes, spans[b])):
        first, last = spans[buffer]
        # Places come in falling size: the last one that is free fits most closely.
        for slot in range(len(sizes) - 1, -1, -1):
            if all(last < s or e < first for s, e in taken[slot]):
                break
        else:
            slot = len(sizes)
            sizes.append(buffer.nbytes)
            taken.append([])
        buffer.slot = slot
        taken[slot].append((first, last))
    return sizes
