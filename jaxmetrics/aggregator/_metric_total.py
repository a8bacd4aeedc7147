"""Totals computed by a metric, many values at a time, on this process's CPU."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.aggregator._inputs import as_weights
from jaxmetrics.aggregator._totals import Total
from jaxmetrics.record import flatten, states

if TYPE_CHECKING:
    from jaxmetrics.core import Metric

_CHUNK_SIZE = 16_384
_MIN_PADDED_SIZE = 64
_FLOAT32 = np.finfo(np.float32)


class MetricHandler:
    """Metric registered for an aggregation type, compiled once per padded size.

    Args:
      name: Name of the type.
      metric: Metric, or its class, that reads one output of any name and a mask, and
        weights if it is configured to.

    Attributes:
      metric: The empty metric.
      description: Class and configuration of the metric, for messages.
      configuration: Class and full configuration of the metric, as JSON.
      weighted: Whether it takes weights.
    """

    def __init__(self, name: str, metric: Any) -> None:
        import jax

        from jaxmetrics.core import Metric, configuration_of

        metric = metric() if isinstance(metric, type) else metric
        if not isinstance(metric, Metric):
            raise TypeError(
                f"register_handler({name!r}) got a {type(metric).__name__}; expected a "
                "metric, such as jm.Std(). Write a Metric with observe and compute."
            )
        reads = metric.reads()
        outputs, mask = sorted(reads.required - {"weights"}), reads.mask
        if len(outputs) != 1 or mask not in reads.optional:
            raise ValueError(
                f"register_handler({name!r}) got {metric}, which needs {outputs}; "
                "expected a metric of one output that takes a mask. Register one that "
                "reads the values alone."
            )
        self.name = name
        self.metric: Metric = jax.tree.map(np.asarray, metric.empty())
        self.description = repr(self.metric)
        self.configuration = configuration_of(self.metric)
        self.weighted = "weights" in reads.required
        self._output, self._mask = outputs[0], mask
        self._checked_dtypes: set[np.dtype] = set()
        one_by_one = _depends_on_updates(metric)
        update = self._update_one_by_one if one_by_one else self._update_at_once
        self._update = jax.jit(update)
        self._merge = jax.jit(lambda earlier, later: earlier.merge(later))
        self._join = jax.jit(lambda states: states.reduce())

    def as_output(self, where: str, values: np.ndarray) -> np.ndarray:
        """Return values in 32 bits, once the metric was traced with their dtype.

        Raises:
          TypeError: The metric does not read values of this dtype.
          ValueError: The values need more than 32 bits.
        """
        import jax

        from jaxmetrics.core import as_32bit

        try:
            values = as_32bit(self._output, values)
            if values.dtype not in self._checked_dtypes:
                example = np.zeros(_MIN_PADDED_SIZE, values.dtype)
                weights = np.zeros(_MIN_PADDED_SIZE) if self.weighted else None
                with _on_host():
                    padded = _padded(example, weights)
                    jax.eval_shape(self._update, self.metric, *padded)
                self._checked_dtypes.add(values.dtype)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from error
        return values

    def updated(
        self, metric: Metric, values: np.ndarray, weights: np.ndarray | None
    ) -> Metric:
        """Return the metric with more values."""
        with _on_host():
            for start in range(0, values.size, _CHUNK_SIZE):
                chunk = slice(start, start + _CHUNK_SIZE)
                chunk_weights = None if weights is None else weights[chunk]
                padded = _padded(values[chunk], chunk_weights)
                metric = self._update(metric, *padded)
        return metric

    def merged(self, earlier: Metric, later: Metric) -> Metric:
        """Return the merge of a metric and one of later values."""
        with _on_host():
            return self._merge(earlier, later)

    def joined(self, first: Metric, other: Metric) -> Metric:
        """Return the reduction of the metrics of two processes."""
        import jax

        stacked = jax.tree.map(lambda a, b: np.stack([a, b]), first, other)
        with _on_host():
            return self._join(stacked)

    def value(self, metric: Metric) -> Any:
        """Return the value that the metric computes."""
        with _on_host():
            return metric.compute()

    def _update_at_once(
        self, metric: Any, values: Any, weights: Any, count: Any
    ) -> Any:
        import jax.numpy as jnp

        mask = jnp.arange(values.size, dtype=jnp.int32) < count
        return metric.update(**self._outputs(values, weights, mask))

    def _update_one_by_one(
        self, metric: Any, values: Any, weights: Any, count: Any
    ) -> Any:
        import jax

        def step(i: Any, metric: Any) -> Any:
            value, weight = jax.tree.map(lambda x: x[i][None], (values, weights))
            return metric.update(**self._outputs(value, weight, np.ones(1, bool)))

        return jax.lax.fori_loop(0, count, step, metric)

    def _outputs(self, values: Any, weights: Any, mask: Any) -> dict[str, Any]:
        optional = {"weights": weights} if self.weighted else {}
        return {self._output: values, self._mask: mask, **optional}


class MetricTotal(Total):
    """Total of a registered metric. The metric gets all values, NaN included."""

    def __init__(self, handler: MetricHandler) -> None:
        self._handler, self._metric = handler, handler.metric
        self._pending: list[tuple[np.ndarray, np.ndarray | None]] = []
        self._pending_size = 0

    @property
    def weighted(self) -> bool:
        """True if the metric takes weights."""
        return self._handler.weighted

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """Return values in 32 bits, and weights if the metric takes them."""
        values, weights = super().read(where, values, weights)
        if weights is None and self.weighted:
            raise ValueError(
                f"{where} got no weights; {self._handler.description} needs them. Pass "
                "weights= (or Observation(weight=...))."
            )
        if weights is not None:
            weights = as_weights(where, values, weights)
            beyond = (weights > _FLOAT32.max) | (weights < _FLOAT32.tiny)
            if (beyond & (weights != 0)).any():
                raise ValueError(
                    f"{where} got weights from {weights.min()} to {weights.max()}; "
                    f"{self._handler.description} computes in float32. Scale all "
                    f"weights alike, to about 1."
                )
        return self._handler.as_output(where, values), weights

    def add(self, values: np.ndarray, weights: np.ndarray | None) -> None:
        """Buffer the values, and update the metric once there are many."""
        self._pending_size += values.size
        weights = None if weights is None else weights.copy()
        self._pending.append((values.copy(), weights))
        if self._pending_size >= _CHUNK_SIZE:
            self._flush()

    def merge(self, later: MetricTotal) -> None:
        """Merge with the metric of later values."""
        self._metric = self._handler.merged(self._flush(), later._flush())

    def join(self, other: MetricTotal) -> None:
        """Reduce with the metric of another process."""
        self._metric = self._handler.joined(self._flush(), other._flush())

    def state(self) -> dict[str, Any]:
        """Return the leaves of the metric by name, with their layout."""
        from jaxmetrics.core import saved_form, state_dict

        metric = self._flush()
        return {
            "metric": self._handler.description,
            "configuration": self._handler.configuration,
            "layout": saved_form(metric).layout,
            "leaves": state_dict(metric),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the metric by one that `state` returned.

        Raises:
          ValueError: It has another class or configuration.
        """
        from jaxmetrics.core import configuration_differences, from_saved

        handler = self._handler
        saved = state.get("configuration")
        differences = configuration_differences(saved, handler.configuration)
        if differences:
            raise ValueError(
                f"it was saved by {state['metric']}; expected {handler.description}, "
                f"which is registered here: {'; '.join(differences)}. Register the "
                f"same metric on every process and after a restart"
            )
        layout, leaves = state["layout"], state["leaves"]
        # JSON keeps the numbers of an array, and not their type.
        arrays = {
            name: states.floats(x).astype(layout["leaves"][name][2])
            if isinstance(x, list | tuple)
            else np.asarray(x)
            for name, x in leaves.items()
        }
        metric, _ = from_saved(handler.metric, layout, arrays)
        if (found := _leaf_types(metric)) != (expected := _leaf_types(handler.metric)):
            raise ValueError(f"its leaves are {found}, expected {expected}")
        self._metric = metric

    def results(self, name: str) -> dict[str, Any]:
        """Return the value of the metric, `{name}/{part}` if it has parts."""
        value = self._handler.value(self._flush())
        return {
            path: float(part) if np.ndim(part) == 0 else np.asarray(part)
            for path, part in flatten(value, name)
            if not isinstance(part, Mapping)
        }

    def _flush(self) -> Metric:
        """Update the metric with the buffered values, grouped by dtype."""
        pending, self._pending, self._pending_size = self._pending, [], 0
        for _, group in itertools.groupby(pending, key=lambda batch: batch[0].dtype):
            batches = list(group)
            values = np.concatenate([values for values, _ in batches])
            weights = [weights for _, weights in batches if weights is not None]
            joined = np.concatenate(weights) if weights else None
            self._metric = self._handler.updated(self._metric, values, joined)
        return self._metric


