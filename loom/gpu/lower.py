"""A network as a program: its layers' own lowerings, in the order of the data.

Modes:  "forward"    evaluation; inputs x, outputs y
        "gradients"  evaluation with a backward pass; inputs x and dy, outputs y and dx
        "assess"     evaluation; inputs x, and t for a loss; outputs "decided", "losses"
        "train"      training: forward, loss, backward, clip, update; inputs x and t
        "share"      as train, for one of several devices: between backward and clip the
                     host adds up the gradients, and the losses (output "losses", input
                     "loss")
"""

from loom.errors import ShapeError
from loom.gpu.builder import Builder
from loom.gpu.kernels import elementwise, move, optimize
from loom.gpu.kernels.loss import loss
from loom.gpu.kernels.metric import greatest
from loom.gpu.program import Limits, Program, Tensor


def lower(
    net,
    rows: int,
    mode: str,
    *,
    limits: Limits | None = None,
    stored: str = "f32",
    loss_row=None,
    classes: bool = False,
    config=None,
    columns: int = 0,
) -> Program:
    """The program of `net` for batches of `rows` samples.

    loss_row, classes (targets are class indices) and config (optimize.Rule) belong to
    training; columns (outputs that one decision is made of) to "assess", with a loss or
    without. Raises DeviceError for what the device cannot hold.
    """
    training = mode in ("train", "share")
    b = Builder(
        net.layers,
        limits,
        stored=stored,
        training=training,
        keep=mode not in ("forward", "assess"),
        where=net.where,
    )
    net.output_size()  # lays out the plan, or says which layer does not fit
    kept = net.first().float_input
    x = b.input("x", (rows, *net.input_shape), "f32" if kept else stored)
    y, caches = _forward(b, net, x)
    if mode == "forward":
        b.output("y", _own(b, y))
    elif mode == "gradients":
        b.output("y", _own(b, y))
        dy = b.input("dy", (rows, *net.shapes()[-1]), stored)
        b.part = "backward"
        dx = _own(b, _backward(b, net, dy, caches, True))
        b.output("dx", dx.reshape(*x.shape))
    elif mode == "assess":
        b.part, b.where = "loss", "metrics"
        b.output("decided", greatest(b, y, columns))
        if loss_row is not None:
            t = _targets(b, net, rows, classes)
            b.output("losses", loss(b, y, t, loss_row)[1])
    else:
        b.part, b.where = "loss", "loss"
        dy, losses = loss(b, y, _targets(b, net, rows, classes), loss_row)
        b.part = "backward"
        _backward(b, net, dy, caches, False)
        b.part, b.where = "clip", "clipping"
        if mode == "share":
            b.output("losses", losses)
            losses = b.input("loss", (1, 2))
        optimize.decide(b, losses, optimize.norm(b), config)
        b.part, b.where = "update", "update"
        optimize.update(b, config)
    return b.finish(mode=mode, rows=rows)


def _targets(b: Builder, net, rows: int, classes: bool) -> Tensor:
    shape = (rows, *net.shapes()[-1])
    return b.input("t", shape[:-1], "u32") if classes else b.input("t", shape)


def _forward(b: Builder, net, x: Tensor) -> tuple[Tensor, list]:
    rows = x.shape[0]
    outputs, caches = [], []
    for index, (layer, shape, _, sources, kept) in enumerate(net.plan()):
        b.where = net.where(index)
        if layer.float_input:
            x = move.cast(b, x, "f32")
        elif not (layer.is_view and x.buffer.role == "input"):
            x = move.cast(b, x, b.stored)
        x = x.reshape(rows, *shape)
        try:
            x, cache = layer.lower_forward(b, x, *(outputs[i] for i in sources))
        except ShapeError as error:
            raise ShapeError(f"layer {net.position(index)} {error}") from None
        if kept:
            b.flush(x)
        caches.append(cache)
        outputs.append(x if kept else None)
    x = move.cast(b, x, b.stored)
    b.flush(x)
    return x, caches


def _backward(b: Builder, net, dy: Tensor, caches: list, need_dx: bool) -> Tensor:
    """Network.backward, written down instead of computed."""
    plan = net.plan()
    later: dict[int, Tensor] = {}
    for index in range(len(plan) - 1, -1, -1):
        layer, shape, _, sources, kept = plan[index]
        b.where = net.where(index)
        if kept and index in later:
            dy = elementwise.add(b, dy, later.pop(index).reshape(*dy.shape))
        if sources:
            b.flush(dy)
        wanted = need_dx or index > 0
        rows = dy.shape[0]
        dy = dy.reshape(rows, *layer.output_shape(shape))
        dx = layer.lower_backward(b, dy, caches[index], wanted)
        if sources:
            b.flush(*dx)
            for source, extra in zip(sources, dx[1:], strict=True):
                if source in later:
                    extra = elementwise.add(b, later[source], extra)
                later[source] = extra
            dx = dx[0]
        if wanted:
            dy = dx
    return dy


def _own(b: Builder, t: Tensor) -> Tensor:
    """t as float32 in memory that the host may read after the run."""
    t = move.cast(b, t, "f32")
    return move.copy(b, t) if t.buffer.role == "input" else t
