"""Demo 14: the comprehensive benchmark, on shapes that a small machine can take.

It writes loom-bench-quick.json and .svg into the folder that it is played in.
"""

from loom.fabric import benchmark
from loom.fabric.demos.demo import Demo, Stage, Stopped


def compare(stage: Stage) -> None:
    """Every layer on CPU and GPU; the full shapes are `loom bench`."""
    result = benchmark.run(quick=True, quiet=stage.quiet)
    if result["interrupted"]:
        raise Stopped
    rows = result["rows"]
    stage.figures["rows"] = rows
    stage.say()
    stage.check(
        f"{len(rows)} kinds of layer ran forward and backward on the CPU",
        all(row["cpu"]["total"] > 0 for row in rows),
    )
    if result["gpu"] is None:
        stage.say(f"  {result['gpu_missing']}. The CPU did all of it.")
        return
    worst = max((row["difference"] or 0 for row in rows), default=0)
    stage.check(
        "the GPU gives the same outputs and gradients (greatest difference "
        f"{worst:.1e})",
        all(row["difference"] is not None and not row["problem"] for row in rows),
    )


BENCHMARK = Demo(
    14, "benchmark", "CPU and GPU: comprehensive benchmark (loom bench)", compare
)
