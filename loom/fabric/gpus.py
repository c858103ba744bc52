"""`loom gpu`: which GPUs are here, and which one LOOM_GPU takes."""

from loom.errors import DeviceError
from loom.fabric.playing import AsJson
from loom.fabric.terminal import say, say_json

FEATURES = ("shader-f16", "subgroup", "timestamp-query")


def gpu(as_json: AsJson = False) -> None:
    """Show the GPUs of this machine, and which one is taken (LOOM_GPU)."""
    from loom.gpu import detector

    wanted = detector.policy()
    found = detector.detect_all()
    try:
        taken, problem = detector.detect(quiet=True)["key"], ""
    except DeviceError as error:
        taken, problem = None, str(error)
    if as_json:
        say_json({"policy": wanted, "taken": taken, "error": problem, "gpus": found})
        return
    for row in found:
        chosen = row["key"] == taken
        say(f"{'*' if chosen else ' '} {row['name']}", "bold" if chosen else None)
        for name, text in _described(row).items():
            say(f"    {name:<13}{text}")
    end = f": {problem}" if problem else " takes the one with *."
    say(f"LOOM_GPU={wanted}{end}")


def _described(row: dict) -> dict[str, str]:
    limits, best, has = row["limits"], row["recommended"], row["features"]
    return {
        "key": row["key"],
        "type": f"{row['adapter_type']}, {row['backend']}, {row['runtime']}",
        "driver": row["driver"],
        "ids": f"vendor {row['vendor_id']}, device {row['device_id']}",
        "binding": f"{limits['max-storage-buffer-binding-size']:,} bytes",
        "buffer": f"{limits['max-buffer-size']:,} bytes",
        "features": ", ".join(n if n in has else f"no {n}" for n in FEATURES),
        "recommended": f"workgroup {best['workgroup']}, tile {best['tile']}",
    }
