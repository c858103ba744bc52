"""Loom: one neural network, the same in a browser page, on any GPU and in C."""

__version__ = "0.1.0"
