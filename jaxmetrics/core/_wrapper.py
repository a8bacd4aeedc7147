"""Metrics around one metric: `Wrapper`, the base of a user's own, `Masked`, `ByGroup`.

A wrapper has three hooks, each with a default that changes nothing:

    outputs -> transform(outputs, copy) -> metric inside -> present(value) -> value
                     once for each of `copies` states
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmetrics.core._counting import both, count_where
from jaxmetrics.core._decoding import (
    describe,
    fetch,
    is_fresh,
    on_host,
    on_states,
)
from jaxmetrics.core._inputs import as_32bit, passed_names
from jaxmetrics.core._inside import leading_axes, outputs_of
from jaxmetrics.core._labels import as_class_numbers
from jaxmetrics.core._leaves import count_leaf
from jaxmetrics.core._mesh import vary, varying, without_explicit_axes
from jaxmetrics.core._metric import Direction, Metric
from jaxmetrics.core._protocol import Reads
from jaxmetrics.core._unscored import warn_of_invalid


class Wrapper(Metric):
    """Base class of metrics around one metric: override one or more of three hooks.

    - `transform(outputs, copy)` returns the outputs that the metric sees.
    - `copies` is the number of independent states of the metric.
    - `present(value)` returns the value of the wrapper.

    A subclass may have configuration, and leaves with an `observe` of its own. The
    outputs that `transform` reads besides those of the metric are named by
    configuration fields, listed in the class argument `reads`; they are then required,
    and `.on(...)` renames them.

    Args:
      metric: The metric inside; a wrapper, a window or a collection is one too.

    Example:
      >>> import jaxmetrics as jm
      >>> class Above(jm.Wrapper, reads="by"):
      ...     "A metric over the entries whose loss is above a limit."
      ...     by: str = "loss"
      ...     limit: float = 0.0
      ...     def transform(self, outputs, copy):
      ...         return self.masked(outputs, outputs[self.by] > self.limit)
      ...     def present(self, value):
      ...         return {"above": value}
      >>> hard = Above(jm.Mean("error"), limit=1.0)
      >>> value = jm.evaluate(hard, error=[1.0, 2.0, 4.0], loss=[0.5, 3.0, 5.0])
      >>> float(value["above"])
      3.0
    """

    metric: Metric

    _reads: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls, reads: str | tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        """Note the configuration fields that name outputs.

        Args:
          reads: One field or several; a subclass without it inherits them.
          **kwargs: Class arguments of `Metric`.
        """
        if "copies" in cls.__dict__.get("__annotations__", {}):
            if "copies" not in cls.__dict__:
                raise TypeError(
                    f"{cls.__name__}: field 'copies' has no default. Give it one, such "
                    "as copies: int = 1."
                )
        cls._reads = ((reads,) if isinstance(reads, str) else reads) or cls._reads
        cls._stacks_children = cls.copies is not Wrapper.copies
        super().__init_subclass__(**kwargs)

    def __post_init__(self) -> None:
        """Give each copy a state of its own."""
        super().__post_init__()
        if self._stacks_children and not self._leading_axes(self.metric):
            if self.copies < 1:
                raise ValueError(
                    f"{type(self).__name__}: copies is at least 1, got {self.copies}."
                )
            refuse_data(type(self).__name__, self.metric)
            metric = stacked(self.metric.identity(), self.copies)
            object.__setattr__(self, "metric", metric)

    @property
    def copies(self) -> int:
        """Number of independent states of the metric, 1 by default.

        A class that overrides this, as a property or a configuration field, has its
        states stacked along a new leading axis, even if there is one.
        """
        return 1

    @property
    def higher_is_better(self) -> Direction:  # type: ignore[override]
        """As of the metric inside."""
        return self.metric.higher_is_better

    def transform(self, outputs: Mapping[str, Any], copy: Any) -> Mapping[str, Any]:
        """Return the outputs that a copy of the metric sees; by default unchanged.

        Args:
          outputs: Outputs that are read (see `reads`), arrays of 32-bit types, by the
            names under which they were passed.
          copy: Index of the copy, an int32 scalar that may be traced.
        """
        return outputs

    def present(self, value: Any) -> Any:
        """Return the value of the wrapper; by default that of the metric.

        Args:
          value: Value of the metric, of a class with `copies` a list of their values.
        """
        return value

    def masked(self, outputs: Mapping[str, Any], keep: Any) -> dict[str, Any]:
        """Return the outputs with one more mask for the metric, for `transform`.

        Args:
          outputs: Outputs by name; a mask among them still holds.
          keep: Bool, leading axes of the outputs; False leaves entries out.

        Raises:
          TypeError: The metric takes no mask.
          ValueError: It would mask a scalar by rows.
        """
        mask = self.metric.reads().mask
        if mask is None:
            raise TypeError(
                f"{type(self).__name__} masks entries, but {type(self.metric).__name__}"
                " takes no mask. Wrap a metric whose observe takes one."
            )
        keep = jnp.asarray(keep)
        other: Any = outputs.get(mask)
        read = list(_ranks_read(self.metric, outputs))
        scalars = [ranks for ranks in read if ranks and not any(ranks.values())]
        only_scalars = scalars and len(scalars) == len(read)
        if only_scalars and keep.ndim == 0 and np.ndim(other):
            return {**outputs, mask: keep}  # a mask of rows does not apply to scalars
        both_masks = both(keep, other)
        if keep.ndim < np.ndim(other):
            both_masks = both(other, keep)
        if scalars and both_masks.ndim:
            raise ValueError(
                f"{type(self).__name__} masks entries by an array of shape "
                f"{both_masks.shape}, but output {min(scalars[0])!r} is one number, to "
                "which no entry belongs. Pass one value for each entry, or a scalar in "
                "place of that array."
            )
        return {**outputs, mask: both_masks}

    @on_states
    def compute(self) -> Any:
        """Return `present` of the metric's value, or of the list of copies' values."""
        if not self._stacks_children:
            return self.present(self.metric.compute())
        host = on_host(self)
        whole = fetch(self) if host else self
        if whole is not self:  # the states of the copies are on the host from here on
            warn_of_invalid(whole)
        states = whole.metric
        axis = self._leading_axes(states) - 1  # before it are the axes of shards
        xp = np if host else jnp
        states = jax.tree.map(lambda x: xp.moveaxis(x, axis, 0), states)
        copies = range(self.copies)
        if host:
            return self.present([one_of(states, copy).compute() for copy in copies])
        values = jax.vmap(lambda metric: metric.compute())(states)
        return self.present([one_of(values, copy) for copy in copies])

    def reads(self) -> Reads:
        """Return the names of the outputs that the metric and `transform` read.

        Override it if `transform` makes an output that the metric reads.
        """
        own = self._layout.reads
        arguments = filter(self._is_own_argument, own.arguments)
        reads = Reads(own.required, own.optional, arguments=tuple(arguments))
        for name in self._children:
            reads = reads | getattr(self, name).reads()
        outputs = tuple(getattr(self, field) for field in self._reads)
        return reads | Reads(frozenset(outputs), arguments=outputs)

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state of one batch, without a check of the outputs' names."""
        outputs = self._select(outputs)
        if not self._stacks_children:
            fields = self._contributions(outputs) if self._leaves else {}
            metric = self.metric.contribution(self.transform(outputs, 0))
            return self.with_fields(metric=metric, **fields)
        fields = without_explicit_axes(self._contributions_of_copies, outputs)
        return self.with_fields(**vary(fields, varying(outputs)))

    def updated(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state with one more batch, without a check of the names."""
        if self._leaves or self._stacks_children:
            return self.merge(self.contribution(outputs))
        outputs = self.transform(self._select(outputs), 0)
        return self.with_fields(metric=self.metric.updated(outputs))

    def identity(self) -> Self:
        """Return the empty state with host arrays: the identity of `merge`."""
        empty = super().identity()
        if not self._stacks_children:
            return empty
        return empty.with_fields(metric=stacked(empty.metric, self.copies))

    def _select(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that are read, in 32-bit types.

        Others are left out, so that `transform` sees the same in every form: the
        deferred one passes on only what is read.
        """
        reads = self.reads()
        selected = reads.select(outputs)
        missing = sorted(reads.required - selected.keys())
        if missing:
            owner = type(self).__name__
            raise TypeError(
                f"{owner} needs output {missing[0]!r}; got {passed_names(outputs)}. "
                f"Pass it, or read another output with {owner}(...).on(...)."
            )
        return {name: as_32bit(name, output) for name, output in selected.items()}

    def _contributions_of_copies(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        metric = self.metric.identity()

        def contribution(copy: Any) -> Metric:
            return metric.contribution(self.transform(outputs, copy))

        copies = jnp.arange(self.copies, dtype=jnp.int32)
        fields: dict[str, Any] = {"metric": jax.vmap(contribution)(copies)}
        return fields | (self._contributions(outputs) if self._leaves else {})

    def _leading_axes(self, metric: Metric) -> int:
        """Return the number of leading axes of a state of the metric inside."""
        return leading_axes(metric)

    def _is_own_argument(self, argument: str) -> bool:
        """Return whether `.on(...)` renames an argument of `observe` here.

        The mask is that of the metric, and fields in `reads` name their outputs.
        """
        return argument != "mask" and argument not in self._reads

    def _output_of(self, argument: str) -> str:
        if argument in self._reads:
            return getattr(self, argument)
        if argument == "mask":
            return self.metric.reads().mask or argument
        return super()._output_of(argument)

    def _renamed_fields(self, names: Mapping[str, str]) -> dict[str, Any]:
        own = {n: x for n, x in names.items() if self._is_own_argument(n)}
        outputs = {field: getattr(self, field) for field in self._reads}
        renamed = {field: names.get(name, name) for field, name in outputs.items()}
        return super()._renamed_fields(own) | renamed

    def _merged(self, other: Any, join: Callable[[Any, Any], Any]) -> Self:
        return super()._merged(other, jax.vmap(join) if self._stacks_children else join)


class Masked(Wrapper, reads="mask"):
    """A metric over the entries that one more mask lets through.

    Args:
      metric: The metric; its own mask still holds.
      mask: Output (bool) that is read as the further mask.

    Example:
      >>> import jaxmetrics as jm
      >>> answers = jm.Masked(jm.Mean("loss"), mask="is_answer")
      >>> float(jm.evaluate(answers, loss=[1.0, 5.0], is_answer=[True, False]))
      1.0
    """

    mask: str = "valid"

    def transform(self, outputs: Mapping[str, Any], copy: Any) -> Mapping[str, Any]:
        """Add the mask to that of the metric."""
        return self.masked(outputs, outputs[self.mask])


class ByGroup(Wrapper, reads="by"):
    """A metric of each group of examples, such as the loss of each domain.

    `compute` returns a value for each group by name (`"code"` or `"0"`).

    Args:
      metric: The metric; it has to take a mask.
      by: Output of integers, leading axes of the other outputs: the group of each
        entry. Entries of a number outside [0, groups) are invalid.
      groups: Number of groups, or a tuple of their names.
    """

    by: str = "domain"
    groups: int | tuple[str, ...] = 1
    invalid: Array = count_leaf()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the groups."""
        if isinstance(self.groups, tuple):
            return self.groups
        return tuple(str(group) for group in range(self.groups))

    @property
    def copies(self) -> int:
        """Number of groups."""
        return len(self.names)

    def validate(self) -> None:
        """Refuse an empty list of groups, and a name that is given twice."""
        if not self.names:
            raise ValueError(f"ByGroup: groups is at least 1, got {self.groups}.")
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(
                f"ByGroup: group {twice!r} is given twice. Give each group a name of "
                "its own."
            )

    def transform(self, outputs: Mapping[str, Any], copy: Any) -> Mapping[str, Any]:
        """Mask the entries of other groups."""
        return self.masked(outputs, self._group_ids(outputs[self.by]) == copy)

    def observe(self, *, by: Any, mask: Any = None) -> dict[str, Any]:
        """Count the entries that are in no group."""
        group = self._group_ids(by)
        outside = (group < 0) | (group >= self.copies)
        if mask is not None and np.ndim(mask) > group.ndim:
            # An entry of `by`, such as a sequence, counts if any of its tokens does.
            tokens = tuple(range(group.ndim, np.ndim(mask)))
            mask = jnp.asarray(mask).any(axis=tokens)
        return dict(invalid=count_where(outside, mask))

    def present(self, value: list[Any]) -> dict[str, Any]:
        """Name the values."""
        return dict(zip(self.names, value))

    def _group_ids(self, group: Any) -> jax.Array:
        group = as_class_numbers(group)
        if group.dtype.kind not in "iu":
            raise TypeError(
                f"ByGroup: output {self.by!r} is {group.dtype}; groups are integers "
                f"below {self.copies}. Convert with .astype(int32)."
            )
        return group


def _ranks_read(metric: Any, outputs: Mapping[str, Any]) -> Iterator[dict[str, int]]:
    """Yield, for each metric inside, the ranks of what it reads by name.

    Mask and weights are left out. Outputs that a wrapper inside makes are traced.
    """
    if not isinstance(metric, Metric):
        for _, inside in metric.items():
            yield from _ranks_read(inside, outputs)
        return
    if isinstance(metric, Wrapper):
        selected = metric._select(outputs)
        outputs = jax.eval_shape(
            lambda given: dict(metric.transform(given, 0)), selected
        )
    elif not metric._children:
        apart = outputs_of(metric, "mask") | outputs_of(metric, "weights")
        read = metric.reads().select(outputs)
        yield {
            name: max((np.ndim(x) for x in jax.tree.leaves(output)), default=0)
            for name, output in read.items()
            if name not in apart
        }
    for name in metric._children:
        yield from _ranks_read(getattr(metric, name), outputs)


def refuse_data(owner: str, metric: Any) -> None:
    """Refuse a metric that has seen data, of which several states are to be made."""
    if is_fresh(fetch(metric) if on_host(metric) else metric):
        return
    raise ValueError(
        f"{owner} starts from empty states of its metric, but {describe(metric)} may "
        "hold data, which they would repeat or lose. Pass an empty metric."
    )


def stacked(state: Any, count: int) -> Any:
    """Return copies of a host state along a new leading axis, read-only."""
    return jax.tree.map(
        lambda x: np.broadcast_to(np.asarray(x), (count, *np.shape(x))), state
    )


def one_of(stack: Any, index: int) -> Any:
    """Return one of the states, or values, of a stack."""
    return jax.tree.map(lambda x: x[index], stack)
