"""Metrics as strategies: values in bulk, on this process's own CPU device."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.aggregator._totals import Total
from jaxmetrics.aggregator._values import weights_of

if TYPE_CHECKING:
    from jaxmetrics.core import Metric

_CHUNK = 16_384
_SMALLEST = 64


class Handler:
    """A metric that takes the values of an aggregation type, compiled once a size.

    Args:
      name: The type's name.
      metric: The metric; it reads one output, whatever its name, with a mask, and
        with weights if it is configured to.

    Attributes:
      metric: The empty metric.
      described: Its class and configuration.
      weighted: Whether it takes weights.
    """

    def __init__(self, name: str, metric: Any) -> None:
        import jax

        from jaxmetrics.core import Metric

        metric = metric() if isinstance(metric, type) else metric
        if not isinstance(metric, Metric):
            raise TypeError(
                f"register_handler({name!r}) got a {type(metric).__name__}; expected a "
                "metric, such as jm.Std(). Write a Metric with observe and compute."
            )
        required, optional = metric._names()
        outputs, mask = sorted(required - {"weights"}), metric._source_of_mask()
        if len(outputs) != 1 or mask not in optional:
            raise ValueError(
                f"register_handler({name!r}) got {metric}, which needs {outputs}; "
                "expected a metric of one output that takes a mask. Register one that "
                "reads the values alone."
            )
        self.name = name
        self.metric: Metric = jax.tree.map(np.asarray, metric.empty())
        self.described = repr(self.metric)
        self.weighted = "weights" in required
        self._output, self._mask = outputs[0], mask
        self._checked: set[Any] = set()
        each = _counts_updates(metric)
        self._update = jax.jit(self._one_by_one if each else self._at_once)
        self._merge = jax.jit(lambda earlier, later: earlier.merge(later))
        self._join = jax.jit(lambda states: states.reduce())

    def narrow(self, where: str, values: np.ndarray) -> np.ndarray:
        """Values as metrics read them, in 32 bits, once it is known that this one does.

        Raises:
          TypeError, ValueError: The metric does not read such values.
        """
        import jax

        from jaxmetrics.core import at_the_door

        try:
            values = at_the_door(self._output, values)
            if values.dtype not in self._checked:
                like = np.zeros(_SMALLEST, values.dtype)
                weights = np.zeros(_SMALLEST) if self.weighted else None
                given = self._padded(like, weights)
                with _on_the_host():
                    jax.eval_shape(self._update, self.metric, *given)
                self._checked.add(values.dtype)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from error
        return values

    def updated(
        self, metric: Metric, values: np.ndarray, weights: np.ndarray | None
    ) -> Metric:
        """The metric with some values more."""
        with _on_the_host():
            for start in range(0, values.size, _CHUNK):
                part = slice(start, start + _CHUNK)
                its = None if weights is None else weights[part]
                metric = self._update(metric, *self._padded(values[part], its))
        return metric

    def merged(self, earlier: Metric, later: Metric) -> Metric:
        """The metric of one time and of a later one."""
        with _on_the_host():
            return self._merge(earlier, later)

    def joined(self, one: Metric, other: Metric) -> Metric:
        """The metric of two processes."""
        import jax

        both = jax.tree.map(lambda a, b: np.stack([a, b]), one, other)
        with _on_the_host():
            return self._join(both)

    def value(self, metric: Metric) -> Any:
        """What the metric computes."""
        with _on_the_host():
            return metric.compute()

    def _padded(self, values: np.ndarray, weights: np.ndarray | None) -> Any:
        """Values and weights of one of few sizes, and how many count."""
        size = max(_SMALLEST, 1 << (values.size - 1).bit_length())
        padding = (0, size - values.size)
        if weights is not None:
            weights = np.pad(weights.astype(np.float32), padding)
        return np.pad(values, padding), weights, np.int32(values.size)

    def _at_once(self, metric: Any, values: Any, weights: Any, count: Any) -> Any:
        import jax.numpy as jnp

        mask = jnp.arange(values.size, dtype=jnp.int32) < count
        return metric.update(**self._outputs(values, weights, mask))

    def _one_by_one(self, metric: Any, values: Any, weights: Any, count: Any) -> Any:
        import jax

        def step(at: Any, metric: Any) -> Any:
            value, weight = jax.tree.map(lambda x: x[at][None], (values, weights))
            return metric.update(**self._outputs(value, weight, np.ones(1, bool)))

        return jax.lax.fori_loop(0, count, step, metric)

    def _outputs(self, values: Any, weights: Any, mask: Any) -> dict[str, Any]:
        more = {"weights": weights} if self.weighted else {}
        return {self._output: values, self._mask: mask, **more}


class Registered(Total):
    """The total of a registered metric; what its values mean is the metric's business.

    NaN is given to the metric as it is.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler, self._metric = handler, handler.metric
        self._recent: list[tuple[np.ndarray, np.ndarray | None]] = []
        self._waiting = 0

    @property
    def weighted(self) -> bool:
        """Whether the metric takes weights."""
        return self._handler.weighted

    def read(self, where: str, values: Any, weights: Any) -> tuple[Any, Any]:
        """Values in 32 bits, and weights if the metric takes them."""
        values, weights = super().read(where, values, weights)
        if weights is None and self.weighted:
            raise ValueError(
                f"{where} got no weights; {self._handler.described} needs them. Give "
                "weights= (or Observation(weight=...))."
            )
        if weights is not None:
            weights = weights_of(where, values, weights)
        return self._handler.narrow(where, values), weights

    def add(self, values: np.ndarray, weights: np.ndarray | None) -> None:
        """Keep few values for later, take many in at once."""
        self._waiting += values.size
        its = None if weights is None else weights.copy()
        self._recent.append((values.copy(), its))
        if self._waiting >= _CHUNK:
            self._settle()

    def merge(self, later: Any) -> None:
        """As the metric merges."""
        self._metric = self._handler.merged(self._settle(), later._settle())

    def join(self, other: Any) -> None:
        """As the metric's shards reduce."""
        self._metric = self._handler.joined(self._settle(), other._settle())

    def state(self) -> dict[str, Any]:
        """The metric's leaves by name, and what they are leaves of."""
        from jaxmetrics.core import saved_form, state_dict

        metric = self._settle()
        return {
            "metric": self._handler.described,
            "layout": saved_form(metric).layout,
            "leaves": state_dict(metric),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Undo `state`.

        Raises:
          ValueError: It is of another metric or configuration.
        """
        from jaxmetrics.core import from_saved

        mine = self._handler
        if state["metric"] != mine.described:
            raise ValueError(
                f"MetricsAggregator got a state of {mine.name!r} made by "
                f"{state['metric']}; expected {mine.described}, which is registered "
                "here. Register the same metric on every process and after a restart."
            )
        self._metric, _ = from_saved(mine.metric, state["layout"], state["leaves"])

    def results(self, name: str) -> dict[str, Any]:
        """What the metric computes, `{name}/{part}` where that has parts."""
        value = self._handler.value(self._settle())
        return dict(_flat(name, value))

    def _settle(self) -> Metric:
        """Take in what waits, values of one type at a time."""
        recent, self._recent, self._waiting = self._recent, [], 0
        for _, group in itertools.groupby(recent, key=lambda part: part[0].dtype):
            parts = list(group)
            values = np.concatenate([values for values, _ in parts])
            weights = [weights for _, weights in parts if weights is not None]
            its = np.concatenate(weights) if weights else None
            self._metric = self._handler.updated(self._metric, values, its)
        return self._metric


def _counts_updates(metric: Any) -> bool:
    """Whether it tells one update from another, so that each value has to be one."""
    from jaxmetrics.core import BestOf, Collection, Windowed

    if isinstance(metric, Collection):
        return any(_counts_updates(part) for _, part in metric.items())
    parts = (getattr(metric, name) for name in metric._children)
    return isinstance(metric, BestOf | Windowed) or any(map(_counts_updates, parts))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _flat(f"{name}/{part}", inner)
    else:
        yield name, float(value) if np.ndim(value) == 0 else np.asarray(value)


def _on_the_host() -> AbstractContextManager[Any]:
    """Compute on this process's CPU, whatever mesh the training has set."""
    import jax

    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to have no CPU
        device = jax.local_devices()[0]
    return jax.set_mesh(jax.sharding.Mesh(np.array([device]), ("host",)))
