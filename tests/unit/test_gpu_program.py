"""GPU programs as data: building, planning and checking them needs no device."""

import itertools
import json

import numpy as np
import pytest

from loom import assets
from loom.activations import ACTIVATIONS, activation
from loom.errors import DeviceError
from loom.gpu import memory, shaders
from loom.gpu.builder import Builder, spread
from loom.gpu.kernels import elementwise, move
from loom.gpu.layout import Layout
from loom.gpu.lower import lower
from loom.gpu.program import Limits
from loom.layers import Dense, Residual
from loom.network import Network


def chain(length=80, keep=True):
    b = Builder(keep=keep)
    x, dy = b.input("x", (3, 4096)), b.input("dy", (3, 4096))
    caches = []
    for k in range(length):
        x, cache = elementwise.activate(b, x, ACTIVATIONS[k % 5])
        caches.append(cache)
    b.output("y", x)
    b.part = "backward"
    for cache in reversed(caches):
        dy = elementwise.activate_backward(b, dy, cache)
    b.output("dx", dy)
    return b.finish(batch=3)


def test_a_chain_is_one_kernel_each_way():
    program = chain()
    assert [row.pipeline.entry for row in program.dispatches] == ["chain", "scale"]
    assert program.passes() == {"forward": [0, 1], "backward": [1, 2]}


def test_a_program_is_json_and_complete():
    wire = json.loads(json.dumps(chain().to_dict()))
    assert wire["info"] == {"batch": 3}
    for pipeline, group, x, y, z, label in wire["dispatches"]:
        text = wire["shaders"][wire["pipelines"][pipeline]["shader"]]
        assert f"fn {wire['pipelines'][pipeline]['entry']}(" in text
        of, bindings = wire["bind_groups"][group]
        assert of == pipeline
        assert min(x, y, z) >= 1
        assert wire["labels"][label] == "program"
        layout = dict(map(tuple, wire["pipelines"][pipeline]["layout"]))
        assert set(layout) == {number for number, *_ in bindings}
        for _, buffer, offset, size in bindings:
            assert offset % 256 == 0
            assert offset + size <= wire["buffers"][buffer]["bytes"]


def test_a_kept_value_ends_a_chain():
    b = Builder()
    x, _ = elementwise.activate(b, b.input("x", (8,)), activation("tanh"))
    b.flush(x)
    b.output("y", elementwise.activate(b, x, activation("sigmoid"))[0])
    assert len(b.finish().dispatches) == 2


def test_a_fused_value_cannot_be_read():
    b = Builder()
    first, _ = elementwise.activate(b, b.input("x", (8,)), activation("tanh"))
    elementwise.activate(b, first, activation("sigmoid"))
    with pytest.raises(ValueError, match="fused away"):
        elementwise.add(b, first, first)


def test_memory_is_shared_where_lives_do_not_overlap():
    b = Builder()
    x = b.input("x", (1000,))
    for _ in range(10):
        y = b.tensor(x.shape)
        elementwise._dispatch(b, "binary", [x, x], y, {"OP": 1})
        x = y
    b.output("y", x)
    program = b.finish()
    assert program.slots == [4096, 4096]
    spans = memory.lifetimes(program.dispatches)
    for one, (first, last) in spans.items():
        for other, (start, end) in spans.items():
            if one is not other and one.slot == other.slot:
                assert last < start or end < first


def test_a_pinned_value_keeps_its_memory():
    b = Builder()
    x = b.input("x", (64,))
    kept = elementwise.add(b, x, x)
    b.output("kept", kept)
    for _ in range(3):
        x = elementwise.add(b, x, x)
    b.output("y", x)
    b.finish()
    assert kept.buffer.slot != x.buffer.slot


def test_values_are_written_before_they_are_read():
    b = Builder()
    b.output("y", elementwise.add(b, b.tensor((4,)), b.tensor((4,))))
    with pytest.raises(ValueError, match="too early"):
        b.finish()


def test_reading_and_writing_one_buffer_is_refused():
    b = Builder()
    x = move.fill(b, b.tensor((4,)))
    elementwise._dispatch(b, "binary", [x, x], x, {"OP": 0})
    with pytest.raises(ValueError, match="reads and writes"):
        b.finish()


