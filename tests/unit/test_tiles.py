"""The table of tiles, and the choice among them."""

import pytest

from loom.gpu.kernels.tiles import TILES, choose
from loom.gpu.program import Limits


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_tiles_keep_the_shaders_rules(tile):
    rows, columns = tile.bm // tile.tm, tile.bn // tile.tn
    assert tile.tm % 4 == tile.tn % 4 == 0
    assert rows % 8 == columns % 8 == 0
    assert tile.threads % (8 * tile.bk) == 0
    assert min(tile.bm, tile.bn) >= 32
    assert tile.bk in (8, 16, 32)
    assert tile.bm * tile.bk % (4 * tile.threads) == 0
    assert tile.bn * tile.bk % (4 * tile.threads) == 0


@pytest.mark.parametrize("size", [(1, 1, 1), (64, 10, 392), (5000, 4000, 3000)])
@pytest.mark.parametrize("batch", [1, 300])
def test_what_is_chosen_fits_every_browser(size, batch):
    for way in range(3):
        tile, splits = choose(Limits(), *size, batch, way)
        assert tile.shared <= 16384
        assert tile.threads <= 256
        assert 1 <= splits <= max(1, size[2] // 64)


def test_large_products_take_large_tiles_and_long_sums_split():
    limits = Limits(shared=49152, invocations=1024)
    assert choose(limits, 4096, 4096, 4096, 1) == (TILES[0], 1)
    tile, splits = choose(limits, 256, 256, 8192, 1)
    assert tile.count(256, 256) * splits >= 64
