"""What demos verify of any network: gradients, files, the GPU beside the CPU."""

import warnings

import numpy as np

from loom.errors import DeviceError
from loom.fabric.demos.demo import Stage
from loom.fabric.terminal import first_sentence
from loom.network import Network
from loom.serialization import load_model_from_string, save_model_to_string

Array = np.ndarray
STEP = 1e-6
ENTRIES = 6  # looked at in each parameter
LIMIT = 1e-6  # greatest relative error of a gradient in float64
GPU_LIMIT = 1e-4  # greatest difference of the GPU's outputs, relative to the greatest


def verify(stage: Stage, net: Network, x: Array) -> None:
    """Gradients, a saved copy and the GPU, on a few samples x."""
    gradients(stage, net, x[:2])
    saved(stage, net, x)
    gpu(stage, net, x)


def gradients(stage: Stage, net: Network, x: Array) -> None:
    """Every parameter's gradient against central differences in float64.

        dL/dw = (L(w + h) - L(w - h)) / 2h,   L = sum(y * r) for random r

    Entries where the slopes to both sides differ lie on a kink (a rectifier at zero,
    a tie in a maximum), where no gradient is defined: they are passed over.
    """
    copy = Network.from_layers(
        net.layers,
        net.input_shape,
        net.grid_rows,
        net.grid_cols,
        net.layers_per_cell,
        seed=net.seed,
    ).astype(np.float64)
    x = x.astype(np.float64).reshape(-1, *net.input_shape)
    rng = np.random.default_rng(0)
    y = copy.forward(x)
    r = rng.standard_normal(y.shape)
    copy.backward(r)
    compared, nonzero, worst = 0, 0, 0.0

    def loss() -> float:
        return float((copy.forward(x) * r).sum())

    middle = loss()
    for parameters, row in zip(copy.parameters(), copy.gradients(), strict=True):
        for name, w in parameters.items():
            flat, exact = w.reshape(-1), row[name].reshape(-1)
            scale = max(float(np.abs(exact).max()), 1e-3)
            chosen = rng.choice(flat.size, min(ENTRIES, flat.size), replace=False)
            for i in chosen:
                old = flat[i]
                flat[i] = old + STEP
                right = loss()
                flat[i] = old - STEP
                left = loss()
                flat[i] = old
                slope = (right - left) / (2 * STEP)
                kink = abs((right - middle) - (middle - left)) / STEP
                if kink > 1e-3 * scale:
                    continue
                compared += 1
                nonzero += exact[i] != 0
                worst = max(worst, abs(slope - exact[i]) / scale)
    stage.check(
        f"{compared} gradients of all parameters equal central differences in float64 "
        f"(greatest relative error {worst:.1e})",
        nonzero > 0 and worst < LIMIT,
    )


def saved(stage: Stage, net: Network, x: Array) -> None:
    """A saved and loaded network gives the same bits."""
    text = save_model_to_string(net, "demo")
    again = load_model_from_string(text, "demo")
    same = net.forward_cpu(x)[0].tobytes() == again.forward_cpu(x)[0].tobytes()
    stage.check(
        f"saved as {len(text):,} characters and loaded, it gives the same bits", same
    )


def gpu(stage: Stage, net: Network, x: Array) -> None:
    """The GPU's outputs are the CPU's, or why there is no GPU."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a software GPU is as good for this
            net.init_gpu()
        try:
            name = net.gpu_info()["name"]
            got, expected = net.forward_gpu(x)[0], net.forward_cpu(x)[0]
        finally:
            net.release_gpu()
    except DeviceError as error:
        stage.say(f"  {first_sentence(error)}. The CPU did all of it.")
        return
    scale = max(float(np.abs(expected).max()), 1e-6)
    apart = float(np.abs(got - expected).max()) / scale
    stage.check(
        f"the GPU ({name}) gives the same outputs (greatest difference {apart:.1e})",
        apart < GPU_LIMIT,
    )
