"""Make the parity fixtures with PyTorch 2.13 on the CPU, in float64.

    python -m tests.parity.generate [part of a name]

Float64 makes the fixture's own rounding vanish; PyTorch's float32 results must agree
with it within the same tolerance that Loom is held to, or the example is too delicate.
"""

import sys

import numpy as np
import torch

from loom.activations import ACTIVATIONS
from tests.cases.case import torch_activation
from tests.compare import assert_close
from tests.parity import record


def tensors(arrays, dtype, prefix="", grad=True):
    return {
        name.removeprefix(prefix): torch.tensor(value, dtype=dtype, requires_grad=grad)
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def split(layer, arrays, dtype):
    """Leaf tensors of the parameters, and of the state (which has no gradient)."""
    w = tensors(arrays, dtype, "w/")
    for name in layer.state:
        w[name].requires_grad_(False)
    return w


def gradients_of(layer, case, arrays, run, dtype):
    w = split(layer, arrays, dtype)
    x = torch.tensor(arrays["x"], dtype=dtype, requires_grad=case.differentiable)
    names = [f"source{i}" for i, _ in enumerate(layer.sources())]
    sources = [
        torch.tensor(arrays[name], dtype=dtype, requires_grad=True) for name in names
    ]
    y = case.twin(layer, w, x, run, *sources)
    y.backward(torch.tensor(arrays["dy"], dtype=dtype))
    out = {"y": y}
    if case.differentiable:
        out["dx"] = x.grad
    out |= {f"d{n}": s.grad for n, s in zip(names, sources, strict=True)}
    out |= {f"dw/{k}": w[k].grad for k in layer.parameters}
    return {k: v.detach().numpy() for k, v in out.items()}


def trace_of(name, layer, case, arrays, training, dtype):
    """The loss before each of ten steps, and what the steps left behind."""
    w = split(layer, arrays, dtype)
    trained = [w[k] for k in layer.parameters]
    target = torch.tensor(arrays["target"], dtype=dtype)
    x = torch.tensor(arrays["x"], dtype=dtype)
    dense = tensors(arrays, dtype, "dense/")
    if dense:
        trained += dense.values()
        features = torch.tensor(arrays["features"], dtype=dtype)
    losses = []
    for step in range(record.STEPS):
        if dense:
            x = features @ dense["weight"] + dense["bias"]
            x = x.reshape(arrays["x"].shape)
        sources = [
            torch.tensor(arrays[f"source{i}"], dtype=dtype)
            for i, _ in enumerate(layer.sources())
        ]
        y = case.twin(layer, w, x, record.run_of(name, training, step), *sources)
        loss = torch.mean((y - target) ** 2)
        losses.append(loss.item())
        for tensor in trained:
            tensor.grad = None
        loss.backward()
        with torch.no_grad():
            for tensor in trained:
                tensor -= record.RATE * tensor.grad
    out = {"losses": np.array(losses)}
    left = dense or w
    out |= {f"after/{k}": v.detach().numpy() for k, v in left.items()}
    return out


def make_layer(name, case, make, training):
    layer, arrays = record.inputs(name, case, make)
    results = {}
    for dtype in (torch.float64, torch.float32):
        run = record.run_of(name, training)
        results[dtype] = gradients_of(layer, case, arrays, run, dtype)
        results[dtype] |= trace_of(name, layer, case, arrays, training, dtype)
    for key, exact in results[torch.float64].items():
        single = results[torch.float32][key]
        assert_close(single, exact, "trace", f"PyTorch's own float32: {name} {key}")
    save(name, arrays, results[torch.float64])


def make_activation(row):
    name = f"activation-row-{row.name}"
    rng = np.random.default_rng(record.seed_of(name))
    wide = np.linspace(-30, 30, 121)
    v = np.concatenate([wide, rng.standard_normal(135)]).reshape(4, 64)
    v = v.astype(np.float32)
    dy = rng.standard_normal(v.shape).astype(np.float32)
    leaf = torch.tensor(v, dtype=torch.float64, requires_grad=True)
    y = torch_activation(row.name, leaf)
    y.backward(torch.tensor(dy, dtype=torch.float64))
    out = {"y": y.detach().numpy(), "dx": leaf.grad.numpy()}
    save(name, {"x": v, "dy": dy}, out)


def save(name, arrays, results):
    path = record.FIXTURES / f"{name}.npz"
    entering = {f"in/{k}": v for k, v in arrays.items()}
    leaving = {f"out/{k}": v.astype(np.float32) for k, v in results.items()}
    np.savez_compressed(path, **entering, **leaving)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def main(part: str = "") -> None:
    record.FIXTURES.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for example in record.examples():
        if part in example[0]:
            make_layer(*example)
    for row in ACTIVATIONS:
        if part in f"activation-row-{row.name}":
            make_activation(row)


if __name__ == "__main__":
    main(*sys.argv[1:])
