"""The GPU in the page: every layer beside the CPU there and natively, training, faults.

The adapter is Chromium's software one: the same shaders, the same programs as natively.
"""

import pytest
from agreement import BOTH, CASES, agree, prepared


@pytest.mark.parametrize(
    ("name", "case", "make", "training"), CASES, ids=[row[0] for row in CASES]
)
def test_every_layer_agrees_in_three_places(page, name, case, make, training):
    sent, native = prepared(name, case, make)
    agree(page.run(BOTH, sent), native, name, case)
