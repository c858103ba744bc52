"""Matrix products on the GPU beside cuBLAS, by the device's clock.

The page of `python -m bench web --gpu` imports this file too.
"""

import sys
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from loom.gpu.builder import Builder
from loom.gpu.kernels.matmul import matmul

TOLERANCE = 1e-5  # of the greatest value, against float64
WARM = 0.5  # seconds: an idle GPU runs at a fifth of its speed


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

        m, n = self.m, self.n
        a, w = self._matrices()
        # A pass as long as a millisecond: the clock's own steps then do not count.
        count = int(np.clip(4e10 / self.flop, 1, 50))
        ours = bench.device.load(self._program(bench.device.limits, count))
        ours.write("a", a)
        ours.write("w", w)
        self._verify(a, w, ours.run(("forward",), ("y",))[0])

        def timed() -> float:
            return ours.measure(("forward",))[0] / 1e3 / count

        until = perf_counter() + WARM
        while perf_counter() < until:
            timed()
        contenders = {"loom": timed}
        if bench.torch is not None:
            x, z = (bench.torch.from_numpy(v).cuda() for v in (a, w))
            x, z = x.T if self.transpose_a else x, z.T if self.transpose_b else z
            out = bench.torch.empty((m, n), device="cuda")
            contenders["cublas"] = bench.events(
                lambda: bench.torch.matmul(x, z, out=out), count
            )
        rounds = bench.turns(contenders)
        ours.close()
        rate = self.flop / float(np.median(rounds["loom"])) / 1e6
        bars = {"cublas": 1 / self.bar} if self.bar else {}
        return Measured(self.name, rounds, bars, f"{rate:.1f} TFLOP/s")

    async def measure_in_page(self, rounds: int) -> dict:
        """{line, flop, microseconds}: verify, then the median of the rounds."""
        from loom.gpu.browser import opened
        from loom.gpu.store import Store

        device, (a, w) = await opened(), self._matrices()
        # Browsers round the device's clock to 0.1 ms.
        work = 4e9 if device.limits.software else 4e11
        count = int(np.clip(work / self.flop, 1, 500))
        ours = await device.load(self._program(device.limits, count), Store(device))
        ours.write("a", a)
        ours.write("w", w)
        self._verify(a, w, (await ours.outputs(("forward",), ("y",)))[0])
        times: list[float] = []
        until = perf_counter() + WARM
        while len(times) < rounds:
            spent = await device.ask("measure", ours.handle, "forward")
            if perf_counter() > until:
                times.append(spent / 1e3 / count)
        ours.close()
        median = float(np.median(times))
        return {"line": self.name, "flop": self.flop, "microseconds": median}

    @property
    def flop(self) -> int:
        """Of one product."""
        return 2 * self.m * self.n * self.k

    def _matrices(self):
        rng = np.random.default_rng(1)
        m, n, k = self.m, self.n, self.k
        a = rng.standard_normal((k, m) if self.transpose_a else (m, k), np.float32)
        w = rng.standard_normal((n, k) if self.transpose_b else (k, n), np.float32)
        return a, w

    def _program(self, limits, count: int):
        m, n, k = self.m, self.n, self.k
        b = Builder(limits=limits)
        x = b.input("a", (k, m) if self.transpose_a else (m, k))
        z = b.input("w", (n, k) if self.transpose_b else (k, n))
        y = b.tensor((m, n))
        kind = {"transpose_a": self.transpose_a, "transpose_b": self.transpose_b}
        for _ in range(count):
            matmul(b, x, z, out=y, **kind)
        b.output("y", y)
        return b.finish()

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


def page_lines(limits) -> list[Product]:
    """What the page measures, to be compared with the same natively."""
    if limits.software:
        return lines(limits)
    square = [Product(n, n, n) for n in (512, 1024, 2048, 4096)]
    transposed = [
        Product(4096, 4096, 4096, *kind) for kind in ((True, False), (False, True))
    ]
    return [*square, *transposed]


async def measured_in_page(rounds: int, tell) -> list[dict]:
    """Every product of `page_lines` on the page's GPU; tell(name) before each."""
    from loom.gpu.browser import opened

    rows = []
    for product in page_lines((await opened()).limits):
        await tell(product.name)
        rows.append(await product.measure_in_page(rounds))
    return rows
