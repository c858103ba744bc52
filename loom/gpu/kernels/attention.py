"""Attention of heads that lie side by side in one array, and its gradient.

Up to LONGEST steps the scores (B, N, T, T) are whole, and kept for the backward pass.
Above, and where no backward pass follows, one kernel goes through the keys and writes
no score (shaders/attention.wgsl).
For heads of more than WIDEST features, or where the scores are more than a binding
holds, queries (and samples) come a few at a time: their scores are computed, used and
overwritten, and computed once more in the backward pass. Memory then grows linearly in
T.
"""

from dataclasses import dataclass

import numpy as np

from loom.gpu.kernels.matmul import Epilogue, Operand, product
from loom.gpu.kernels.softmax import softmax, softmax_backward
from loom.gpu.program import ITEM, Tensor

LONGEST = 1024  # steps whose scores are written down whole
LONG = 128  # steps from which the kernel without scores is faster, but for its gradient
WIDEST = 64  # features of a head that the kernel without scores keeps in registers
PAIRS = 64  # queries of its workgroup, or twice as many; keys of that for dk and dv
MANY = 512  # workgroups below which causal ones, of unequal length, are better halved
CACHE = 32 << 20  # bytes of scores at a time above that
FEW = 256  # queries that are worth more than further samples


@dataclass(frozen=True)
class Attended:
    """What the backward pass needs: the probabilities, or the output and lse."""

    qkv: Tensor
    heads: int
    causal: bool
    scores: Tensor | None = None
    out: Tensor | None = None
    lse: Tensor | None = None


