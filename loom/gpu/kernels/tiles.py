"""Tiles of matrix products, and which one is the fastest for a size."""

from dataclasses import dataclass

PROCESSORS = 132  # multiprocessors of a large GPU
SHORTEST = 64  # steps of k that a split is worth
STARTING = 48  # steps of k that beginning and ending a tile take as long as
ADDING, COMBINING = 30, 300_000  # what adding a value takes, and one more dispatch


@dataclass(frozen=True)
class Tile:
    """What a workgroup computes, bm x bn, bk at a time, tm x tn each thread.

    slots is how many workgroups a multiprocessor takes at a time, alone how long one of
    them takes by itself, in shares of what it takes among as many. speeds is how fast
    they compute, the fastest tile being 1: where b lies across k, along k, and where
    reading asks for the end of k: its last tile is no whole one, or values are read one
    by one.
    """

    bm: int
    bn: int
    bk: int
    tm: int
    tn: int
    slots: int = 1
    alone: float = 1.0
    speeds: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def shared(self) -> int:
        """Bytes of workgroup memory, which two tiles of a and b take."""
        return 8 * self.bk * (self.bm + self.bn)

    @property
    def threads(self) -> int:
        """Invocations of a workgroup."""
        return self.bm // self.tm * self.bn // self.tn

    def count(self, m: int, n: int) -> int:
        """Tiles that cover (m, n)."""
        return -(-m // self.bm) * -(-n // self.bn)

    def overrides(self) -> dict[str, int]:
        """The shader's."""
        return {
            "BM": self.bm,
            "BN": self.bn,
            "BK": self.bk,
            "TM": self.tm,
            "TN": self.tn,
        }


# Measured on an NVIDIA H100 (bench/gpu_products.py).
TILES = (
    Tile(128, 128, 8, 8, 16, slots=2, alone=1.9, speeds=(1.0, 0.965, 0.93)),
    Tile(128, 128, 8, 8, 8, slots=2, alone=1.06, speeds=(0.96, 0.945, 0.97)),
    Tile(64, 128, 8, 8, 8, slots=3, alone=1.6, speeds=(0.93, 0.9, 0.9)),
    Tile(64, 64, 8, 8, 4, slots=4, alone=1.6, speeds=(0.78, 0.76, 0.7)),
    Tile(32, 64, 16, 4, 4, slots=4, alone=1.5, speeds=(0.6, 0.58, 0.55)),
)


def choose(
    limits, m: int, n: int, k: int, batch: int, way: int = 0
) -> tuple[Tile, int]:
    """The tile and the number of splits along k, by an estimate of the time.

    way is the place in Tile.speeds: 0 b across k, 1 along k, 2 with guards anyhow.
    """
    most = max(1, min(k // SHORTEST, 64))
    options = [
        (tile, 2**i)
        for tile in TILES
        if tile.shared <= limits.shared and tile.threads <= limits.invocations
        for i in range(7)
        if 2**i <= most
    ]
    return min(options, key=lambda option: _time(*option, (m, n, k), batch, way))


def _time(
    tile: Tile, splits: int, size: tuple[int, int, int], batch: int, way: int
) -> float:
    """Estimated time of a product, in multiply-adds of one multiprocessor.

    Workgroups fill the device's slots, round after round. Splitting along k gives more
    and shorter ones, and their parts have to be added.
    """
    m, n, k = size
    groups = tile.count(m, n) * batch * splits
    rounds, rest = divmod(groups, PROCESSORS * tile.slots)
    last = max(-(-rest // PROCESSORS), tile.alone) if rest else 0
    steps = round_up(-(-k // splits), tile.bk) + STARTING
    full = (rounds * tile.slots + last) * tile.bm * tile.bn * steps
    busy = full / tile.speeds[2 if k % tile.bk else way]
    if splits == 1:
        return busy
    return busy + m * n * batch * (splits + 1) * ADDING / PROCESSORS + COMBINING


def round_up(value: int, step: int) -> int:
    """The first multiple of step from value on."""
    return -(-value // step) * step
