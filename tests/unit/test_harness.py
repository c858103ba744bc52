"""The harness is complete: every row of every table has its cases and fixtures."""

from loom.activations import ACTIVATIONS
from loom.layers import LAYERS
from tests.cases import BY_LAYER
from tests.parity import record


def test_every_layer_has_a_gradient_case():
    missing = [row.__name__ for row in LAYERS if row not in BY_LAYER]
    assert not missing, f"no case in tests/cases for {missing}"


def test_every_layer_has_a_parity_fixture():
    names = {path.stem for path in record.FIXTURES.glob("*.npz")}
    wanted = {name for name, *_ in record.examples()}
    assert wanted <= names, f"run tests.parity.generate: {sorted(wanted - names)}"
    for row in LAYERS:
        assert BY_LAYER[row].examples, f"{row.__name__} has no parity example"


def test_every_activation_has_a_parity_fixture():
    names = {path.stem for path in record.FIXTURES.glob("*.npz")}
    missing = {f"activation-row-{row.name}" for row in ACTIVATIONS} - names
    assert not missing, f"run tests.parity.generate: {sorted(missing)}"


def test_no_fixture_is_left_over():
    names = {path.stem for path in record.FIXTURES.glob("*.npz")}
    wanted = {name for name, *_ in record.examples()}
    wanted |= {f"activation-row-{row.name}" for row in ACTIVATIONS}
    assert names <= wanted, f"nothing uses {sorted(names - wanted)}"


def test_fixtures_stay_small():
    total = sum(path.stat().st_size for path in record.FIXTURES.glob("*.npz"))
    assert total < 2_000_000, f"the fixtures take {total:,} bytes"


def test_codes_are_permanent():
    codes = [row.code for row in LAYERS]
    assert codes == sorted(set(codes)), f"LAYERS is not in order of code: {codes}"
    assert [row.code for row in ACTIVATIONS] == list(range(len(ACTIVATIONS)))
