"""Matrix products: which kernel of shaders/matmul*.wgsl, which tile, how many splits.

A product of few rows goes to `rows`, all others to `tiled` in a tile of tiles.py; where
a processor plays the GPU, all go to `alone`, or to `small`, which compiles in a third
of the time and takes more of it for each multiply-add. Where the tiles of a long sum
are too few for the device, they split along k and `combine` adds the parts, always in
the same order.
"""

from dataclasses import dataclass
from math import prod

from loom.activations import activation as row_of
from loom.gpu.kernels.tiles import PROCESSORS, Tile, choose, round_up
from loom.gpu.program import Tensor

LINEAR, NONE = 5, 255
# Multiply-adds from which `alone`, and more rows a thread, are worth their compilation.
SMALL, LARGE = 2**20, 2**27
PADDED_FROM = 2**29  # multiply-adds that are worth padding ragged matrices


@dataclass(frozen=True)
class Operand:
    """A matrix, or outer x inner of them: `row` values from one row to the next.

    start, outer and inner count values: where the first one begins, and the steps from
    one matrix to the next.
    """

    tensor: Tensor
    row: int
    outer: int = 0
    inner: int = 0
    start: int = 0

    @property
    def steps(self) -> tuple[int, ...]:
        """All that must be multiples of four to read fours."""
        return (self.row, self.outer, self.inner, self.start)


@dataclass(frozen=True)
class Epilogue:
    """v = alpha product + beta y + bias, y = f(v) g'(saved); before = v."""

    alpha: float = 1.0
    beta: float = 0.0
    bias: Tensor | None = None
    activation: int = LINEAR
    before: Tensor | None = None
    slope: int = NONE
    saved: Tensor | None = None

    def overrides(self) -> dict[str, int]:
        """The shader's, less those that say nothing."""
        flags = {
            "BIAS": self.bias is not None,
            "KEEP": self.before is not None,
            "ACCUMULATE": self.beta != 0,
        }
        out: dict[str, int] = {name: True for name, on in flags.items() if on}
        if self.activation != LINEAR:
            out["ACTIVATION"] = self.activation
        if self.slope != NONE:
            out["SLOPE"] = self.slope
        return out


def matmul(
    b,
    a: Tensor,
    w: Tensor,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: Tensor | None = None,
    activation=None,
    keep: bool = False,
    out: Tensor | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    accumulate: bool = False,
    slope: tuple | None = None,
):
    """y = f(alpha a @ w + beta y + bias) g'(saved); (y, v) with keep, v before f.

    Shapes:  a (..., M, K) or with transpose_a (..., K, M); w (K, N), or (N, K) with
             transpose_b; out (..., M, N). Leading axes of a are folded into M where w
             has two axes; else w has the same.
    Args:    accumulate is beta=1; slope is (row of g, saved), saved of out's shape and
             what g' reads; out may be float32 in a program that stores halves.
    """
    f = row_of(activation) if activation is not None else None
    if f is not None and not f.elementwise:
        raise ValueError(f"matmul: {f.name} is no epilogue; apply it afterwards")
    folded = w.shape[-2:] == w.shape
    if folded and len(a.shape) > 2 and not transpose_a:
        lead, a2 = a.shape[:-1], a.reshape(-1, a.shape[-1])
    elif folded:
        lead, a2 = (a.shape[-1] if transpose_a else a.shape[-2],), a
    else:
        lead, a2 = (*a.shape[:-2], a.shape[-1] if transpose_a else a.shape[-2]), a
    m, k = a2.shape[-2:][::-1] if transpose_a else a2.shape[-2:]
    inside, n = w.shape[-2:][::-1] if transpose_b else w.shape[-2:]
    batch = 1 if folded else prod(a.shape[:-2])
    if k != inside or (folded and len(a2.shape) != 2):
        raise ValueError(f"matmul: {a.shape} and {w.shape} do not fit")
    if not folded and a.shape[:-2] != w.shape[:-2]:
        raise ValueError(f"matmul: {a.shape} and {w.shape} are not the same batch")
    shape = (*lead, n)
    y = out if out is not None else b.tensor(shape)
    if y.size != prod(shape):
        raise ValueError(f"matmul: out is {y.shape}, expected {shape}")
    before = b.tensor(shape) if keep else None
    row, saved = slope or (None, None)
    product(
        b,
        Operand(a2, a2.shape[-1], m * k),
        Operand(w, w.shape[-1], n * k),
        Operand(y, n, m * n),
        (m, n, k),
        batch=(batch, 1),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        epilogue=Epilogue(
            alpha=float(alpha),
            beta=1.0 if accumulate else float(beta),
            bias=bias,
            activation=f.code if f is not None else LINEAR,
            before=before,
            slope=row_of(row).code if row is not None else NONE,
            saved=saved,
        ),
    )
    return (y, before) if keep else y


