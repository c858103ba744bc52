"""Checkpoints: everything a training run needs to go on bit for bit.

A checkpoint is a file of named arrays (`loom.tensorfile`): the parameters, the layers'
state (running statistics) and the optimizer's slots. Its metadata are

    fingerprint    what was trained: the network, the data, the settings that decide
                   the numbers; a run with another one is refused, by name
    progress       counters, history and seeds
    crc32          of all that and the arrays

Reading takes the file as hostile: everything is checked before anything is changed.
"""

import json
import os
from dataclasses import fields
from math import isfinite, nan
from typing import Any
from zlib import crc32

import numpy as np

from loom import tensorfile
from loom.errors import FormatError
from loom.evaluation import DeviationMetrics
from loom.files import read_bytes, write_atomic
from loom.training.schedules import BY_NAME as SCHEDULES

Array = np.ndarray
FORMAT, VERSION = "loom-checkpoint", "1"
_MAX_DIFFERENCES = 8

# Settings that do not change the numbers of a run, or only how far it goes.
_FREE = frozenset(
    (
        "epochs",
        "use_gpu",
        "print_every_batch",
        "verbose",
        "evaluate_every_n",
        "validation_inputs",
        "validation_targets",
        "checkpoint_path",
        "checkpoint_every_steps",
        "checkpoint_every_seconds",
        "resume",
    )
)
# Progress: name -> types.
_COUNT, _NUMBER = (int,), (int, float)
_COUNTERS = {  # attributes of the trainer
    "epoch": _COUNT,
    "batch": _COUNT,
    "step": _COUNT,
    "samples": _COUNT,
    "loss_sum": _NUMBER,
    "loss_rows": _COUNT,
    "seconds": _NUMBER,
    "training_seconds": _NUMBER,
    "seed": _COUNT,
    "loss_scale": _NUMBER,
    "loss_scale_age": _COUNT,
}
_PROGRESS = _COUNTERS | {
    "net_seed": _COUNT,
    "net_step": _COUNT,
    "optimizer_steps": _COUNT,
    "loss_history": (list,),
    "best_loss": (*_NUMBER, type(None)),
    "best_epoch": _COUNT,
    "validation_history": (list,),
}


def fingerprint(trainer) -> dict[str, Any]:
    """What a run is of: two runs with the same one take the same path."""
    net, config, batches = trainer.net, trainer.config, trainer.batches
    settings = {
        row.name: getattr(config, row.name)
        for row in fields(config)
        if row.name not in _FREE
    }
    if SCHEDULES[config.schedule].uses_total:
        settings["epochs"] = config.epochs
    found = {
        "network": {
            "input_shape": list(net.input_shape),
            "grid": [net.grid_rows, net.grid_cols, net.layers_per_cell],
            "dtype": np.dtype(net._dtype).name,
        },
        "layers": [layer.bundle_config() for layer in net.layers],
        "data": {
            "samples": batches.rows,
            "batches": len(batches),
            "checksum": batches.checksum(),
        },
        "settings": settings,
    }
    return json.loads(json.dumps(found))  # as a file gives it back


# Writing -------------------------------------------------------------------------


def save(trainer, path: str | os.PathLike) -> None:
    """Write the checkpoint of a run, atomically."""
    arrays = _arrays(trainer)
    metrics = trainer.result.eval_metrics
    if metrics is not None:
        arrays["metrics.actual"] = metrics.actual
        arrays["metrics.expected"] = metrics.expected
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": json.dumps(trainer._fingerprint),
        "progress": json.dumps(_progress(trainer), allow_nan=False),
    }
    metadata["crc32"] = _checksum(metadata, arrays)
    write_atomic(path, tensorfile.encode(arrays, metadata))


def _arrays(trainer) -> dict[str, Array]:
    """Every live array of a run by its name in the file."""
    found = {}
    for index, layer in enumerate(trainer.net.layers):
        for name, array in layer.parameters.items():
            found[f"layers.{index}.{name}"] = array
        for name, array in layer.state.items():
            found[f"state.{index}.{name}"] = array
    optimizer = trainer.optimizer
    for (index, name), arrays in optimizer.state.items():
        for slot, array in zip(optimizer.slots, arrays, strict=True):
            found[f"optimizer.{index}.{name}.{slot}"] = array
    return found


def _progress(trainer) -> dict[str, Any]:
    result = trainer.result
    return {name: getattr(trainer, name) for name in _COUNTERS} | {
        "net_seed": trainer.net.seed,
        "net_step": trainer.net.step,
        "optimizer_steps": trainer.optimizer.steps,
        # An epoch whose losses were lost with a GPU has none.
        "loss_history": [v if isfinite(v) else None for v in result.loss_history],
        "best_loss": result.best_loss,
        "best_epoch": result.best_epoch,
        "validation_history": result.validation_history,
    }


