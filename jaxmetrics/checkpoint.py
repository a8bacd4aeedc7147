"""Saving metrics and the logger's place in its files, beside the model, with orbax.

One item of the user's own `Composite`, called `jaxmetrics` (orbax keeps `metrics` for
itself). Every process calls both functions.

    manager.save(step, args=ocp.args.Composite(
        jaxmetrics=checkpoint.args(logger, metrics=metrics),
        state=ocp.args.StandardSave(state)))
    restored = checkpoint.restore(manager, step, logger, metrics=metrics.empty())

States are saved by the names of metrics and leaves, with the shard axis of deferred
ones. On as many devices they come back bit for bit; on another number the shards fold
into a total, and no count changes. A `MetricsAggregator` goes by its `state_dict`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics._lazy import optional
from jaxmetrics.processes import process_count
from jaxmetrics.record import dumps, loads, pack, unpack

if TYPE_CHECKING:
    from jaxmetrics.logger import TrainingLogger

__all__ = ["args", "restore"]

_LOG = logging.getLogger("jaxmetrics")
_ITEM = "jaxmetrics"
_SCHEMA = 1


def args(logger: TrainingLogger | None, **pytrees: Any) -> Any:
    """The orbax arguments that save the logger's state and the given pytrees.

    The logger is drained and flushed first, so that what was logged before the save
    is on disk, and restore cuts the files back to here.

    Args:
      logger: the run's logger, or None.
      **pytrees: metrics, collections, deferred ones, or any trees of arrays, by name;
        or objects with `state_dict()`, the same on every process, and
        `load_state_dict(state)`, such as a `MetricsAggregator`.
    """
    with optional("checkpoint.args()", "orbax"):
        import orbax.checkpoint as ocp

    from jaxmetrics.core import saved_form

    objects = {n: pytrees.pop(n) for n in list(pytrees) if _is_object(pytrees[n])}
    states = {name: pack(each.state_dict()) for name, each in objects.items()}
    forms = {name: saved_form(tree) for name, tree in pytrees.items()}
    host = {
        "schema": _SCHEMA,
        "logger": None if logger is None else _state_of_all(logger),
        "pytrees": {name: form.layout for name, form in forms.items()},
        "objects": list(objects),
    }
    tree: dict[str, Any] = {"host": _words(dumps(host).encode())}
    tree |= {f"object_{name}": _words(state) for name, state in states.items()}
    tree |= {f"tree_{name}": dict(form.arrays) for name, form in forms.items()}
    return ocp.args.PyTreeSave(tree)


def restore(
    manager: Any, step: int | None, logger: TrainingLogger | None, **templates: Any
) -> dict[str, Any]:
    """What was saved at a step, placed as the templates are; rewinds the logger.

    A metric that was added since starts empty, one that was removed is left out with a
    notice in the log.

    Args:
      manager: the user's `CheckpointManager`.
      step: the step to restore; None takes the latest.
      logger: the run's logger, whose files are cut back to the save; or None.
      **templates: the pytrees to restore, by the names they were saved under; an
        object with `load_state_dict` loads its state and is returned itself.

    Raises:
      FileNotFoundError: if there is no such checkpoint.
      KeyError: if nothing was saved under a name.
      ValueError: if a metric was saved with another configuration or shape.
    """
    with optional("checkpoint.restore()", "orbax"):
        import orbax.checkpoint as ocp

    from jaxmetrics.core import from_saved

    step = manager.latest_step() if step is None else step
    if step is None or step not in manager.all_steps():
        raise FileNotFoundError(
            f"checkpoint: {manager.directory} has no step {step}; it has "
            f"{manager.all_steps()}. Restore one of these."
        )
    as_numpy = ocp.RestoreArgs(restore_type=np.ndarray)

    def read(tree: Mapping[str, Any]) -> Any:
        import jax

        wanted = jax.tree.map(lambda _: as_numpy, tree)
        item = ocp.args.PyTreeRestore(
            item=tree, restore_args=wanted, partial_restore=True
        )
        composite = ocp.args.Composite(**{_ITEM: item})
        return manager.restore(step, args=composite)[_ITEM]

    host: Any = loads(bytes(read({"host": 0})["host"]))
    if host["schema"] != _SCHEMA:
        raise ValueError(
            f"checkpoint: step {step} has schema {host['schema']}, this version reads "
            f"{_SCHEMA}. Restore it with the version that saved it."
        )
    layouts, objects = host["pytrees"], host.get("objects", [])
    for name, template in templates.items():
        if name not in (objects if _is_object(template) else layouts):
            raise KeyError(
                f"checkpoint: step {step} holds no {name!r} that a "
                f"{type(template).__name__} could be; it holds the trees "
                f"{sorted(layouts)} and the objects {sorted(objects)}. Restore under "
                "the name it was saved with."
            )
    wanted: dict[str, Any] = {
        f"tree_{name}": dict.fromkeys(layouts[name]["leaves"], 0)
        for name in templates.keys() & layouts.keys()
        if layouts[name]["leaves"]
    }
    wanted |= {f"object_{name}": 0 for name in templates.keys() & set(objects)}
    arrays = read(wanted) if wanted else {}
    restored = {}
    for name, template in templates.items():
        if _is_object(template):
            template.load_state_dict(unpack(bytes(arrays[f"object_{name}"])))
            restored[name] = template
            continue
        saved = arrays.get(f"tree_{name}", {})
        tree, removed = from_saved(template, layouts[name], saved)
        restored[name] = tree
        for gone in removed:
            _LOG.warning("checkpoint: %s/%s is no longer there, left out", name, gone)
    if logger is not None and host["logger"] is not None:
        logger.load_state(host["logger"] | {"step": step})
    return restored


def _is_object(x: Any) -> bool:
    """Whether it keeps a state of its own, and is no tree of arrays."""
    return hasattr(x, "state_dict") and hasattr(x, "load_state_dict")


def _words(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def _state_of_all(logger: TrainingLogger) -> dict[str, Any]:
    """The logger's state, with the places in the files of other processes too."""
    state = logger.state()
    if process_count() > 1 and not logger.config.master_only:
        from jaxmetrics.processes import exchange

        own = dumps(state["writers"]).encode()
        for said in exchange("checkpoint", own).values():
            writers: Any = loads(said)
            state["writers"] = writers | state["writers"]
    return state
