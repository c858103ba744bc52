"""Every shader compiles, with every override that programs use.

Programs are built for all examples and sizes of all layers, for a small and a large
GPU, in both stored types, and for training with every loss and optimizer.
"""

import re
from dataclasses import replace

import pytest

from loom.gpu import native, shaders
from loom.gpu.lower import lower
from loom.gpu.program import Limits
from loom.layers import Dense, Elementwise, MultiHeadAttention
from loom.network import Network
from loom.training import TrainingConfig
from loom.training.losses import LOSSES
from tests.cases import BY_LAYER, CASES
from tests.gpu.harness import program_of
from tests.gpu.sizes import SIZES

LARGE = Limits(
    buffer=1 << 31,
    binding=1 << 31,
    invocations=1024,
    shared=32768,
    f16=True,
    subgroups=True,
)
DEVICES = {
    "least": Limits(),
    "software": Limits(
        software=True,
        binding=1 << 27,
        shared=32768,
        invocations=1024,
        subgroups=True,
    ),
    "large": LARGE,
}
OPTIMIZERS = (
    {},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"optimizer": "adam"},
    {"optimizer": "adam", "weight_decay": 0.1},
    {"optimizer": "adamw", "weight_decay": 0.1},
)
# Too large to run here, small enough to build.
BUILT = [
    (Dense(2051, 2049, "gelu"), (2051,), 2047),
    (MultiHeadAttention(64, 4), (2048, 64), 1),
    (MultiHeadAttention(64, 4, causal=True), (2048, 64), 1),
]
INCLUDED = re.compile(r"^//: (?:include|insert) (\w+)$", re.MULTILINE)
PODS = {"scan", "transpose"}  # no layer uses them


def layers():
    for case in CASES:
        for make in case.examples.values():
            yield case, *make(), case.batch
    for row in BUILT:
        yield BY_LAYER[type(row[0])], *row
    for kind, rows in SIZES.items():
        for layer, shape, batch in rows:
            yield BY_LAYER[kind], layer, shape, batch


def programs(limits, stored):
    for case, layer, shape, batch in layers():
        layer.initialize(0)
        shape = layer.input_shape(shape)
        out = (batch, *layer.output_shape(shape))
        for training in case.modes:
            yield program_of(
                layer,
                training,
                (batch, *shape),
                len(layer.sources()),
                out,
                limits,
                stored,
            ).finish()
    net = Network.stack(Dense(5, 4, "tanh"), Elementwise("softmax"), seed=1)
    yield lower(net, 3, "assess", limits=limits, stored=stored, columns=4)
    for row in LOSSES:
        for classes in {False, row.classes}:
            for settings in OPTIMIZERS:
                yield lower(
                    net,
                    3,
                    "train",
                    limits=limits,
                    stored=stored,
                    loss_row=row,
                    classes=classes,
                    config=TrainingConfig(**settings),
                )


def pipelines(limits, stored):
    return dict.fromkeys(
        pipeline
        for program in programs(limits, stored)
        for pipeline in program.pipelines
    )


@pytest.mark.parametrize("stored", ["f32", "f16"])
@pytest.mark.parametrize("name", DEVICES)
def test_every_pipeline_compiles(adapter, name, stored):
    device = native.opened(adapter, checked=True)
    limits = replace(DEVICES[name], f16=stored == "f16")
    if stored == "f16" and not device.limits.f16:
        pytest.skip("this GPU has no shader-f16")
    rows = [
        row
        for row in pipelines(limits, stored)
        if not row.features or device.limits.subgroups
    ]
    assert len(rows) > 50
    device.compile(rows)


def test_every_shader_is_used():
    used = {row.shader for name in DEVICES for row in pipelines(DEVICES[name], "f32")}
    texts = {name: shaders.raw(name) for name in shaders.names()}
    parts = {name for name in texts if "@compute" not in texts[name]}
    parts |= {part for text in texts.values() for part in INCLUDED.findall(text)}
    assert texts.keys() - parts - PODS <= used
