"""A function of the values of several metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxmetrics.core._collection import Collection
from jaxmetrics.core._decoding import on_states
from jaxmetrics.core._metric import Metric


class Compose(Metric):
    """A function of the values of several metrics.

    Args:
      function: Called with the metrics' values by name; defined at the top level of a
        module, so that it can be pickled.
      **metrics: Its arguments. In a collection they are stored once with equal ones.

    Example:
      >>> import jaxmetrics as jm, operator
      >>> def gap(train, held_out):
      ...     return held_out - train
      >>> metric = jm.Compose(gap, train=jm.Mean("a"), held_out=jm.Mean("b"))
      >>> float(jm.evaluate(metric, a=[1.0, 2.0], b=[4.0]))
      2.5
    """

    function: Callable[..., Any]
    metrics: Collection

    def __init__(self, function: Callable[..., Any], /, **metrics: Metric) -> None:
        """Name the metrics as the function's arguments."""
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "metrics", Collection(**metrics))
        object.__setattr__(self, "renames", ())
        self.__post_init__()

    @on_states
    def compute(self) -> Any:
        """Return the function's value."""
        values = {name: metric.compute() for name, metric in self.metrics.items()}
        return self.function(**values)