def _padded(
    values: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, np.int32]:
    """Return values and weights padded to a power of two, and the number that count.

    Few sizes mean few compilations.
    """
    size = max(_MIN_PADDED_SIZE, 1 << (values.size - 1).bit_length())
    padding = (0, size - values.size)
    if weights is not None:
        weights = np.pad(weights.astype(np.float32), padding)
    return np.pad(values, padding), weights, np.int32(values.size)


def _leaf_types(metric: Any) -> list[str]:
    """Return shape and dtype of each leaf of a metric."""
    import jax

    return [f"{x.dtype}{list(x.shape)}" for x in jax.tree.leaves(metric)]


def _depends_on_updates(metric: Any) -> bool:
    """Return whether a metric distinguishes one update of two values from two."""
    import jax

    from jaxmetrics.core import BestOf, Windowed

    def depends(node: Any) -> bool:
        return isinstance(node, BestOf | Windowed)

    return any(map(depends, jax.tree.leaves(metric, is_leaf=depends)))


def _on_host() -> AbstractContextManager[Any]:
    """Compute on this process's CPU, even if the training has set a mesh."""
    import jax

    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # jax_platforms excludes the CPU
        device = jax.local_devices()[0]
    return jax.set_mesh(jax.sharding.Mesh(np.array([device]), ("host",)))
