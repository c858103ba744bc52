"""Matrix products on the GPU beside cuBLAS, by the device's clock."""

import sys
from dataclasses import dataclass

import numpy as np

from loom.gpu.builder import Builder
from loom.gpu.kernels.matmul import matmul

TOLERANCE = 1e-5  # of the greatest value, against float64


@dataclass(frozen=True)
class Product:
    """(M, K) @ (K, N), either one given transposed; bar: least share of cuBLAS."""

    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    bar: float = 0.0

    @property
    def name(self) -> str:
        """The shape and what is transposed."""
        kind = f"{'T' if self.transpose_a else 'N'}{'T' if self.transpose_b else 'N'}"
        return f"matmul {self.m} x {self.n} x {self.k} {kind}"

    def measure(self, bench):
        """Verify, then time ours and cuBLAS by turns."""
        from bench.gpu import Measured

        rng = np.random.default_rng(1)
        m, n, k = self.m, self.n, self.k
        a = rng.standard_normal((k, m) if self.transpose_a else (m, k), np.float32)
        w = rng.standard_normal((n, k) if self.transpose_b else (k, n), np.float32)
        # A pass as long as a millisecond: the clock's own steps then do not count.
        count = int(np.clip(4e10 / (2 * m * n * k), 1, 50))
        ours = self._program(bench.device, a, w, count)
        self._verify(a, w, ours.run(("forward",), ("y",))[0])
        contenders = {"loom": lambda: ours.measure(("forward",))[0] / 1e3 / count}
        if bench.torch is not None:
            x, z = (bench.torch.from_numpy(v).cuda() for v in (a, w))
            x, z = x.T if self.transpose_a else x, z.T if self.transpose_b else z
            out = bench.torch.empty((m, n), device="cuda")
            contenders["cublas"] = bench.events(
                lambda: bench.torch.matmul(x, z, out=out), count
            )
        rounds = bench.turns(contenders)
        ours.close()
        rate = 2 * m * n * k / float(np.median(rounds["loom"])) / 1e6
        bars = {"cublas": 1 / self.bar} if self.bar else {}
        return Measured(self.name, rounds, bars, f"{rate:.1f} TFLOP/s")

    def _program(self, device, a, w, count: int):
        b = Builder(limits=device.limits)
        x, z = b.input("a", a.shape), b.input("w", w.shape)
        y = b.tensor((self.m, self.n))
        kind = {"transpose_a": self.transpose_a, "transpose_b": self.transpose_b}
        for _ in range(count):
            matmul(b, x, z, out=y, **kind)
        b.output("y", y)
        program = device.load(b.finish())
        program.write("a", a)
        program.write("w", w)
        return program

    def _verify(self, a, w, y) -> None:
        """Some rows and columns, the first and last ones among them, in float64."""
        rng = np.random.default_rng(2)
        rows, columns = (
            np.unique(np.r_[0, size - 1, rng.integers(0, size, 24)])
            for size in (self.m, self.n)
        )
        left = (a[:, rows].T if self.transpose_a else a[rows]).astype(np.float64)
        right = w[columns].T if self.transpose_b else w[:, columns]
        expected = left @ right
        apart = np.abs(y[np.ix_(rows, columns)] - expected).max()
        if not apart <= TOLERANCE * np.abs(expected).max():
            sys.exit(f"{self.name}: {apart:.2g} apart from float64")


def lines(limits) -> list[Product]:
    """The issue's sizes; on a processor that plays a GPU, small ones."""
    if limits.software:
        return [Product(128, 128, 128), Product(127, 129, 131, True, True)]
    square = [(1024, 0.85), (2048, 0.89), (4096, 0.89), (8192, 0.89)]
    return [
        *(Product(n, n, n, bar=bar) for n, bar in square),
        Product(512, 512, 512),
        Product(4096, 4096, 4096, True, False, 0.93),
        Product(8192, 8192, 8192, True, False, 0.93),
        Product(4096, 4096, 4096, False, True),
        Product(4096, 4096, 4096, True, True),
        Product(4095, 4097, 4099, bar=0.85 * 0.89),
        Product(8192, 1536, 512),
        Product(8192, 512, 512),
        Product(512, 1536, 8192, True),
        Product(64, 392, 784),
        Product(1, 392, 784),
    ]
