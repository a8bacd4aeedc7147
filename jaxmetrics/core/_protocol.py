"""The protocol of metrics: the methods that containers and wrappers call.

Users call `update`, which checks the names of the outputs and then calls `updated`.
Whatever holds metrics (a collection, a wrapper, the deferred form, the adapter of
another library) has checked the names already and calls the methods below on each
metric inside:

    outer.update(logits=..., labels=...)      # the user: checks the names
        outer.reads()                         # names of the outputs that are read
        outer.updated(outputs)                # no further check of names
            inner.updated(other outputs)      # a wrapper may change what is inside

`Metric`, `Collection`, `jm.Wrapper` and the adapters in `jaxmetrics.interop` implement
it. A subclass of `Metric` gets all of it from its declarations; `jm.Wrapper` is the
easier base for a metric around another one. To go beyond it, override some of these
methods in a subclass of `Metric`, as `Windowed` and `BestOf` do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Protocol, Self


@dataclasses.dataclass(frozen=True)
class Reads:
    """Names of the model outputs that a metric reads.

    Attributes:
      required: Outputs that have to be passed.
      optional: Outputs that are read if they are passed.
      mask: Output that is read as the mask; None if the metric takes no mask.
      arguments: Names that `.on(...)` accepts: arguments of `observe`, those of
        metrics inside, and the outputs that a wrapper reads itself.
    """

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    mask: str | None = None
    arguments: tuple[str, ...] = ()

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """All outputs that are read."""
        return self.required | self.optional

    def __or__(self, other: Reads) -> Reads:
        """Return the outputs that either of two metrics reads, first mask first."""
        required = self.required | other.required
        return Reads(
            required,
            (self.optional | other.optional) - required,
            other.mask if self.mask is None else self.mask,
            tuple(dict.fromkeys(self.arguments + other.arguments)),
        )

    def select(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the outputs that are read and not None."""
        names = self.names
        return {n: x for n, x in outputs.items() if n in names and x is not None}


class MetricProtocol(Protocol):
    """Methods that a metric offers to whatever contains it."""

    def reads(self) -> Reads:
        """Return the names of the outputs that are read."""
        ...

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state of one batch. `outputs` may hold more than is read.

        Raises:
          TypeError: A required output is missing, or of a wrong type.
          ValueError: Shapes do not fit.
        """
        ...

    def updated(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state with one more batch: `merge(contribution(outputs))`."""
        ...

    def identity(self) -> Self:
        """Return the empty state with host arrays: the identity of `merge`."""
        ...

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return a metric that reads other outputs.

        Args:
          names: Output by argument; arguments that the metric does not have are
            ignored, since they may be those of another metric in the container.
        """
        ...

    def merge(self, other: Self) -> Self:
        """Return the state of both samples; `other` holds the later one."""
        ...

    def merge_shards(self, other: Self) -> Self:
        """Return the state of two shards that saw parts of the same batches.

        It is `merge`, except for metrics in which the order of batches matters.
        """
        ...

    def compute(self) -> Any:
        """Return the measured value."""
        ...
