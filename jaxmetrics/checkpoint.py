"""Saving metrics and the logger's place in its files, beside the model, with orbax.

One item of the user's own `Composite`, called `jaxmetrics` (orbax keeps `metrics` for
itself). Every process calls both functions.

    manager.save(step, args=ocp.args.Composite(
        jaxmetrics=checkpoint.args(logger, metrics=metrics),
        state=ocp.args.StandardSave(state)))
    restored = checkpoint.restore(manager, step, logger, metrics=metrics.empty())

States are saved by the names of metrics and leaves, with the shard axis of deferred
ones. On as many devices they come back bit for bit; on another number the shards fold
into a total, and no count changes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics._processes import place
from jaxmetrics.record import dumps, loads

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
      **pytrees: metrics, collections, deferred ones, or any trees of arrays, by name.
    """
    import orbax.checkpoint as ocp

    from jaxmetrics.core import saved_form

    forms = {name: saved_form(tree) for name, tree in pytrees.items()}
    host = {
        "schema": _SCHEMA,
        "logger": None if logger is None else _state_of_all(logger),
        "pytrees": {name: form.layout for name, form in forms.items()},
    }
    words = np.frombuffer(dumps(host).encode(), np.uint8)
    tree: dict[str, Any] = {"host": words}
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
      **templates: the pytrees to restore, by the names they were saved under.

    Raises:
      FileNotFoundError: if there is no such checkpoint.
      ValueError: if a metric was saved with another configuration or shape.
    """
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
    layouts = host["pytrees"]
    for name in templates.keys() - layouts.keys():
        raise KeyError(
            f"checkpoint: step {step} holds no {name!r}; it holds {sorted(layouts)}. "
            "Restore under the name it was saved with."
        )
    wanted = {
        f"tree_{name}": dict.fromkeys(layouts[name]["leaves"], 0)
        for name in templates
        if layouts[name]["leaves"]
    }
    arrays = read(wanted) if wanted else {}
    restored = {}
    for name, template in templates.items():
        saved = arrays.get(f"tree_{name}", {})
        tree, removed = from_saved(template, layouts[name], saved)
        restored[name] = tree
        for gone in removed:
            _LOG.warning("checkpoint: %s/%s is no longer there, left out", name, gone)
    if logger is not None and host["logger"] is not None:
        logger.load_state(host["logger"] | {"step": step})
    return restored


def _state_of_all(logger: TrainingLogger) -> dict[str, Any]:
    """The logger's state, with the places in the files of other processes too."""
    state = logger.state()
    if place()[1] > 1 and not logger.config.master_only:
        from jaxmetrics.hosts import exchange

        own = dumps(state["writers"]).encode()
        for said in exchange("checkpoint", own).values():
            writers: Any = loads(said)
            state["writers"] = writers | state["writers"]
    return state
