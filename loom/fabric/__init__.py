"""Fabric: the `loom` command (extra `cli`): training, models, demos, benchmarks."""
