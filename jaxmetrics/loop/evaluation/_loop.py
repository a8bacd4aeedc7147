"""Evaluate metrics over batches of uneven sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, overload

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.tree_util import DictKey

from jaxmetrics.core import (
    Collection,
    Deferred,
    arguments_read,
    snapshot,
    warn_of_invalid,
)
from jaxmetrics.loop.evaluation._batches import global_batches, local_batches
from jaxmetrics.pipeline import held_metrics
from jaxmetrics.processes import require_same_metrics

_CALL = "evaluate_loop()"


@overload
def evaluate_loop(
    step: Callable[[Any, Any, Any], Any],
    state: Any,
    batches: Iterable[Mapping[str, Any]],
    metrics: Any,
    mesh: Mesh | None = None,
    *,
    compute: Literal[True] = True,
) -> dict[str, Any]: ...
@overload
def evaluate_loop(
    step: Callable[[Any, Any, Any], Any],
    state: Any,
    batches: Iterable[Mapping[str, Any]],
    metrics: Any,
    mesh: Mesh | None = None,
    *,
    compute: bool,
) -> Any: ...
def evaluate_loop(
    step: Callable[[Any, Any, Any], Any],
    state: Any,
    batches: Iterable[Mapping[str, Any]],
    metrics: Any,
    mesh: Mesh | None = None,
    *,
    compute: bool = True,
) -> Any:
    """Return the values of metrics over all batches, each row counted once.

    Batches are padded to the largest size so far, with a bool `mask` that is False in
    the padding. With a mesh over several processes every process calls it with its own
    batches, of which it may have any number: all processes launch the same steps, those
    without a batch on masked rows, and all return the same values. An error in the
    batches of one process is an error on all. Entries that cannot be scored, such as
    labels out of range, are left out of the values, with a warning that has their
    number.

    Args:
      step: Function `step(state, metrics, batch)` that returns the updated metrics:
        `jax.jit(lambda state, metrics, batch: metrics.update(logits=apply(state,
        batch["inputs"]), labels=batch["labels"], mask=batch["mask"]))`. It may donate
        the metrics. A compiled step that ignores the mask is refused if there is
        padding; one that is not compiled cannot be inspected, and counts it.
      state: Further input of the step, such as parameters, placed on the mesh.
      batches: Dicts of arrays `[rows, ...]` with this process's own rows. Processes
        whose devices differ only along another mesh axis pass the same rows.
      metrics: A Metric, a Collection, or a mapping of names to metrics, which becomes
        one; a deferred one, or the `interop.nnx.Metrics` of one. Its state is ignored.
      mesh: Mesh whose axis `"data"`, or only axis, shards the rows. Default: the mesh
        of deferred metrics, else none, and everything stays on this process.
      compute: If False, return the updated metrics and not their values. Every process
        passes them to `logger.log_step(step, metrics, split="val")`, which also records
        error bounds and the number of invalid rows.

    Raises:
      TypeError, ValueError: Batches, metrics or the result of `step` do not fit.
      RuntimeError: The batches of another process failed.
      MissingHostError: A process does not take part.

    Example:
      >>> import jaxmetrics as jm
      >>> metrics = jm.Collection(mean=jm.Mean("x"), largest=jm.Max("x"))
      >>> batches = [{"x": np.array([1.0, 2.0])}, {"x": np.array([6.0])}]
      >>> values = evaluate_loop(lambda _, m, b: m.update(**b), None, batches, metrics)
      >>> {name: float(value) for name, value in values.items()}
      {'mean': 3.0, 'largest': 6.0}
    """
    metrics, sharding, multiple = _place(_held_metrics(metrics), mesh)
    shared = sharding is not None and not sharding.is_fully_addressable
    if shared:
        require_same_metrics(_CALL, metrics)
    equal_batches = global_batches if shared else local_batches
    checked = False
    for batch, padded in equal_batches(_CALL, batches, multiple):
        if sharding is not None:
            batch = jax.tree.map(lambda x: _to_global(x, sharding), batch)
        if padded and not checked:
            _refuse_ignored_mask(step, state, metrics, batch)
            checked = True
        updated = step(state, metrics, batch)
        if type(updated) is not type(metrics):
            raise TypeError(
                f"{_CALL} got a step that returns {type(updated).__name__}, expected "
                f"the updated {type(metrics).__name__}. Return metrics.update(...)."
            )
        metrics = updated
    if not compute:
        return metrics
    taken = snapshot(metrics)
    if jax.process_index() == 0:
        warn_of_invalid(taken.metrics())
    return taken.compute()


def _held_metrics(metrics: Any) -> Any:
    metrics = held_metrics(metrics)
    if hasattr(metrics, "empty"):
        return metrics
    if isinstance(metrics, Mapping):
        return Collection(metrics)
    raise TypeError(
        f"{_CALL} got metrics of type {type(metrics).__name__}; expected a Metric or a "
        f"Collection. Pass jm.Collection(loss=jm.Mean('loss')), for one."
    )


def _place(metrics: Any, mesh: Mesh | None) -> tuple[Any, NamedSharding | None, int]:
    """Return empty metrics, the sharding of rows, and the number of local shards."""
    if isinstance(metrics, Deferred):
        if mesh not in (None, metrics.mesh):
            raise ValueError(
                f"{_CALL} got metrics deferred on {metrics.mesh} and mesh={mesh}, "
                f"expected one mesh. Leave mesh out."
            )
        mesh, axes, metrics = metrics.mesh, metrics.rows, metrics.empty()
    elif mesh is None:
        return metrics.empty(), None, 1
    else:
        axes, metrics = (_data_axis(mesh),), metrics.empty().place(mesh)
    sharding = NamedSharding(mesh, P(axes))
    shards = int(np.prod([mesh.shape[axis] for axis in axes]))
    local = sharding.addressable_devices_indices_map((shards,)).values()
    return metrics, sharding, len(set(map(str, local)))


def _data_axis(mesh: Mesh) -> str:
    if "data" in mesh.axis_names:
        return "data"
    if len(mesh.axis_names) == 1:
        return mesh.axis_names[0]
    raise ValueError(
        f"{_CALL} got a mesh with axes {mesh.axis_names}; expected an axis 'data' or a "
        f"single axis, to shard the rows. Pass metrics.deferred(mesh, axis=...)."
    )


def _to_global(x: Any, sharding: NamedSharding) -> jax.Array:
    """Return the global array over the mesh of which `x` is this process's part."""
    return jax.make_array_from_process_local_data(sharding, np.asarray(x))


def _refuse_ignored_mask(step: Any, state: Any, metrics: Any, batch: Any) -> None:
    """Refuse a compiled step that would count padding.

    The trace is shared with the later call. Steps that are not compiled cannot be
    inspected.
    """
    arguments = arguments_read(step, state, metrics, batch)
    if arguments is None:
        return
    masks = [read for path, read in arguments if path[-1] == DictKey("mask")]
    if masks == [False]:
        raise ValueError(
            f"{_CALL} got a step that does not use batch['mask'], and batches with "
            f"padding, which it would count; expected mask=batch['mask'] among the "
            f"outputs. Pass it to metrics.update, or use batches of one size."
        )
