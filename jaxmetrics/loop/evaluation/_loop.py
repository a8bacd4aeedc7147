"""Evaluation of data that no number of devices divides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.tree_util import DictKey

from jaxmetrics.core import Deferred, arguments_read, snapshot
from jaxmetrics.loop.evaluation._padding import lengthened, with_mask
from jaxmetrics.loop.evaluation._turns import alone, together
from jaxmetrics.processes import require_same

_WHO = "evaluate_loop()"


def pad_batch(batch: Mapping[str, Any], multiple: int) -> dict[str, Any]:
    """The batch with rows added up to a multiple, and a `mask` of those that count.

    The last row is repeated, so that labels stay valid and nothing becomes NaN. Pass
    `mask=batch["mask"]` to metrics, and they do not see the difference.

    Args:
      batch: Arrays `[rows, ...]` by name, or nested trees of them. A bool `mask`
        `[rows, ...]` of its own is kept, and False in the rows that are added.
      multiple: What the number of rows becomes a multiple of.

    Raises:
      TypeError: It holds something else, or a mask that is not bool.
      ValueError: Its arrays are not of as many rows each.

    Example:
      >>> padded = pad_batch({"labels": np.array([3, 1, 2])}, 2)
      >>> padded["labels"].tolist(), padded["mask"].tolist()
      ([3, 1, 2, 2], [True, True, True, False])
    """
    if isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1:
        raise ValueError(
            f"pad_batch() got multiple={multiple!r}, expected a positive int. Pass the "
            f"number of devices that share the rows."
        )
    batch, rows = with_mask("pad_batch()", batch)
    return lengthened(batch, -(-rows // multiple) * multiple)


def evaluate_loop(
    step: Callable[[Any, Any, Any], Any],
    state: Any,
    batches: Iterable[Mapping[str, Any]],
    metrics: Any,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """The values of metrics over all batches, each row counted once.

    Batches are padded to the size of the first (of the largest so far), with a bool
    `mask` of the rows that count. With a mesh over several processes every process
    calls it with its own batches, as many as it has, none too: all launch the same
    steps, those without a batch on masked rows, and all return the same values. What
    fails in the batches of one process is an error on all.

    Args:
      step: `step(state, metrics, batch)` returns the metrics with the batch seen:
        `jax.jit(lambda state, metrics, batch: metrics.update(logits=apply(state,
        batch["inputs"]), labels=batch["labels"], mask=batch["mask"]))`. It may donate
        the metrics.
      state: What the step needs besides, such as parameters, placed on the mesh.
      batches: Dicts of arrays `[rows, ...]`, of this process's own rows. Processes
        that share rows, their devices side by side along another axis, give the same.
      metrics: A Metric, a Collection or a deferred one; what it has seen is left out.
      mesh: Where batches are sharded along axis `"data"`, or the mesh's only one;
        deferred metrics know theirs. None keeps all on this process.

    Raises:
      TypeError, ValueError: The batches, the metrics or what `step` returns do not fit.
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
    metrics, sharding, multiple = _placed(metrics, mesh)
    shared = sharding is not None and not sharding.is_fully_addressable
    if shared:
        require_same(_WHO, metrics)
    turns = together if shared else alone
    checked = False
    for batch, padded in turns(_WHO, batches, multiple):
        if sharding is not None:
            batch = jax.tree.map(lambda x: _spread(x, sharding), batch)
        if padded and not checked:
            _refuse_ignored_mask(step, state, metrics, batch)
            checked = True
        seen = step(state, metrics, batch)
        if type(seen) is not type(metrics):
            raise TypeError(
                f"{_WHO} got a step that returns {type(seen).__name__}, expected the "
                f"{type(metrics).__name__} it was given, updated. Return "
                f"metrics.update(...)."
            )
        metrics = seen
    return snapshot(metrics).compute()


def _placed(metrics: Any, mesh: Mesh | None) -> tuple[Any, NamedSharding | None, int]:
    """Empty metrics, where rows go, and how many devices here share them."""
    if isinstance(metrics, Deferred):
        if mesh not in (None, metrics.mesh):
            raise ValueError(
                f"{_WHO} got metrics deferred on {metrics.mesh} and mesh={mesh}, "
                f"expected one mesh. Leave mesh out."
            )
        mesh, axes, metrics = metrics.mesh, metrics.rows, metrics.empty()
    elif mesh is None:
        return metrics.empty(), None, 1
    else:
        axes, metrics = (_data_axis(mesh),), metrics.empty().place(mesh)
    sharding = NamedSharding(mesh, P(axes))
    shards = int(np.prod([mesh.shape[axis] for axis in axes]))
    here = sharding.addressable_devices_indices_map((shards,)).values()
    return metrics, sharding, len(set(map(str, here)))


def _data_axis(mesh: Mesh) -> str:
    if "data" in mesh.axis_names:
        return "data"
    if len(mesh.axis_names) == 1:
        return mesh.axis_names[0]
    raise ValueError(
        f"{_WHO} got a mesh with axes {mesh.axis_names} and cannot tell which one "
        f"shares the rows; expected 'data' or one axis. Pass metrics.deferred(mesh, "
        f"axis=...)."
    )


def _spread(x: Any, sharding: NamedSharding) -> jax.Array:
    """This process's rows as its part of one array over the mesh."""
    return jax.make_array_from_process_local_data(sharding, np.asarray(x))


def _refuse_ignored_mask(step: Any, state: Any, metrics: Any, batch: Any) -> None:
    """Refuse a compiled step that would count padding; it is traced but once for all.

    Other functions cannot be looked into.
    """
    arguments = arguments_read(step, state, metrics, batch)
    if arguments is None:
        return
    masks = [read for path, read in arguments if path[-1] == DictKey("mask")]
    if masks == [False]:
        raise ValueError(
            f"{_WHO} got a step that does not use batch['mask'], and rows that are "
            f"padding, which it would count; expected mask=batch['mask'] among the "
            f"outputs. Pass it to metrics.update, or give batches of one size."
        )
