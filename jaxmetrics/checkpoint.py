"""Save and restore metrics, the logger and all its companions with orbax.

They are one item of the user's own `Composite`, called `jaxmetrics` (orbax reserves
`metrics`), beside the model. Every process calls both functions.

    restored = checkpoint.restore(manager, None, logger, metrics=metrics.empty())
    ...
    manager.save(step, args=ocp.args.Composite(
        jaxmetrics=checkpoint.args(logger, metrics=metrics),
        state=ocp.args.StandardSave(state)))

Two kinds of things are saved. Pytrees, such as metrics, are saved under the names of
metrics and leaves, with the shard axis of deferred metrics: restored on the same number
of devices they have the same bits; on another number the shards are folded into a
total, and no count changes. Objects that have `state()` and `load_state(state)`, or
`state_dict()` and `load_state_dict(state)`, save their own state, and `restore` puts
them back in place: `PerformanceTracker`, `LossTracker`, `EpochTracker`,
`TrainingTelemetry`, `MetricsLog`, `MetricsAggregator`, `Alarms`, `SpikeDetector` and
any others. Objects attached to the logger (`logger.attach(tracker=tracker)`) are saved
and restored without being named again.

The state that is saved is that of the first process; a `MetricsAggregator` exchanges
its totals, and each process saves its part of sharded arrays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
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
_PROTOCOLS = (("state", "load_state"), ("state_dict", "load_state_dict"))


def args(logger: TrainingLogger | None, **items: Any) -> Any:
    """Return the orbax arguments that save the logger, pytrees and stateful objects.

    The work is done when orbax saves them, within `manager.save`: the logger is
    flushed, so that everything logged before is on disk and a restore takes the files
    back to this point, and the states are taken. A step that orbax does not save
    costs nothing.

    Args:
      logger: Logger of the run, or None. Objects attached to it are saved too.
      **items: Metrics, collections, deferred metrics or any pytrees of arrays, and
        objects with a state, by name.

    Raises:
      ValueError: A name is that of an attached object, and given with another one.
    """
    with optional("checkpoint.args()", "orbax"):
        import orbax.checkpoint as ocp

    attached = _attached(logger)
    _require_same_objects("args", attached, items)
    items = {**attached, **items}
    return ocp.args.PyTreeSave(_Item(lambda: _tree(logger, items, attached)))


def restore(
    manager: Any, step: int | None, logger: TrainingLogger | None, **templates: Any
) -> dict[str, Any]:
    """Return what was saved at a step, and take logger and objects back to that step.

    A metric added since the save starts empty, and an array keeps the value of the
    template. One that was removed is left out, with a warning in the log. An attached
    object that was not saved starts afresh, and the state of one that is no longer
    attached is left out, each with a notice in the log.

    With `step=None` and a manager without a checkpoint, the run begins afresh: the
    templates are returned, and what the logger and the objects have recorded is set
    aside. A run that was killed before its first checkpoint so starts again with the
    same code.

    Args:
      manager: The user's `CheckpointManager`.
      step: Step to restore. None takes the latest, if there is one.
      logger: Logger of the run, whose files are taken back to the save; or None.
      **templates: Pytrees to restore, by the names they were saved under; the result
        has their layout and sharding. An object with a state loads it, and is returned
        itself.

    Raises:
      FileNotFoundError: There is no checkpoint of this step.
      KeyError: Nothing was saved under a name, or the step has no such item.
      ValueError: A metric was saved with another configuration or shape, the state of
        an object is not valid, or the checkpoint has another version.
    """
    with optional("checkpoint.restore()", "orbax"):
        import orbax.checkpoint as ocp

    from jaxmetrics.core import saved_leaves

    attached = _attached(logger)
    _require_same_objects("restore", attached, templates)
    objects = attached | {n: x for n, x in templates.items() if _protocol(x)}
    steps = manager.all_steps()
    if step is None:
        step = manager.latest_step()
        if step is None:
            _reset([logger, *objects.values()])
            return templates
    if step not in steps:
        raise FileNotFoundError(
            f"checkpoint.restore() got step {step}, which {manager.directory} lacks; "
            f"it has {steps}. Restore one of these."
        )
    read = _Reader(ocp, manager, step)
    saved_host = read({"host": 0})["host"]
    if not isinstance(saved_host, np.ndarray):
        raise KeyError(
            f"checkpoint.restore() got step {step}, which was not saved with "
            f"checkpoint.args(); expected an item {_ITEM!r}. Restore it as it was "
            f"saved, and continue the run with resume_step={step}."
        )
    host: Any = loads(bytes(saved_host))
    if host["schema"] != _SCHEMA:
        raise ValueError(
            f"checkpoint.restore() got step {step} of schema {host['schema']}; this "
            f"version reads {_SCHEMA}. Restore it with the version that saved it."
        )
    layouts, saved_objects = host["pytrees"], host.get("objects", [])
    for name, template in templates.items():
        if name not in (saved_objects if name in objects else layouts):
            raise KeyError(
                f"checkpoint.restore() got {name!r}, a {type(template).__name__}, but "
                f"step {step} holds no such item; it holds the pytrees "
                f"{sorted(layouts)} and the objects {sorted(saved_objects)}. Restore "
                f"each under the name it was saved with."
            )
    to_read: dict[str, Any] = {
        f"tree_{name}": dict.fromkeys(leaves, 0)
        for name in templates.keys() & layouts.keys()
        if (leaves := saved_leaves(layouts[name]))
    }
    to_read |= {f"object_{name}": 0 for name in objects if name in saved_objects}
    arrays = read(to_read) if to_read else {}
    restored = {
        name: template
        if name in objects
        else _from_saved(name, template, layouts[name], arrays)
        for name, template in templates.items()
    }
    unsaved = [name for name in attached if name not in saved_objects]
    for name, each in objects.items():
        if name not in unsaved:
            _load(name, each, unpack(bytes(arrays[f"object_{name}"])), step)
    for name in unsaved:
        _LOG.warning(
            "checkpoint.restore(): step %d holds no state of the attached %r; it "
            "starts afresh.",
            step,
            name,
        )
    _reset(attached[name] for name in unsaved)
    for name in host.get("attached", ()):
        if name not in objects:
            _LOG.warning(
                "checkpoint.restore(): %r was attached when step %d was saved, and is "
                "not attached now; its state is left out.",
                name,
                step,
            )
    if logger is not None and host["logger"] is not None:
        try:
            logger.load_state(host["logger"] | {"step": step})
        except (OSError, RuntimeError, ValueError) as error:
            _LOG.warning(
                "checkpoint.restore(): the record of step %d was not restored (%s). "
                "The training continues; look at %s before you trust the record.",
                *(step, error, logger.run_dir),
            )
    return restored


@jax.tree_util.register_pytree_with_keys_class
class _Item:
    """Contents of the item: a mapping that is built when orbax first flattens it.

    Orbax flattens what it saves only once it has decided to save, in the thread that
    called `manager.save` and before `save` returns, and several times. A custom class
    of arguments would need a handler in every manager that names its items.

    Args:
      build: Function that returns the mapping.
    """

    def __init__(self, build: Callable[[], Mapping[str, Any]]) -> None:
        self._build = build
        self._contents: Mapping[str, Any] | None = None

    def tree_flatten_with_keys(self) -> tuple[Iterable[Any], tuple[str, ...]]:
        """Return the values with the keys of a dict, as checkpoints always had them."""
        if self._contents is None:
            self._contents = self._build()
        names = tuple(sorted(self._contents))
        keys = map(jax.tree_util.DictKey, names)
        return list(zip(keys, (self._contents[name] for name in names))), names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], values: Iterable[Any]) -> _Item:
        """Return an item whose contents are known."""
        contents = dict(zip(names, values))
        return cls(lambda: contents)


def _tree(
    logger: TrainingLogger | None, items: Mapping[str, Any], attached: Iterable[str]
) -> dict[str, Any]:
    """Flush the logger, take all states, and return the tree to save."""
    from jaxmetrics.core import saved_form

    objects = {name: x for name, x in items.items() if _protocol(x)}
    states = {name: _packed_state(name, x) for name, x in objects.items()}
    # Last: an object may log what it has not logged yet.
    logger_state = None if logger is None else _logger_state(logger)
    forms = {n: saved_form(tree) for n, tree in items.items() if n not in objects}
    host = {
        "schema": _SCHEMA,
        "logger": logger_state,
        "pytrees": {name: form.layout for name, form in forms.items()},
        "objects": list(objects),
        "attached": [name for name in attached if name in objects],
    }
    tree: dict[str, Any] = {"host": _as_bytes(dumps(host).encode())}
    tree |= {f"object_{name}": _as_bytes(state) for name, state in states.items()}
    tree |= {f"tree_{name}": dict(form.arrays) for name, form in forms.items()}
    return tree


class _Reader:
    """Read arrays of one step, of an item called `jaxmetrics` or of the only item."""

    def __init__(self, ocp: Any, manager: Any, step: int) -> None:
        self._ocp, self._manager, self._step = ocp, manager, step

    def __call__(self, tree: Mapping[str, Any]) -> Any:
        """Return the arrays at the leaves of `tree`.

        Raises:
          KeyError: The step has no such item.
        """
        ocp = self._ocp
        as_numpy = ocp.RestoreArgs(restore_type=np.ndarray)
        item = ocp.args.PyTreeRestore(
            item=tree,
            restore_args=jax.tree.map(lambda _: as_numpy, tree),
            partial_restore=True,
        )
        composite = ocp.args.Composite(**{_ITEM: item})
        try:
            return self._manager.restore(self._step, args=composite)[_ITEM]
        except ValueError as error:
            if "Composite" not in str(error):
                raise
            # The step was saved without a Composite: it has one item without a name.
            return self._manager.restore(self._step, args=item)
        except KeyError as error:
            if f'"{_ITEM}"' not in str(error):
                raise
            raise KeyError(
                f"checkpoint.restore() got step {self._step}: {error.args[0]}. Save "
                f"checkpoint.args() as {_ITEM}=; continue a run that was saved without "
                f"it with resume_step={self._step}."
            ) from None


def _from_saved(
    name: str, template: Any, layout: Mapping[str, Any], arrays: Mapping[str, Any]
) -> Any:
    """Return a pytree in the layout of a template."""
    from jaxmetrics.core import from_saved

    tree, removed = from_saved(template, layout, arrays.get(f"tree_{name}", {}))
    for path in removed:
        _LOG.warning(
            "checkpoint.restore(): %s/%s was saved, but the template lacks it; it "
            "is left out.",
            name,
            path,
        )
    return tree


def _protocol(x: Any) -> tuple[str, str] | None:
    """Return the names of the methods of an object that has a state of its own.

    Metrics and other pytrees have none, whatever methods they have.
    """
    for save, load in _PROTOCOLS:
        if callable(getattr(x, save, None)) and callable(getattr(x, load, None)):
            is_leaf = jax.tree_util.treedef_is_leaf(jax.tree.structure(x))
            return (save, load) if is_leaf else None
    return None


def _packed_state(name: str, x: Any) -> bytes:
    save, _ = _protocol(x) or _PROTOCOLS[0]
    try:
        return pack(getattr(x, save)())
    except TypeError as error:
        error.add_note(f"checkpoint.args() saves the state of {name!r}.")
        raise


def _load(name: str, x: Any, state: Any, step: int) -> None:
    _, load = _protocol(x) or _PROTOCOLS[0]
    try:
        getattr(x, load)(state)
    except Exception as error:
        error.add_note(f"checkpoint.restore() loads {name!r} of step {step}.")
        raise


def _attached(logger: TrainingLogger | None) -> dict[str, Any]:
    """Return the attached objects that have a state, by name."""
    attached = getattr(logger, "attached", {})
    return {name: x for name, x in attached.items() if _protocol(x)}


def _require_same_objects(
    call: str, attached: Mapping[str, Any], items: Mapping[str, Any]
) -> None:
    for name in attached.keys() & items.keys():
        if items[name] is not attached[name]:
            raise ValueError(
                f"checkpoint.{call}() got {name}={type(items[name]).__name__}, but the "
                f"logger has another {type(attached[name]).__name__} attached under "
                f"this name. Leave it out, or choose another name."
            )


def _reset(objects: Iterable[Any]) -> None:
    """Let objects that can begin afresh."""
    for each in objects:
        if callable(reset := getattr(each, "reset", None)):
            reset()


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
