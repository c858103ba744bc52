"""Awaited twins of Network's GPU methods: the same code in a page and natively.

In a page, whatever reads from the GPU must be awaited; natively these run at once.
"""

import sys
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from loom.errors import ConfigError

if TYPE_CHECKING:
    from loom.gpu.array import GPUArray
    from loom.training import TrainingResult

Array = np.ndarray
IN_PAGE = sys.platform == "emscripten"
bridged = False  # whether loom.browser runs the coroutine, and not asyncio
SLICE = 0.02  # seconds of training between two turns of the event loop


class AsyncMethods:
    """A base of Network."""

    async def init_gpu_async(
        self, precision: str = "f32", devices: str = "one"
    ) -> None:
        """Open the GPU for this network, as init_gpu."""
        if not IN_PAGE:
            self.init_gpu(precision, devices)
            return
        from loom.gpu.asynchronous import AsyncSession, opened

        if self._gpu is not None and self._gpu.serves(precision, devices):
            return
        device = await opened(precision, devices)
        self.release_gpu()
        made = AsyncSession(self, device, precision)
        self._gpu = made.opened_as(precision, devices)

    async def _with_gpu(self) -> None:
        """Open the GPU if no other call has done it, or does it meanwhile."""
        if self._gpu is not None:
            return
        if not IN_PAGE:
            self.init_gpu()
            return
        from loom.gpu.asynchronous import AsyncSession, opened

        device = await opened()
        if self._gpu is None:
            self._gpu = AsyncSession(self, device)

    async def to_gpu_async(self, values: Array) -> "GPUArray":
        """As to_gpu."""
        if not IN_PAGE:
            return self.to_gpu(values)
        await self._with_gpu()
        return await self._gpu.array(self._array(values, "to_gpu"))

    async def forward_gpu_async(self, inputs: "Array | GPUArray") -> tuple[Array, int]:
        """As forward_gpu."""
        if not IN_PAGE:
            return self.forward_gpu(inputs)
        x = self._samples(inputs, "forward_gpu")
        flat = self._flat
        await self._with_gpu()
        start = perf_counter_ns()
        y = await self._gpu.forward(x)
        return (y.reshape(-1) if flat else y), perf_counter_ns() - start

    async def backward_gpu_async(
        self, gradient: "Array | GPUArray"
    ) -> tuple[Array, int]:
        """As backward_gpu."""
        if not IN_PAGE:
            return self.backward_gpu(gradient)
        if self._gpu is None or self._gpu.rows == 0:
            raise ConfigError("backward_gpu: run forward_gpu first.")
        dy, flat = (
            self._output_gradient(gradient, self._gpu.rows, "backward_gpu"),
            self._flat,
        )
        start = perf_counter_ns()
        dx = await self._gpu.backward(dy)
        elapsed = perf_counter_ns() - start
        self._gradients = None
        return (dx.reshape(-1) if flat else dx), elapsed

    async def gpu_info_async(self) -> dict:
        """As gpu_info."""
        await self._with_gpu()
        return self.gpu_info()

    async def release_gpu_async(self) -> None:
        """As release_gpu."""
        self.release_gpu()

    async def train_async(
        self, batches: Any, config: Any = None, callback: Callable | None = None
    ) -> "TrainingResult":
        """As train, giving the event loop its turns; on the page's GPU too."""
        from loom.training import Trainer, TrainingConfig

        if not isinstance(config, TrainingConfig):
            config = TrainingConfig.from_wire(config or {})
        if config.use_gpu:
            await self._with_gpu()
        trainer, turn = Trainer(self, batches, config), perf_counter()
        async for event in events(trainer):
            if callback is not None and callback(event) is False:
                trainer.stop()
            if perf_counter() - turn > SLICE:
                await sleep(0)
                turn = perf_counter()
        return trainer.result


def events(trainer) -> AsyncIterator:
    """The events of a Trainer, on the CPU or on a GPU. A stop counts from here on."""
    run = trainer.run()
    if trainer.engine is not None and trainer.engine.session.awaited:
        from loom.gpu.asynchronous import events as awaited

        return awaited(trainer, run)
    return _at_once(run)


async def _at_once(run: Iterator) -> AsyncIterator:
    for event in run:
        yield event
