"""Tiles of attention's scores, which are never all in memory at once."""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from loom.layers.base import Array
from loom.linalg import exp_rows, matmul

TILE = 1 << 18  # scores in work at once: 1 MB, and as much for their gradient
ROWS = 128  # queries in work at once at least, where a sequence has them


class Tile(NamedTuple):
    """Heads of some samples: rows of their scores that are in work at once."""

    shape: tuple[int, ...]  # (samples, heads, rows, keys)
    queries: tuple[slice, ...]  # index of those rows in (B, N, T, d)
    keys: tuple[slice, ...]  # index of the keys that they may see
    first: bool  # the first tile of these heads, which sees every key


class Tiles:
    """The scores (B, N, T, T), cut so that those in work stay in the cache."""

    def __init__(self, b: int, n: int, t: int, causal: bool, dtype):
        self.t, self.n, self.causal = t, n, causal
        self.rows = min(t, max(ROWS, TILE // t))
        if causal:  # narrower: what a tile sees beyond its rows' past is waste
            self.rows = min(self.rows, ROWS)
            self._future = np.triu(np.full((self.rows, self.rows), -np.inf, dtype), 1)
        self.heads = min(self.n, max(1, TILE // (self.rows * t)))
        whole = self.heads == self.n and self.rows == t
        step = max(1, TILE // (self.n * t * t)) if whole else 1
        self.samples = [slice(s, min(b, s + step)) for s in range(0, b, step)]
        size = min(step, b) * self.heads * self.rows * t
        self._one = np.empty(size, dtype)
        self._two = None
        self._total = np.empty(size // t, dtype)

    def of(self, samples: slice) -> Iterator[Tile]:
        """The tiles of some samples; rows from the last, which sees every key."""
        t = self.t
        for h in range(0, self.n, self.heads):
            heads = slice(h, min(self.n, h + self.heads))
            for end in range(t, 0, -self.rows):
                rows = slice(max(0, end - self.rows), end)
                seen = end if self.causal else t
                shape = (
                    samples.stop - samples.start,
                    heads.stop - heads.start,
                    end - rows.start,
                    seen,
                )
                yield Tile(
                    shape,
                    (samples, heads, rows),
                    (samples, heads, slice(0, seen)),
                    end == t,
                )

    def scores(
        self, q: Array, k: Array, tile: Tile, total: Array | None = None
    ) -> Array:
        """exp(s - max(s)) with s = q k^T, zero for a later key if causal.

        total (..., rows, 1), if wanted, receives the sums.
        """
        e = _shaped(self._one, tile.shape)
        matmul(q[tile.queries], k[tile.keys].swapaxes(-1, -2), out=e)
        if self.causal:
            rows = tile.shape[2]
            e[..., -rows:] += self._future[:rows, :rows]
        if total is None:
            total = _shaped(self._total, (*tile.shape[:3], 1))
        return exp_rows(e, total)

    def second(self, tile: Tile) -> Array:
        """Another array of the tile's shape, for the scores' gradient."""
        if self._two is None:
            self._two = np.empty_like(self._one)
        return _shaped(self._two, tile.shape)


def _shaped(buffer: Array, shape: tuple[int, ...]) -> Array:
    return buffer[: prod(shape)].reshape(shape)
