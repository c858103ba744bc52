"""Benchmarks: one question a module, peers beside us, `python -m bench QUESTION`."""