class Later:
    """y = a @ w^T, put off: an activation's slope may still join its epilogue."""

    def __init__(self, b, a: Tensor, w: Tensor):
        self.b, self.a, self.w = b, a, w
        self.slope: tuple | None = None
        self.y = b.tensor((*a.shape[:-1], w.shape[0]))

    def times_slope(self, row, saved: Tensor) -> Tensor | None:
        """y g'(saved) instead of y; None where there is a slope already."""
        if self.slope is not None or not row.elementwise:
            return None
        self.slope = row, saved
        self.b.replace(self.y)
        self.y = self.b.tensor(self.y.shape)
        return self.b.defer(self.y, self)

    def __call__(self) -> None:
        """Dispatch it."""
        options = {"out": self.y, "slope": self.slope, "transpose_b": True}
        matmul(self.b, self.a, self.w, **options)


def matmul_later(b, a: Tensor, w: Tensor) -> Tensor:
    """a @ w^T, done when it is needed: dx of a layer, which a slope often follows.

    Shapes:  a (..., K), w (N, K) -> (..., N)
    """
    work = Later(b, a, w)
    return b.defer(work.y, work)


def product(
    b,
    a: Operand,
    w: Operand,
    y: Operand,
    size: tuple[int, int, int],
    *,
    batch: tuple[int, int] = (1, 1),
    transpose_a: bool = False,
    transpose_b: bool = False,
    epilogue: Epilogue = Epilogue(),
    tile: Tile | None = None,
    splits: int = 0,
    few: tuple[int, int] | None = None,
) -> None:
    """The products of outer x inner matrices, anywhere in their tensors.

    Args:    size (M, N, K); batch (outer, inner); tile and splits as `choose` would,
             or few, the rows and columns of a workgroup of `rows`, unless given.
    """
    m, n, k = size
    outer, inner = batch
    if not m * n * outer * inner:
        return
    free = tile is None and splits == 0 and few is None
    alone = free and b.limits.alone(k // 4)
    vec_a = _in_fours(a, k, transpose_a)
    vec_b = _in_fours(w, k, not transpose_b)
    vec = vec_a and vec_b
    if not vec and batch == (1, 1) and m * n * k >= PADDED_FROM:
        a = _padded(b, a, (k, m) if transpose_a else (m, k))
        w = _padded(b, w, (n, k) if transpose_b else (k, n))
        vec = vec_a = vec_b = True
    if free and not alone and few_rows(m, n, k, transpose_a):
        few = block(m, n)
    if alone or few is not None:
        splits = 1
    else:
        way = (1 if transpose_b else 0) if vec else 2
        chosen = choose(b.limits, m, n, k, outer * inner, way)
        tile = tile or chosen[0]
        splits = splits or chosen[1]
    wide = {"WIDE": True} if y.tensor.dtype == "f32" and b.stored == "f16" else {}
    kind = {"TA": transpose_a, "TB": transpose_b, "VEC_A": vec_a, "VEC_B": vec_b}
    kind["VEC_Y"] = n % 4 == 0 and all(step % 4 == 0 for step in y.steps)
    kind = {name: True for name, on in kind.items() if on}

    def params(groups: int, start: int, target: Operand, k_split: int) -> list:
        """The constant block, for products from number `start` on."""
        first = start // inner
        if start % inner:
            raise ValueError("a slice of a batch begins inside of an inner one")
        rows = [m, n, k, groups, a.row, w.row, target.row, inner]
        for operand, last in ((a, splits), (w, k_split), (target, None)):
            at = operand.start + first * operand.outer
            rows += [at, operand.outer, operand.inner]
            rows += [] if last is None else [last]
        return [*rows, epilogue.alpha, epilogue.beta]

    shader, features = "matmul", ()
    tail = {"bias": epilogue.bias, "saved": epilogue.saved}
    if alone:
        work = m * n * k * outer * inner
        small = work < SMALL and b.limits.alone(k)
        entry, width = ("small", 1) if small else ("alone", 4)
        shader = f"matmul_{entry}"
        rows = 4 if m <= 4 else 8 if m <= 8 or work < LARGE else 16
        rows = 1 if m == 1 and not transpose_a else rows
        team = 4 if rows > 1 and b.limits.subgroups else 1
        overrides = {"TM": rows, "TEAM": team}
        if entry == "small":
            if vec_b and not transpose_b and "VEC_Y" in kind:
                width = 4
            names = ("TA", "TB", "VEC_B", "VEC_Y")[: 4 if width == 4 else 2]
            kind = {name: True for name in names if name in kind}
            if batch != (1, 1) or a.start or w.start or y.start:
                overrides["BATCH"] = True
        elif k % 4 == 0:
            overrides["WHOLE"] = True
        groups = -(-m // rows) * -(-n // (width * team)) * team
        features = ("subgroups",) if team > 1 else ()
    elif few is not None:
        rows, columns = few
        groups = -(-m // rows) * -(-n // columns)
        entry, overrides = "rows", {"RM": rows, "RN": columns}
    else:
        groups = tile.count(m, n)
        entry, overrides = "tiled", tile.overrides()
        overrides |= {"WHOLE": True} if k and k % tile.bk == 0 else {}
    if splits == 1:
        blocks = -(-groups // 8) if alone else groups
        # A dimension of the grid has a limit, also that of the batch.
        most = max(b.limits.groups // inner, 1) * inner
        for start in range(0, outer * inner, most):
            b.dispatch(
                shader,
                entry,
                reads=[a.tensor, w.tensor, *tail.values()],
                writes=[y.tensor, epilogue.before],
                params=params(groups, start, y, k),
                groups=(*spread(b, blocks), min(most, outer * inner - start)),
                overrides=overrides | kind | wide | epilogue.overrides(),
                features=features,
            )
        return
    count = outer * inner
    k_split = round_up(-(-k // splits), tile.bk)
    splits = -(-k // k_split)
    if count * splits > b.limits.groups:
        raise ValueError(f"matmul: {splits} splits of {count} products")
    part = b.scratch((splits, count, m, n), "parts")
    kind.pop("VEC_Y", None)
    kind |= {"VEC_Y": True} if n % 4 == 0 else {}
    b.dispatch(
        "matmul",
        "tiled",
        reads=[a.tensor, w.tensor, None, None],
        writes=[part, None],
        params=params(groups, 0, Operand(part, n), k_split),
        groups=(*spread(b, groups), count * splits),
        overrides=overrides | kind | {"SPLIT": True},
    )
    combine(b, part, y, (m, n), splits, epilogue, batch)


def _in_fours(operand: Operand, k: int, across: bool) -> bool:
    """Whether it can be read in fours; what lies along k must also end with a four."""
    return all(n % 4 == 0 for n in operand.steps) and (across or k % 4 == 0)


def _padded(b, x: Operand, shape: tuple[int, int]) -> Operand:
    """The matrix of `shape` with rows that can be read in fours and end in zeros."""
    rows, columns = shape
    if x.row % 4 == 0 and x.start % 4 == 0 and columns % 4 == 0:
        return x
    padded = round_up(columns, 4)
    y = b.tensor((rows, padded), label="padded")
    b.dispatch(
        "pad",
        reads=[x.tensor],
        writes=[y],
        params=[y.size, columns, padded, x.row, x.start],
        groups=-(-y.size // 256),
    )
    return Operand(y, padded)


def combine(
    b,
    part: Tensor,
    y: Operand,
    size: tuple[int, int],
    splits: int,
    epilogue: Epilogue,
    batch: tuple[int, int] = (1, 1),
) -> None:
    """y from the sum over the splits of `part` (splits, outer * inner, M, N)."""
    (m, n), (outer, inner) = size, batch
    count = outer * inner * m * -(-n // 4)
    wide = y.tensor.dtype == "f32" and b.stored == "f16"
    vec = all(step % 4 == 0 for step in (*y.steps, n))
    kind = {"VEC_Y": vec, "WIDE": wide}
    rows = [m, n, 0, count, 0, 0, y.row, inner, 0, 0, 0, splits, 0, 0, 0, 0]
    rows += [y.start, y.outer, y.inner]
    b.dispatch(
        "matmul",
        "combine",
        reads=[part, None, epilogue.bias, epilogue.saved],
        writes=[y.tensor, epilogue.before],
        params=[*rows, epilogue.alpha, epilogue.beta],
        groups=-(-count // 256),
        overrides={k: True for k, on in kind.items() if on} | epilogue.overrides(),
    )


def spread(b, groups: int) -> tuple[int, int]:
    """`groups` or a few more over x and y."""
    y = -(-groups // b.limits.groups)
    return -(-groups // y), y


def block(m: int, n: int) -> tuple[int, int]:
    """The rows and columns of a workgroup of `rows`, as measured on an NVIDIA H100.

    Small ones go through k in fewer steps, large ones read less again.
    """
    rows = 1 if m == 1 else 4
    if -(-m // rows) * -(-n // 8) <= 2 * PROCESSORS:
        return rows, 8
    return rows if m <= rows else 8, 16


def few_rows(m: int, n: int, k: int, transpose_a: bool) -> bool:
    """Whether `rows` is the faster kernel.

    It reads w again for every 8 rows, and a workgroup goes through all of k: neither
    may be much.
    """
    if transpose_a or m > 64 or k < 32:
        return False
    groups = -(-m // 8) * -(-n // 32)
    return (m <= 8 or m * n * k <= 2**25) and (k <= 8192 or groups >= 64)
