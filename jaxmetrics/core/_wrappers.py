"""Metrics around metrics: masked, by group, composed, the best so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import _inputs
from jaxmetrics.core._collection import Collection
from jaxmetrics.core._counting import both, count_where
from jaxmetrics.core._decoding import fetch, namespace, on_host, on_states
from jaxmetrics.core._leaves import UNSET, count_leaf, max_leaf
from jaxmetrics.core._mesh import vary, without_explicit_axes
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._stacking import one_of, stacked


class Masked(Metric):
    """A metric over the entries that one more mask lets through.

    Args:
      metric: the metric; its own mask still holds.
      mask: the output (bool) that is read as the further mask.

    Example:
      >>> import jaxmetrics as jm
      >>> answers = jm.Masked(jm.Mean("loss"), mask="is_answer")
      >>> float(jm.evaluate(answers, loss=[1.0, 5.0], is_answer=[True, False]))
      1.0
    """

    metric: Metric
    mask: str = "valid"

    _reads = "mask"

    @on_states
    def compute(self) -> Any:
        """The metric's value."""
        return self.metric.compute()

    def _names(self) -> tuple[set[str], set[str]]:
        required, optional = self.metric._names()
        return required | {self.mask}, optional - {self.mask}

    def _contribution(self, outputs: Mapping[str, Any]) -> Self:
        return self._with(metric=self.metric._contribution(self._masking(outputs)))

    def _updated(self, outputs: Mapping[str, Any]) -> Self:
        return self._with(metric=self.metric._updated(self._masking(outputs)))

    def _masking(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        if outputs.get(self.mask) is None:
            raise TypeError(
                f"Masked needs output {self.mask!r}; got {sorted(outputs)}. Name the "
                "one that holds the mask: Masked(metric, mask=...)."
            )
        more = _inputs.at_the_door(self.mask, outputs[self.mask])
        name = self.metric._source_of_mask()
        return {**outputs, name: both(outputs.get(name), more)}


class ByGroup(Metric):
    """A metric of each group of examples: the loss of each domain, say.

    Args:
      metric: the metric; it needs to take a mask.
      by: the output of integers (leading axes of the others) that names each entry's
        group. Numbers that are no group are counted in `strange` and fall out.
      groups: how many groups, or a tuple of their names.

    Returns by `compute`: a value for each group by name (`"code"` or `"0"`).
    """

    metric: Metric
    by: str = "domain"
    groups: int | tuple[str, ...] = 1
    strange: Any = count_leaf()

    _reads = "by"

    def __post_init__(self) -> None:
        """Give each group a state of its own."""
        fresh = self.strange is UNSET
        super().__post_init__()
        if fresh:
            each = stacked(self.metric._identity(), len(self.names))
            object.__setattr__(self, "metric", each)

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names."""
        if isinstance(self.groups, tuple):
            return self.groups
        return tuple(str(group) for group in range(self.groups))

    def validate(self) -> None:
        """Refuse an empty list of groups."""
        if not self.names:
            raise ValueError(f"ByGroup: groups is at least 1, got {self.groups}.")

    @on_states
    def compute(self) -> dict[str, Any]:
        """The metric's value for each group."""
        xp, here = namespace(self), fetch(self) if on_host(self) else self
        axis = here.strange.ndim - 1  # after the axes of stacked states
        groups = jax.tree.map(lambda x: xp.moveaxis(x, axis, 0), here.metric)
        if xp is not jnp:
            return {n: one_of(groups, i).compute() for i, n in enumerate(self.names)}
        values = jax.vmap(lambda metric: metric.compute())(groups)
        return {name: one_of(values, i) for i, name in enumerate(self.names)}

    def merge(self, other: Any) -> Self:
        """Merge group by group."""
        self._refuse_other(other)
        merged = jax.vmap(lambda a, b: a.merge(b))(self.metric, other.metric)
        strange = self._leaves["strange"].merge(self, self.strange, other.strange)
        return self._with(metric=merged, strange=strange)

    def _names(self) -> tuple[set[str], set[str]]:
        required, optional = self.metric._names()
        return required | {self.by}, optional - {self.by}

    def _contribution(self, outputs: Mapping[str, Any]) -> Self:
        name = self.metric._source_of_mask()
        if outputs.get(self.by) is None:
            raise TypeError(
                f"ByGroup needs output {self.by!r}; got {sorted(outputs)}. Name "
                "the one that holds the groups: ByGroup(metric, by=...)."
            )
        given = self._given(outputs)
        given[self.by] = _inputs.at_the_door(self.by, outputs[self.by])
        if given[self.by].dtype.kind not in "iu":
            raise TypeError(
                f"ByGroup: output {self.by!r} is {given[self.by].dtype}; groups are "
                f"integers below {len(self.names)}. Convert with .astype(int32)."
            )
        parts = without_explicit_axes(lambda g: self._each(g, name), given)
        return self._with(**vary(parts, _inputs.axes_of(given.values())))

    def _each(self, outputs: Mapping[str, Any], mask: str) -> dict[str, Any]:
        group, count = jnp.asarray(outputs[self.by]), len(self.names)
        alone = self._alone()

        def one(number: Any) -> Metric:
            its = both(outputs.get(mask), group == number)
            return alone._contribution({**outputs, mask: its})

        strange = count_where((group < 0) | (group >= count), outputs.get(mask))
        return dict(
            metric=jax.vmap(one)(jnp.arange(count, dtype=group.dtype)),
            strange=self._encoded("strange", strange),
        )

    def _alone(self) -> Metric:
        """The metric of one group, empty."""
        return self.metric._identity()

    def _identity(self) -> Self:
        each = stacked(self._alone(), len(self.names))
        return self._with(metric=each, strange=self._leaves["strange"].empty(self))


class Compose(Metric):
    """A function of the values of several metrics.

    Args:
      function: called with the metrics' values by name; defined at the top level of a
        module, so that it can be pickled.
      **metrics: its arguments. In a collection they are stored once with equal ones.

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
        """The function's value."""
        values = {name: metric.compute() for name, metric in self.metrics.items()}
        return self.function(**values)


class BestOf(Metric):
    """The best value that a metric had over single updates, each taken whole.

    An update may be a batch, or a whole evaluation merged in as one state. The best
    depends on how the data was split into updates, so it is one of the whole batch's
    values: under shard_map reduce the update and merge the total; the deferred form,
    which never sees a whole batch, is refused.

    Args:
      metric: the metric; its value is one number.
      mode: "max" or "min".
    """

    metric: Metric
    mode: str = "max"
    best: Any = max_leaf()

    _not_deferred = "it compares whole batches, and a shard sees only its own rows"

    def validate(self) -> None:
        """Refuse a mode that is neither."""
        if self.mode not in ("max", "min"):
            raise ValueError(f"BestOf: mode is 'max' or 'min', got {self.mode!r}.")

    @on_states
    def compute(self) -> Any:
        """The best value; nan of nothing."""
        xp = namespace(self)
        wide = np.float64 if xp is np else np.float32
        best, value = (xp.asarray(x, wide) for x in (self.best, self.metric.compute()))
        best = xp.where(xp.isneginf(best), wide(np.nan), best)
        return self._sign * xp.fmax(best, self._sign * value)

    def merge(self, other: Any) -> Self:
        """The better of both, the values of what is not yet merged included."""
        self._refuse_other(other)
        best = jnp.maximum(self._settled(), other._settled())
        return self._with(metric=self.metric._identity(), best=best)

    @property
    def _sign(self) -> int:
        return 1 if self.mode == "max" else -1

    def _settled(self) -> Any:
        value = jnp.asarray(jax.jit(_computed)(self.metric), jnp.float32)
        value = jnp.where(jnp.isnan(value), -jnp.inf, self._sign * value)
        return jnp.maximum(self.best, value)

    def _contribution(self, outputs: Mapping[str, Any]) -> Self:
        empty = self._identity()
        return empty._with(metric=self.metric._contribution(outputs))


def _computed(metric: Metric) -> Any:
    return metric.compute()
