"""ONNX export: any network as a graph that other runtimes run."""

from loom.interchange.onnx.export import LOWERINGS, export_onnx

__all__ = ["LOWERINGS", "export_onnx"]
