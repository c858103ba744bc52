"""Files of other frameworks: safetensors in and out, ONNX out."""

from loom.interchange.onnx import export_onnx
from loom.interchange.safetensors import load_safetensors, save_safetensors

__all__ = ["export_onnx", "load_safetensors", "save_safetensors"]
