"""What build_wasm.py is made of: sources, assembly, declarations, a server."""
