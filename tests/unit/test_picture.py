"""The table and the picture of a network."""

from xml.etree import ElementTree

import numpy as np

from loom import Dense, Elementwise, Network
from loom.picture import draw

SVG = "{http://www.w3.org/2000/svg}"


def test_summary_is_this_text():
    net = Network.stack(
        Dense(64, 32, "relu"), Elementwise("tanh"), Dense(32, 10), seed=1
    )
    assert net.summary() == (
        "place  layer              output   parameters  share\n"
        "----------------------------------------------------\n"
        "0 0 0  Dense relu         (B, 32)       2,080  86.3%\n"
        "0 0 1  Elementwise tanh   (B, 32)           0   0.0%\n"
        "0 0 2  Dense scaled_relu  (B, 10)         330  13.7%\n"
        "----------------------------------------------------\n"
        "3 layers on a grid of 1 x 1 x 3, input (B, 64), 2,410 parameters "
        "(0.01 MB as float32)"
    )


def test_summary_without_parameters():
    assert "0 parameters" in Network(4, 1, 1, 2).summary()


def test_draw_is_an_svg_with_every_layer_and_a_histogram_for_each_with_weights():
    net = Network(8, 2, 2, 2, seed=1)
    net.set_layer(1, 0, 1, Dense(8, 8, "sigmoid"))
    net.parameters()[5]["bias"][:] = np.arange(8)
    root = ElementTree.fromstring(draw(net))
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert texts.count("-> (B, 8)") == 8
    assert "Dense sigmoid" in texts
    assert sum(text.startswith("cell ") for text in texts) == 4
    titles = [node.text for node in root.iter(f"{SVG}title")]
    assert any(title.startswith("72 weights, ") for title in titles)
