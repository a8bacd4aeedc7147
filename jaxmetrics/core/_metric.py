"""`Metric`: the state of one measurement, a value with its own empty and merge."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self, dataclass_transform

import jax
import numpy as np

from jaxmetrics._lazy import optional
from jaxmetrics.core import _inputs, _reduction
from jaxmetrics.core._configuration import checked
from jaxmetrics.core._declaration import (
    Bound,
    child,
    is_child,
    refuse_no_metric,
    refuse_unsound,
    register,
)
from jaxmetrics.core._decoding import decode_leaves, describe, on_plain_values
from jaxmetrics.core._leaves import (
    UNSET,
    buffer_leaf,
    count_leaf,
    leaf,
    max_leaf,
    min_leaf,
    moments_leaf,
    sum_leaf,
)
from jaxmetrics.core._mesh import vary, without_explicit_axes
from jaxmetrics.core._placement import Placed
from jaxmetrics.core._reading import Reading

_FIELDS = (
    buffer_leaf,
    count_leaf,
    leaf,
    max_leaf,
    min_leaf,
    moments_leaf,
    sum_leaf,
    child,
    dataclasses.field,
)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=_FIELDS)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Metric(Placed, Reading):
    """Base class: declare configuration and leaves, write `observe` and `compute`.

    An instance is its own empty metric, and an immutable pytree whose paths are the
    names of its leaves. Configuration is part of the tree's structure. A field that
    is annotated with a metric class is a child: part of the tree, merged by its own
    merge. A class whose outputs are scalars, which take no mask, says so:
    `class LossScale(jm.Metric, scalars=True)`.

    Example:
      >>> import jaxmetrics as jm
      >>> class Positives(jm.Metric):
      ...     "How many values are above a threshold."
      ...     threshold: float = 0.0
      ...     count: jm.Array = jm.count_leaf()
      ...     def observe(self, *, values, mask=None):
      ...         return dict(count=jm.count_where(values > self.threshold, mask))
      ...     def compute(self):
      ...         return self.count
      >>> jm.evaluate(Positives(threshold=1.0), values=[0.5, 1.5, 2.5])
      2
    """

    renames: tuple[tuple[str, str], ...] = dataclasses.field(default=(), kw_only=True)

    _leaves = {}
    _children = {}
    _configuration = {"renames": "tuple"}
    _arguments = {}
    _scalars = False
    _not_deferred = ""

    def __init_subclass__(cls, scalars: bool = False, **kwargs: Any) -> None:
        """Make the class a pytree and derive everything that its leaves imply."""
        super().__init_subclass__(**kwargs)
        compute = cls.__dict__.get("compute")
        if compute and not getattr(compute, "on_states", False):
            setattr(cls, "compute", on_plain_values(compute))  # noqa: B010
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        fields = dataclasses.fields(cls)
        cls._leaves = {
            f.name: f.metadata["leaf"] for f in fields if "leaf" in f.metadata
        }
        cls._children = {
            f.name: f.metadata.get("child") for f in fields if is_child(cls, f)
        }
        cls._configuration = {
            f.name: f.type
            for f in fields
            if f.name not in cls._leaves and f.name not in cls._children
        }
        cls._arguments = _inputs.arguments_of(cls.observe)
        cls._scalars = scalars or cls._scalars
        refuse_unsound(cls, Metric)
        register(cls)

    def __post_init__(self) -> None:
        """Check the configuration and fill in the empty state, at construction."""
        state = [getattr(self, name) for name in (*self._leaves, *self._children)]
        if state and not any(value is UNSET for value in state) and self._leaves:
            return  # JAX rebuilds the metric from its leaves
        who = type(self).__name__
        for name, annotation in self._configuration.items():
            value = checked(who, name, annotation, getattr(self, name))
            object.__setattr__(self, name, value)
        for name in self._children:
            refuse_no_metric(who, name, getattr(self, name))
        self.validate()
        for name, make in self._children.items():
            if getattr(self, name) is UNSET:
                object.__setattr__(self, name, make(self))
        for name, declared in self._leaves.items():
            if getattr(self, name) is UNSET:
                object.__setattr__(self, name, declared.empty(self))

    def validate(self) -> None:
        """Override to refuse a bad configuration, with a ValueError."""

    def observe(self, *args: Any, **outputs: Any) -> Mapping[str, Any]:
        """One batch's contribution to each leaf; each metric defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no observe")

    def compute(self) -> Any:
        """The measured value; each metric defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no compute")

    @Bound
    def empty(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """The identity of `merge`, placed as this state is.

        Args:
          axis: inside shard_map, the axes over which it is to vary, so that it can be
            the carry of a scan.
        """
        return self._placed_like(self._identity(), axis)

    @Bound
    def from_model_output(self, **outputs: Any) -> Self:
        """The state of one batch.

        Raises:
          TypeError: if an output is missing, misspelt or of a wrong type.
          ValueError: if shapes do not fit.
        """
        _inputs.refuse_misspelt(*self._names(), outputs)
        return self._contribution(outputs)

    def update(self, **outputs: Any) -> Self:
        """The state with one batch more: `merge(from_model_output(**outputs))`."""
        _inputs.refuse_misspelt(*self._names(), outputs)
        return self._updated(outputs)

    def merge(self, other: Self) -> Self:
        """The state of both samples; associative and commutative.

        Raises:
          TypeError: if the other is of another class or configuration.
        """
        self._refuse_other(other)
        leaves = {
            name: declared.merge(self, getattr(self, name), getattr(other, name))
            for name, declared in self._leaves.items()
        }
        children = {
            name: getattr(self, name).merge(getattr(other, name))
            for name in self._children
        }
        return self._with(**leaves, **children)

    @Bound
    def reduce(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """The total over a mesh axis, or over the leading axis of a stacked state.

        Args:
          axis: axis names bound by shard_map, pmap or vmap. None folds the leading
            axis. Reduce a batch's contribution, then merge it into the total.
        """
        return _reduction.reduce(self, axis)

    def replace(self, **leaves: Any) -> Self:
        """A copy with some leaves set to plain values, such as `total=2**40`."""
        unknown = leaves.keys() - self._leaves.keys()
        if unknown:
            raise KeyError(
                f"{type(self).__name__} has no leaf {sorted(unknown)[0]!r}; "
                f"it has {sorted(self._leaves)}."
            )
        return self._with(
            **{name: self._encoded(name, value) for name, value in leaves.items()}
        )

    @Bound
    def on(self, **names: str) -> Self:
        """The metric reading other outputs: `.on(logits="aux_logits")`."""
        known = self._all_arguments()
        unknown = names.keys() - known
        if unknown:
            raise TypeError(
                f"{type(self).__name__} observes {sorted(known)}, not "
                f"{sorted(unknown)[0]!r}. Name one of those in .on(...)."
            )
        return self._renamed(names)

    @Bound
    def from_output(self, name: str | None = None, **names: str) -> Self:
        """`on`, as clu spells it: the name alone is of the first required output."""
        needed = self._own_arguments() or self._all_arguments()
        first = next(n for n in needed if n not in ("mask", "weights"))
        return self.on(**({first: name} if name else {}), **names)

    def plain(self) -> dict[str, Any]:
        """Each leaf by name, as `compute` sees it: integers, float64 arrays."""
        return decode_leaves(self)

    @Bound
    def compute_value(self) -> Any:
        """The computed value as a `clu.values.Scalar`."""
        with optional("Metric.compute_value()", "clu"):
            from clu import values

        return values.Scalar(self.compute())

    def __repr__(self) -> str:
        """The configuration, and the leaves as numbers once something was seen."""
        return describe(self)

    # What collections, wrappers and the deferred form build on.

    def _contribution(self, outputs: Mapping[str, Any]) -> Self:
        children = {
            name: getattr(self, name)._contribution(outputs) for name in self._children
        }
        if not self._leaves:
            return self._with(**children)
        who = type(self).__name__
        given = {}
        for argument, needed in self._own_arguments().items():
            source = self._source(argument)
            if outputs.get(source) is not None:
                given[argument] = _inputs.at_the_door(source, outputs[source])
            elif needed:
                raise _inputs.missing(who, argument, source, outputs)
        if self._scalars:
            _inputs.rank_zero_only(who, given)
        parts = without_explicit_axes(lambda g: self._observed(g), given)
        parts = vary(parts, _inputs.axes_of(given.values()))
        return self._with(**parts, **children)

    def _observed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        try:
            parts = self.observe(**given)
        except (TypeError, ValueError) as error:
            if type(error) not in (TypeError, ValueError):
                raise  # jax's own errors carry more than their text
            shapes = {n: jax.tree.map(np.shape, x) for n, x in given.items()}
            raise type(error)(
                f"{describe(self, state=False)} on {shapes}: {error}"
            ) from error
        if parts.keys() != self._leaves.keys():
            raise TypeError(
                f"{type(self).__name__}.observe returned {sorted(parts)}; the leaves "
                f"are {sorted(self._leaves)}. Return one contribution for each."
            )
        return {name: self._encoded(name, parts[name]) for name in self._leaves}

    def _updated(self, outputs: Mapping[str, Any]) -> Self:
        return self.merge(self._contribution(outputs))

    def _identity(self) -> Self:
        leaves = {n: declared.empty(self) for n, declared in self._leaves.items()}
        children = {n: getattr(self, n)._identity() for n in self._children}
        return self._with(**leaves, **children)

    def _encoded(self, name: str, value: Any) -> Any:
        try:
            return self._leaves[name].encode(self, value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}.{name}: {error}") from error

    def _refuse_other(self, other: Any) -> None:
        if jax.tree.structure(self) != jax.tree.structure(other):
            mine, its = describe(self, state=False), describe(other, state=False)
            raise TypeError(
                f"Cannot merge {mine} with {its}: only states of one class and "
                "configuration add up. Make both from the same metric."
            )

    def _reduce_merge(self, other: Self) -> Self:
        """The merge of two shards; clu, which has the name, tells it from `merge`."""
        return self.merge(other)
