"""Programs on a device: what is shared with the host, what is recorded ahead."""

import logging

import numpy as np
import pytest

from loom.errors import DeviceError
from loom.gpu import native
from loom.gpu.builder import Builder
from loom.gpu.executable import SMALL_INPUT
from loom.gpu.kernels import elementwise, move

X = np.arange(12, dtype=np.float32).reshape(3, 4)
RUN = ("forward",), ("y",)


def copy_of(device, *shape):
    """y = x."""
    b = Builder(limits=device.limits)
    b.output("y", move.copy(b, b.input("x", shape)))
    return device.load(b.finish())


@pytest.fixture(params=[True, False], ids=["shared", "copied"])
def program(device, monkeypatch, request):
    """y = x, with memory that host and device share and without."""
    if request.param and not device.shares:
        pytest.skip("this device shares no memory")
    monkeypatch.setattr(device, "shares", request.param)
    program = copy_of(device, 3, 4)
    yield program
    program.close()


def test_runs_in_a_row(program):
    for number in range(6):
        program.write("x", X + number)
        np.testing.assert_array_equal(program.run(*RUN)[0], X + number)
    np.testing.assert_array_equal(program.run(*RUN)[0], X + 5)  # nothing was written
    np.testing.assert_array_equal(program.read("y"), X + 5)
    program.write("x", X)
    program.write("x", 2 * X)
    program.run(("forward",))
    np.testing.assert_array_equal(program.read("y"), 2 * X)
    for number in range(20):  # more than may be on their way
        program.write("x", X + number)
        program.run(("forward",))
    np.testing.assert_array_equal(program.read("y"), X + 19)


def test_outputs_are_the_callers(program):
    program.write("x", X)
    first = program.run(*RUN)[0]
    program.write("x", X + 1)
    program.run(*RUN)
    np.testing.assert_array_equal(first, X)
    first[:] = 0  # writeable


def test_an_error_or_a_key_while_the_device_computes(program):
    def stop():
        raise KeyboardInterrupt

    for number in range(4):
        program.write("x", X + number)
        with pytest.raises(KeyboardInterrupt):
            program.run(*RUN, stop)
        np.testing.assert_array_equal(program.run(*RUN)[0], X + number)


def test_an_input_of_another_program(device, program):
    other = copy_of(device, 3, 4)
    for number in range(3):
        program.write("x", X + number)
        program.run(*RUN)
        other.write("x", X)
        other.take("x", program)
        np.testing.assert_array_equal(other.run(*RUN)[0], X + number)
        np.testing.assert_array_equal(program.run(*RUN)[0], X + number)
    other.close()


def test_time_of_what_was_written(device, program):
    if not device.limits.timestamps:
        pytest.skip("this device measures no time")
    program.write("x", X)
    assert len(program.measure(("forward",), 3)) == 3
    np.testing.assert_array_equal(program.read("y"), X)


def test_what_is_large_or_read_again_is_not_shared(device):
    large = copy_of(device, SMALL_INPUT // 4 + 1)
    assert large._inlet is None
    assert not large._direct
    large.close()
    b = Builder(limits=device.limits)
    y = move.copy(b, b.input("x", (3, 4)))
    b.output("y", y)
    b.output("z", elementwise.add(b, y, y))
    twice = device.load(b.finish())
    assert list(twice._direct) == (["z"] if device.shares else [])
    twice.write("x", X)
    y, z = twice.run(("forward",), ("y", "z"))
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(z, 2 * X)
    np.testing.assert_array_equal(twice.read("z"), 2 * X)
    twice.close()


@pytest.mark.parametrize("shares", [True, False])
def test_a_lost_device_is_noticed_before_a_submission(adapter, shares):
    """wgpu-native would end the process; what was recorded ahead is dropped."""
    device = native.Device(adapter)
    device.shares = device.shares and shares
    program = copy_of(device, 3, 4)
    for _ in range(3):
        program.write("x", X)
        program.run(*RUN)
    device.destroy()
    with pytest.raises(native.DeviceLost):
        program.run(*RUN)
    assert device.lost
    with pytest.raises(DeviceError):
        program.write("x", X)
    program.close()


def test_a_warning_less(caplog):
    log = logging.getLogger("wgpu")
    with native.quiet():
        log.warning("Feature MAPPABLE_PRIMARY_BUFFERS enabled on a discrete gpu.")
        log.warning("another")
    assert [row.getMessage() for row in caplog.records] == ["another"]
