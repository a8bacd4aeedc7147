"""Save and restore metrics and the logger's state with orbax, beside the model.

They are one item of the user's own `Composite`, called `jaxmetrics` (orbax reserves
`metrics`). Every process calls both functions.

    manager.save(step, args=ocp.args.Composite(
        jaxmetrics=checkpoint.args(logger, metrics=metrics),
        state=ocp.args.StandardSave(state)))
    restored = checkpoint.restore(manager, step, logger, metrics=metrics.empty())

States are saved under the names of metrics and leaves, with the shard axis of deferred
metrics. Restored on the same number of devices they have the same bits; on another
number the shards are folded into a total, and no count changes. A `MetricsAggregator`
is saved by its `state_dict`.
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
    """Return the orbax arguments that save the logger's state and the given pytrees.

    The logger is flushed first: everything logged before the save is on disk, and a
    restore takes the files back to this point.

    Args:
      logger: Logger of the run, or None.
      **pytrees: Metrics, collections, deferred metrics or any pytrees of arrays, by
        name; or objects with `state_dict()`, equal on every process, and
        `load_state_dict(state)`, such as a `MetricsAggregator`.
    """
    with optional("checkpoint.args()", "orbax"):
        import orbax.checkpoint as ocp

    from jaxmetrics.core import saved_form

    objects = {n: pytrees.pop(n) for n in list(pytrees) if _has_state_dict(pytrees[n])}
    states = {name: pack(item.state_dict()) for name, item in objects.items()}
    forms = {name: saved_form(tree) for name, tree in pytrees.items()}
    host = {
        "schema": _SCHEMA,
        "logger": None if logger is None else _logger_state(logger),
        "pytrees": {name: form.layout for name, form in forms.items()},
        "objects": list(objects),
    }
    tree: dict[str, Any] = {"host": _as_bytes(dumps(host).encode())}
    tree |= {f"object_{name}": _as_bytes(state) for name, state in states.items()}
    tree |= {f"tree_{name}": dict(form.arrays) for name, form in forms.items()}
    return ocp.args.PyTreeSave(tree)


def restore(
    manager: Any, step: int | None, logger: TrainingLogger | None, **templates: Any
) -> dict[str, Any]:
    """Return what was saved at a step, and take the logger back to that step.

    A metric added since the save starts empty. One that was removed is left out, with a
    warning in the log.

    Args:
      manager: The user's `CheckpointManager`.
      step: Step to restore. None takes the latest.
      logger: Logger of the run, whose files are taken back to the save; or None.
      **templates: Pytrees to restore, by the names they were saved under; the result
        has their layout and sharding. An object with `load_state_dict` loads its state
        and is returned itself.

    Raises:
      FileNotFoundError: There is no checkpoint of this step.
      KeyError: Nothing was saved under a name.
      ValueError: A metric was saved with another configuration or shape, or the
        checkpoint has another version.
    """
    with optional("checkpoint.restore()", "orbax"):
        import orbax.checkpoint as ocp

    from jaxmetrics.core import from_saved

    step = manager.latest_step() if step is None else step
    if step is None or step not in manager.all_steps():
        raise FileNotFoundError(
            f"checkpoint.restore() got step {step}, which {manager.directory} lacks; "
            f"it has {manager.all_steps()}. Restore one of these."
        )
    as_numpy = ocp.RestoreArgs(restore_type=np.ndarray)

    def read(tree: Mapping[str, Any]) -> Any:
        """Read the arrays at the leaves of `tree`."""
        import jax

        restore_args = jax.tree.map(lambda _: as_numpy, tree)
        item = ocp.args.PyTreeRestore(
            item=tree, restore_args=restore_args, partial_restore=True
        )
        composite = ocp.args.Composite(**{_ITEM: item})
        return manager.restore(step, args=composite)[_ITEM]

    host: Any = loads(bytes(read({"host": 0})["host"]))
    if host["schema"] != _SCHEMA:
        raise ValueError(
            f"checkpoint.restore() got step {step} of schema {host['schema']}; this "
            f"version reads {_SCHEMA}. Restore it with the version that saved it."
        )
    layouts, objects = host["pytrees"], host.get("objects", [])
    for name, template in templates.items():
        if name not in (objects if _has_state_dict(template) else layouts):
            raise KeyError(
                f"checkpoint.restore() got {name!r}, a {type(template).__name__}, but "
                f"step {step} holds no such item; it holds the pytrees "
                f"{sorted(layouts)} and the objects {sorted(objects)}. Restore each "
                f"under the name it was saved with."
            )
    to_read: dict[str, Any] = {
        f"tree_{name}": dict.fromkeys(layouts[name]["leaves"], 0)
        for name in templates.keys() & layouts.keys()
        if layouts[name]["leaves"]
    }
    to_read |= {f"object_{name}": 0 for name in templates.keys() & set(objects)}
    arrays = read(to_read) if to_read else {}
    restored = {}
    for name, template in templates.items():
        if _has_state_dict(template):
            template.load_state_dict(unpack(bytes(arrays[f"object_{name}"])))
            restored[name] = template
            continue
        saved = arrays.get(f"tree_{name}", {})
        tree, removed = from_saved(template, layouts[name], saved)
        restored[name] = tree
        for path in removed:
            _LOG.warning(
                "checkpoint.restore(): %s/%s was saved, but the template lacks it; it "
                "is left out.",
                name,
                path,
            )
    if logger is not None and host["logger"] is not None:
        logger.load_state(host["logger"] | {"step": step})
    return restored


def _has_state_dict(x: Any) -> bool:
    """Return whether an object saves its own state, unlike a pytree of arrays."""
    return hasattr(x, "state_dict") and hasattr(x, "load_state_dict")


def _as_bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def _logger_state(logger: TrainingLogger) -> dict[str, Any]:
    """Return the logger's state, with the writer states of all processes."""
    state = logger.state()
    if process_count() > 1 and not logger.config.master_only:
        from jaxmetrics.processes import exchange

        own = dumps(state["writers"]).encode()
        for payload in exchange("checkpoint", own).values():
            writers: Any = loads(payload)
            state["writers"] = writers | state["writers"]
    return state