def attention(b, qkv: Tensor, heads: int, causal: bool) -> tuple[Tensor, Attended]:
    """softmax(q k^T / sqrt(d)) v for each head, later steps hidden if causal.

    Shapes:  qkv (B, T, 3 D), q, k and v side by side, each N heads of d = D / N ->
             (B, T, D)
    """
    batch, time, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    out = b.tensor((batch, time, width))
    if _is_fused(b, batch, heads, time, width // heads):
        lse = b.scratch((batch, heads, time)) if b.keep else None
        kind = {"KEEP": True} if b.keep else {}
        _fused(b, "forward", qkv, heads, causal, [qkv], [out, lse], kind)
        return out, Attended(qkv, heads, causal, out=out, lse=lse)
    chunks = _chunks(b, batch, heads, time)
    p = None
    for chunk in chunks:
        part = Part(b, chunk, heads, time, width // heads, causal)
        p = part.probabilities(qkv)
        part.product(p, part.keys(qkv, 2), part.queries(out, 0), inner="columns")
    kept = p if b.keep and len(chunks) == 1 else None
    return out, Attended(qkv, heads, causal, kept)


def attention_backward(b, dy: Tensor, cache: Attended) -> Tensor:
    """dqkv (B, T, 3 D) of dy (B, T, D)."""
    qkv, heads = cache.qkv, cache.heads
    batch, time, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    dqkv = b.tensor(qkv.shape)
    if cache.lse is not None:
        delta = b.scratch((batch, heads, time))
        kind, back = (qkv, heads, cache.causal), {"BACK": True}
        _fused(b, "delta_of", *kind, [cache.out, dy], [delta], back)
        reads = [qkv, dy, cache.lse, delta]
        _fused(b, "backward_q", *kind, reads, [dqkv], back)
        _fused(b, "backward_k", *kind, reads, [dqkv], back)
        return dqkv
    # The last queries come first: they see every key, so dk and dv are written whole.
    for chunk in reversed(_chunks(b, batch, heads, time)):
        part = Part(b, chunk, heads, time, width // heads, cache.causal)
        p = part.probabilities(qkv) if cache.scores is None else cache.scores
        ds = b.tensor(p.shape)
        g = part.queries(dy, 0)
        part.product(g, part.keys(qkv, 2), ds, inner="d", transpose_b=True)
        softmax_backward(b, ds, p, scale=part.scale, in_place=True)
        part.product(ds, part.keys(qkv, 1), part.queries(dqkv, 0), inner="columns")
        kind = {"inner": "queries", "transpose_a": True}
        kind["more"] = chunk.query + chunk.queries < time
        part.product(ds, part.queries(qkv, 0), part.keys(dqkv, 1), **kind)
        part.product(p, g, part.keys(dqkv, 2), **kind)
    return dqkv


def rotate(b, qkv: Tensor, heads: int, table: tuple, back: bool = False) -> None:
    """Turn q and k in place by the angles of `table`: cosine, sine (T, d / 2)."""
    batch, time, width = qkv.shape
    half = width // 3 // heads // 2
    size = batch * time * 2 * heads * half
    b.dispatch(
        "rotary",
        reads=[b.constant(np.asarray(a, np.float32), "rotary") for a in table],
        writes=[qkv],
        params=[size, width, 2 * heads, half, time],
        groups=-(-size // 256),
        overrides={"BACK": back},
    )


def _is_fused(b, batch: int, heads: int, time: int, d: int) -> bool:
    """Whether the kernel without scores is the one to use."""
    quick = not b.keep and not b.limits.software and time >= LONG
    return d <= WIDEST and (quick or not _is_whole(b, batch, heads, time))


def _is_whole(b, batch: int, heads: int, time: int) -> bool:
    """Whether all scores may lie in one array."""
    limit = min(b.limits.binding, b.limits.buffer)
    return time <= LONGEST and batch * heads * time * time * ITEM[b.stored] <= limit


def _fused(b, entry, qkv, heads, causal, reads, writes, overrides) -> None:
    """An entry of shaders/attention.wgsl."""
    batch, time, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    d = width // heads
    few = batch * heads * -(-time // (2 * PAIRS)) < MANY
    queries = 1 if causal and few else 2
    if entry == "delta_of":
        blocks, groups = 1, batch * heads * time
        spread = -(-groups // 128)
    else:
        blocks = -(-time // (PAIRS * (1 if entry == "backward_k" else queries)))
        spread = groups = batch * heads * blocks
    b.dispatch(
        "attention",
        entry,
        reads=reads,
        writes=writes,
        params=[time, heads, groups, blocks, d**-0.5],
        groups=spread,
        overrides=overrides
        | {"D": d, "QUERIES": queries, "CAUSAL": causal, "VEC": d % 4 == 0},
    )


@dataclass(frozen=True)
class Chunk:
    """Samples and queries that are done together: first of each, and how many."""

    sample: int
    samples: int
    query: int
    queries: int


def _chunks(b, batch: int, heads: int, time: int) -> list[Chunk]:
    if _is_whole(b, batch, heads, time):
        return [Chunk(0, batch, 0, time)]
    row = heads * time * ITEM[b.stored]  # bytes of one query's scores
    most = min(CACHE, b.limits.binding, b.limits.buffer)
    samples = max(1, min(batch, most // (row * min(time, FEW))))
    queries = max(1, min(time, LONGEST, most // (row * samples)))
    if queries < time:
        queries = max(queries // 32 * 32, 1)
    return [
        Chunk(i, min(samples, batch - i), j, min(queries, time - j))
        for i in range(0, batch, samples)
        for j in range(0, time, queries)
    ]


@dataclass(frozen=True)
class Part:
    """The products of one chunk; a matrix of scores is (queries, columns)."""

    b: object
    chunk: Chunk
    heads: int
    time: int
    d: int
    causal: bool

    @property
    def scale(self) -> float:
        """1 / sqrt(d)."""
        return self.d**-0.5

    @property
    def columns(self) -> int:
        """Keys that the queries see."""
        c = self.chunk
        return c.query + c.queries if self.causal else self.time

    def keys(self, x: Tensor, which: int) -> Operand:
        """The heads of block `which` of x (B, T, m D), all steps."""
        row, width = x.shape[2], self.heads * self.d
        start = self.chunk.sample * self.time * row + which * width
        return Operand(x, row, self.time * row, self.d, start)

    def queries(self, x: Tensor, which: int) -> Operand:
        """The same from the chunk's first query on."""
        o = self.keys(x, which)
        start = o.start + self.chunk.query * o.row
        return Operand(x, o.row, o.outer, o.inner, start)

    def probabilities(self, qkv: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)), (samples, N, queries, columns)."""
        c = self.chunk
        p = self.b.tensor((c.samples, self.heads, c.queries, self.columns))
        q, k = self.queries(qkv, 0), self.keys(qkv, 1)
        # Scaled in the product already: halves would not hold what is not.
        self.product(q, k, p, inner="d", transpose_b=True, alpha=self.scale)
        return softmax(self.b, p, causal=self.causal, first=c.query, in_place=True)

    def product(
        self, a, w, y, *, inner, alpha=1.0, more=False, transpose_a=False, **kind
    ) -> None:
        """y = alpha a w, or y += alpha a w with `more`; scores come as tensors.

        inner is what is summed over: d gives scores; columns gives rows of queries; and
        queries gives rows of keys.
        """
        queries, columns = self.chunk.queries, self.columns
        sizes = {
            "d": (queries, columns, self.d),
            "columns": (queries, self.d, columns),
            "queries": (columns, self.d, queries),
        }
        each = queries * columns
        operands = [
            Operand(o, columns, self.heads * each, each) if isinstance(o, Tensor) else o
            for o in (a, w, y)
        ]
        product(
            self.b,
            *operands,
            sizes[inner],
            batch=(self.chunk.samples, self.heads),
            transpose_a=transpose_a,
            epilogue=Epilogue(alpha, 1.0 if more else 0.0),
            **kind,
        )