def test_a_binding_over_the_limit_names_the_layer_and_the_bytes():
    b = Builder(limits=Limits(binding=1024))
    b.where = "layer (0, 0, 3) Dense"
    x = b.input("x", (1000,))
    b.output("y", elementwise.add(b, x, x))
    with pytest.raises(DeviceError) as error:
        b.finish()
    assert str(error.value) == (
        "layer (0, 0, 3) Dense: needs 4,000 bytes in one binding, and this GPU allows "
        "1,024. Make the batch or the layer smaller, or run it on the CPU."
    )


def test_parameters_lie_aligned_and_apart():
    layers = [Dense(5, 3), Dense(3, 200)]
    layout = Layout(layers, Limits())
    places = sorted(layout.weights.values(), key=lambda p: p.offset)
    for place, after in itertools.pairwise(places):
        assert place.offset % 128 == 0
        assert place.offset + np.prod(place.shape) <= after.offset
    assert layout.weight_arenas == [128 + 128 + 640 + 256]


def test_large_networks_take_several_arenas():
    layers = [Dense(32, 32, "linear") for _ in range(5)]
    layout = Layout(layers, Limits(binding=10240))
    assert len(layout.weight_arenas) == 3
    with pytest.raises(DeviceError, match=r"layer 0: weight: needs 4,096 bytes"):
        Layout(layers, Limits(binding=2048))


@pytest.mark.parametrize("groups", [0, 1, 65535, 65536, 70001, 65535 * 65535])
def test_groups_are_spread(groups):
    x, y, z = spread(groups, 65535)
    assert max(x, y, z) <= 65535
    assert groups <= x * y * z <= max(1, groups + y)


def test_rows_are_sliced_where_they_are_aligned():
    b = Builder()
    x = b.input("x", (4, 64))
    assert b.slice(x, 2, 1).start == 512
    with pytest.raises(ValueError, match="not aligned"):
        b.slice(b.input("z", (4, 63)), 1, 1)


def test_the_shader_knows_every_activation():
    text = shaders.activation_text()
    for row in ACTIVATIONS:
        assert row.elementwise == (f"case {row.code}u:" in text)
        assert row.elementwise == bool(row.wgsl and row.wgsl_slope)


def test_every_shader_has_a_header():
    for name in shaders.names():
        text = assets.texts("shaders")[f"{name}.wgsl"]
        assert text.startswith("// "), f"{name}.wgsl has no header"
        for line in text.splitlines():
            assert len(line) <= 100, f"{name}.wgsl: {line}"


def test_a_slope_joins_the_product_before_it():
    net = Network.stack(Dense(6, 5, "gelu"), Dense(5, 4, "tanh"), seed=1)
    program = lower(net, 3, "gradients")
    entries = [row.pipeline.shader for row in program.dispatches]
    assert entries.count("elementwise") == 1  # tanh's; gelu's is in the product
    assert any("SLOPE" in dict(row.pipeline.overrides) for row in program.dispatches)


def test_a_product_that_two_read_stays_as_it_is():
    net = Network(6, 1, 1, 4, seed=1)
    for place, layer in enumerate(
        (Dense(6, 6, "tanh"), Dense(6, 6, "gelu"), Residual((0, 0, 0)), Dense(6, 2))
    ):
        net.set_layer(0, 0, place, layer)
    program = lower(net, 3, "gradients")
    assert not any(
        "SLOPE" in dict(row.pipeline.overrides) and row.label.endswith("3) Dense")
        for row in program.dispatches
    )


def test_an_expanded_text_has_the_activations_that_it_names():
    rows = {row.name: row for row in ACTIVATIONS}
    codes = {"ACTIVATION": rows["sigmoid"].code, "SLOPE": rows["gelu"].code}
    text = shaders.source("matmul", codes)
    body = f"return {rows['sigmoid'].wgsl};", f"return {rows['gelu'].wgsl_slope};"
    assert all(part in text for part in body)
    assert "case " not in text
    assert "fn softplus(" not in text
    assert "fn slope(" not in shaders.source("matmul", {"ACTIVATION": 1})
    assert "case 2u:" in shaders.source("elementwise", {"CODE": 1})


def test_an_include_stands_once_and_an_insert_wherever_it_is(monkeypatch):
    texts = {
        "both": 2 * "//: include once\n//: insert often\n",
        "once": "fn once() {}\n//: insert often\n",
        "often": "fn often() {}\n",
    }
    monkeypatch.setattr(shaders, "raw", texts.__getitem__)
    text = shaders._source.__wrapped__("both", (), "f32")
    assert (text.count("fn once"), text.count("fn often")) == (1, 3)