def _checksum(metadata: dict[str, str], arrays: dict[str, Array]) -> str:
    total = crc32((metadata["fingerprint"] + metadata["progress"]).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total = crc32(f"{name} {array.dtype.name} {array.shape}".encode(), total)
        total = crc32(array.reshape(-1).view(np.uint8), total)
    return f"{total:08x}"


# Reading -------------------------------------------------------------------------


def resume(trainer) -> bool:
    """Put a run where its checkpoint stands; False where no file is there yet.

    The network takes the checkpoint's weights and, since they came of it, its seed.
    Raises FormatError for a damaged file, and for one of another network, other data
    or other settings, naming what differs; the run is unchanged then.
    """
    path = trainer.config.checkpoint_path
    if not os.path.exists(path):
        return False
    where = f"checkpoint {str(path)!r}"
    arrays, metadata = tensorfile.decode(read_bytes(path, "checkpoint"), where)
    _check_metadata(metadata, arrays, where)
    progress = _json(metadata["progress"], where)
    _refuse_others(_json(metadata["fingerprint"], where), trainer._fingerprint, where)
    _check_progress(progress, len(trainer.batches), where)
    live = _arrays(trainer)
    metrics = [arrays.pop(f"metrics.{name}", None) for name in ("actual", "expected")]
    _check_arrays(live, arrays, where)
    for name, array in live.items():
        np.copyto(array, arrays[name])
    _set_progress(trainer, progress)
    if all(values is not None for values in metrics):
        trainer.result.eval_metrics = DeviationMetrics(*metrics)
    return True


def _check_metadata(metadata: dict, arrays: dict, where: str) -> None:
    advice = "Delete it to begin anew, or choose another file."
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{where}: this is no checkpoint of Loom. {advice}")
    version = metadata.get("version")
    if version != VERSION:
        raise FormatError(
            f"{where}: expected version {VERSION}, got {version!r:.40}. {advice}"
        )
    if not {"fingerprint", "progress", "crc32"} <= metadata.keys() or (
        _checksum(metadata, arrays) != metadata["crc32"]
    ):
        raise FormatError(
            f"{where}: the file is damaged: its checksum is wrong. {advice}"
        )


def _json(text: str, where: str) -> dict:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise FormatError(
            f"{where}: its metadata is not JSON. Delete it to begin anew."
        )
    return value


def _check_progress(progress: dict, batches: int, where: str) -> None:
    for name, types in _PROGRESS.items():
        value = progress.get(name)
        good = type(value) in types
        if good and type(value) in _NUMBER:
            good = isfinite(value) and (value >= 0 or float in types)
        if not good:
            raise FormatError(f"{where}: its progress has {name} {value!r:.40}.")
    history = progress["loss_history"]
    if (
        len(history) != progress["epoch"]
        or progress["batch"] > batches
        or progress["loss_scale"] < 0
        or not all(v is None or (type(v) in _NUMBER and isfinite(v)) for v in history)
        or not all(isinstance(row, dict) for row in progress["validation_history"])
    ):
        raise FormatError(f"{where}: its progress contradicts itself.")


def _check_arrays(live: dict, arrays: dict, where: str) -> None:
    for name, array in live.items():
        got = arrays.get(name)
        text = "none" if got is None else f"{got.dtype.name} {got.shape}"
        if text != f"{array.dtype.name} {array.shape}":
            raise FormatError(
                f"{where}: expected {name} as {array.dtype.name} {array.shape}, got "
                f"{text}."
            )
        if not np.isfinite(got).all():
            raise FormatError(f"{where}: {name} has a NaN or an infinity.")
    if more := sorted(set(arrays) - set(live)):
        raise FormatError(f"{where}: has arrays that the network has not: {more[0]}.")


def _set_progress(trainer, progress: dict[str, Any]) -> None:
    for name in _COUNTERS:
        setattr(trainer, name, progress[name])
    trainer.net.seed, trainer.net.step = progress["net_seed"], progress["net_step"]
    trainer.optimizer.steps = progress["optimizer_steps"]
    result = trainer.result
    history = [nan if v is None else v for v in progress["loss_history"]]
    result.loss_history = history
    result.best_loss, result.best_epoch = progress["best_loss"], progress["best_epoch"]
    result.epochs, result.final_loss = progress["epoch"], (history or [None])[-1]
    result.validation_history = progress["validation_history"]


# Differences ---------------------------------------------------------------------


def _refuse_others(saved: dict, ours: dict, where: str) -> None:
    """FormatError that lists what differs between two fingerprints."""
    found = list(_differences(saved, ours))
    if not found:
        return
    shown = "\n  ".join(found[:_MAX_DIFFERENCES])
    more = len(found) - _MAX_DIFFERENCES
    tail = f"\n  and {more} more" if more > 0 else ""
    raise FormatError(
        f"{where} is of another training:\n  {shown}{tail}\n"
        "Give what it was begun with, or choose another file, or do not resume."
    )


def _differences(saved: dict, ours: dict):
    yield from _changed("the network's ", saved.get("network"), ours["network"])
    layers, wanted = saved.get("layers"), ours["layers"]
    if not isinstance(layers, list) or len(layers) != len(wanted):
        count = len(layers) if isinstance(layers, list) else "none"
        yield f"layers: {count} in the checkpoint, {len(wanted)} here"
    else:
        for index, (old, new) in enumerate(zip(layers, wanted, strict=True)):
            yield from _changed(f"layer {index}'s ", old, new)
    data = list(_changed("", saved.get("data"), ours["data"]))
    if len(data) == 1 and data[0].startswith("checksum"):
        yield "data: as many samples and batches, but other values"
    else:
        yield from (f"data: {line}" for line in data if not line.startswith("checksum"))
    yield from _changed("", saved.get("settings"), ours["settings"])


def _changed(prefix: str, old: Any, new: dict):
    old = old if isinstance(old, dict) else {}
    for name in {**new, **old}:
        if old.get(name) != new.get(name):
            yield (
                f"{prefix}{name}: {old.get(name)!r:.60} in the checkpoint, "
                f"{new.get(name)!r:.60} here"
            )
