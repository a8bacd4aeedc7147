"""`Metric`: the state of one measurement as an immutable value."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NamedTuple,
    Self,
    dataclass_transform,
)

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics._lazy import optional
from jaxmetrics._other_names import ATTRIBUTES, attribute_error, explains_reading
from jaxmetrics.core import _calls, _reduction
from jaxmetrics.core._configuration import checked, with_one_nan
from jaxmetrics.core._counting import both, count_rows
from jaxmetrics.core._declaration import (
    Bound,
    Configured,
    check_scores,
    child,
    explained_init,
    is_child,
    refuse_no_metric,
    refuse_no_state,
    refuse_unsound,
    register,
)
from jaxmetrics.core._decoding import (
    decode_leaves,
    describe,
    fetch,
    on_plain_values,
)
from jaxmetrics.core._display import value_table
from jaxmetrics.core._inputs import (
    arguments_of,
    as_32bit,
    called_in_the_name_of,
    missing,
    named_in_errors,
    refuse_arrays,
    refuse_misspelt,
)
from jaxmetrics.core._jax import inputs_of_outputs
from jaxmetrics.core._kinds import type_of
from jaxmetrics.core._leaves import (
    UNSET,
    Leaf,
    LeafLayout,
    buffer_leaf,
    comoments_leaf,
    count_leaf,
    leaf,
    max_leaf,
    min_leaf,
    moments_leaf,
    sum_leaf,
)
from jaxmetrics.core._merging import refuse_other_shapes
from jaxmetrics.core._mesh import explicit_spec, vary, varying, without_explicit_axes
from jaxmetrics.core._placement import Placed
from jaxmetrics.core._protocol import Reads
from jaxmetrics.core._reproducible import (
    refuse_irreproducible,
    reproducible_children,
)
from jaxmetrics.core._serialization import register_with_flax
from jaxmetrics.core._unscored import invalid_count
from jaxmetrics.figures import Chart, charts_of, draw_charts
from jaxmetrics.record import one_or_many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Direction = bool | Mapping[str, bool | None] | None
"""Type of `Metric.higher_is_better`."""

_FIELDS = (
    buffer_leaf,
    comoments_leaf,
    count_leaf,
    leaf,
    max_leaf,
    min_leaf,
    moments_leaf,
    sum_leaf,
    child,
    dataclasses.field,
)  # not scores_field, whose value type checkers then take as the default


_DERIVED = ("_configured", "_all_reads")  # from the configuration and the children


class _Layout(NamedTuple):
    """Values derived from a configuration; see `Metric._layout`."""

    leaves: dict[str, LeafLayout]
    sources: dict[str, tuple[str, bool]]  # argument: (output, required)
    reads: Reads  # of this metric's own `observe`


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=_FIELDS)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Metric(Placed):
    """Base class: declare configuration and leaves, write `observe` and `compute`.

    An instance is its own empty metric, and an immutable pytree whose paths are the
    names of its leaves. Configuration is part of the tree's structure. A field that
    is annotated with a metric class is a child: part of the tree, merged by its own
    merge. A metric around another one, which changes what that one reads, derives
    from `jm.Wrapper`.

    An argument of `observe` is read from the output of the same name, or of the name
    given by `.on(...)`. Two are special: `mask` (bool) has to be taken, and `weights`
    (float) are required by a metric configured with `weighted=True` and not read by
    others. Weights are finite and at least 0: others are 0 in a metric that counts
    them in a leaf `invalid` of one number, and NaN in one without that leaf.

    Attributes:
      higher_is_better: True if higher values are better, False if lower ones are. It
        decides the best values that `log_step` records and by which `runs.compare`
        ranks. With None, the default, the name decides. It holds for all parts of a
        value but `std` and `stderr`; parts that differ have a mapping: `{"recall":
        True, "cost": False}`. A class declares it as `higher_is_better = True`, or as a
        property.

    Class arguments:
      scalars: The outputs are scalars, which take no mask:
        `class LossScale(jm.Metric, scalars=True)`.
      sources: Configuration fields that name outputs, by argument of `observe`:
        `sources={"values": "output"}` reads `values` from the output that the field
        `output` names.
      narrow: Arguments of `observe` that it takes as floats of 16 bits where they are,
        instead of as float32: `narrow=("logits",)`. A class with a field of
        `scores_field(narrow=True)` need not name its `logits`.
      checks_weights: `observe` gets invalid weights as NaN. It counts them, and masks
        entries of weight 0, itself: for a mask with other axes than the weights.
      not_deferred: Reason for which the metric has no deferred form, for its error.
      not_reproducible: Reason for which it has no reproducible form, likewise; for a
        class whose `merge` adds floats.

    Example:
      >>> import jaxmetrics as jm
      >>> class Positives(jm.Metric):
      ...     "Number of values above a threshold."
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
    reproducible_sums: bool = dataclasses.field(default=False, kw_only=True)

    higher_is_better: ClassVar[Direction] = None
    _leaves: ClassVar[dict[str, Leaf]] = {}
    _children: ClassVar[dict[str, Callable[[Any], Any] | None]] = {}
    _configuration: ClassVar[dict[str, Any]] = {
        "renames": "tuple",
        "reproducible_sums": "bool",
    }
    _arguments: ClassVar[dict[str, bool]] = {}
    _scalars: ClassVar[bool] = False
    _sources: ClassVar[Mapping[str, str]] = {}
    _scores: ClassVar[dict[str, tuple[str, ...]]] = {}
    _takes_narrow_scores: ClassVar[bool] = False
    _narrow: ClassVar[tuple[str, ...]] = ()
    _checks_weights: ClassVar[bool] = False
    _not_deferred: ClassVar[str] = ""
    _not_reproducible: ClassVar[str] = ""
    _stacks_children: ClassVar[bool] = False  # along an axis of its own

    def __init_subclass__(
        cls,
        scalars: bool = False,
        sources: Mapping[str, str] | None = None,
        narrow: str | tuple[str, ...] = (),
        checks_weights: bool = False,
        not_deferred: str = "",
        not_reproducible: str = "",
        **kwargs: Any,
    ) -> None:
        """Make the class a pytree and derive everything that its leaves imply."""
        super().__init_subclass__(**kwargs)
        compute = cls.__dict__.get("compute")
        if compute and not getattr(compute, "on_states", False):
            setattr(cls, "compute", on_plain_values(compute))  # noqa: B010
        merge = cls.__dict__.get("merge")
        if merge:
            setattr(cls, "merge", _calls.merge_of_metrics(merge))  # noqa: B010
        own_init = "__init__" in cls.__dict__
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        if not own_init:
            setattr(cls, "__init__", explained_init(cls))  # noqa: B010
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
        cls._scores = {
            f.name: f.metadata["scores"] for f in fields if "scores" in f.metadata
        }
        cls._takes_narrow_scores = any(f.metadata.get("narrow") for f in fields)
        cls._narrow = one_or_many(narrow) or cls._narrow
        cls._checks_weights = checks_weights or cls._checks_weights
        cls._arguments = arguments_of(cls.observe)
        cls._scalars = scalars or cls._scalars
        cls._sources = sources or cls._sources
        cls._not_deferred = not_deferred or cls._not_deferred
        cls._not_reproducible = not_reproducible or cls._not_reproducible
        refuse_unsound(cls, Metric)
        register(cls)

    def __post_init__(self) -> None:
        """Check the configuration and fill in the empty state, at construction."""
        register_with_flax(type(self))
        owner = type(self).__name__
        refuse_no_state(type(self), Metric)
        for name, choices in self._scores.items():
            check_scores(owner, name, getattr(self, name), choices)
        for name, annotation in self._configuration.items():
            value = checked(owner, name, annotation, getattr(self, name))
            object.__setattr__(self, name, value)
        for name in self._children:
            refuse_no_metric(owner, name, getattr(self, name))
        self.validate()
        for name, make in self._children.items():
            if getattr(self, name) is UNSET:
                assert make is not None, f"{owner}.{name} has no default"
                object.__setattr__(self, name, make(self))
            elif make is not None:
                self._refuse_other_child(name, make(self))
        if self.reproducible_sums:
            refuse_irreproducible(self)
            for name, inside in reproducible_children(self, kept=True).items():
                object.__setattr__(self, name, inside)
        for name, declared in self._leaves.items():
            if getattr(self, name) is UNSET:
                object.__setattr__(self, name, declared.layout(self).empty())

    def validate(self) -> None:
        """Override to refuse a bad configuration, with a ValueError."""

    def observe(self, *args: Any, **outputs: Any) -> Mapping[str, Any]:
        """Return one batch's contribution to each leaf; each metric defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no observe")

    def compute(self) -> Any:
        """Return the measured value; each metric defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no compute")

    @Bound
    def empty(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """Return the identity of `merge`, placed as this state is.

        Args:
          axis: Axes over which it varies inside shard_map, so that it can be the carry
            of a scan.
        """
        return self._placed_like(self.identity(), axis)

    @Bound
    @_calls.by_name
    def from_model_output(self, **outputs: Any) -> Self:
        """Return the state of one batch; outputs that the metric does not read may be
        among `outputs`, as in the containers of other libraries.

        Raises:
          TypeError: An output is missing, or of a wrong type.
          ValueError: Shapes do not fit.
        """
        return _calls.contribution(self, outputs)

    @_calls.by_name
    def update(self, **outputs: Any) -> Self:
        """Return the state with one batch more.

        It is `merge(from_model_output(**outputs))`, and refuses an output whose name
        is nearly that of an optional one.

        Raises:
          TypeError: An output is missing, misspelt or of a wrong type.
          ValueError: Shapes do not fit.
        """
        refuse_misspelt(_calls.reads_of(self), outputs)
        return _calls.updated(self, outputs)

    @_calls.merge_of_metrics
    def merge(self, other: Self) -> Self:
        """Return the state of both samples; associative and commutative.

        Raises:
          TypeError: The other is of another class or configuration.
          ValueError: The other has other leading axes, such as those of shards.
        """
        return self._merged(other, lambda a, b: a.merge(b))

    @Bound
    def reduce(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """Return the total over a mesh axis, or over the leading axis of the state.

        Args:
          axis: Axis names bound by shard_map, pmap or vmap. None folds the leading
            axis. Reduce a batch's contribution, then merge it into the total.
        """
        return _reduction.reduce(self, axis)

    @Bound
    def reproducible(self) -> Self:
        """Return the empty metric with exact sums: the same bits in any order.

        Sum leaves, and count leaves of weights, then hold the exact sum of the batches'
        values, in 48 bytes each, and `compute` sees it rounded once. So order, batches,
        merges and devices change no bit, as long as they change none of the values.
        Metrics inside are reproducible too. It is the configuration field
        `reproducible_sums`. Gradients do not pass through exact sums: they are 0.

        Raises:
          TypeError: A leaf has no exact form, such as `moments_leaf`.

        Example:
          >>> import jaxmetrics as jm, numpy as np
          >>> total = jm.Sum("loss").reproducible()
          >>> float(jm.evaluate(total, loss=[1e8, 1e-8, -1e8])) == np.float32(1e-8)
          True
        """
        refuse_irreproducible(self)
        inside = reproducible_children(self)
        return self.with_fields(reproducible_sums=True, **inside).identity()

    def replace(self, **leaves: Any) -> Self:
        """Return a copy with some leaves set to plain values, such as `total=2**40`."""
        unknown = leaves.keys() - self._leaves.keys()
        if unknown:
            raise KeyError(
                f"{type(self).__name__} has no leaf {sorted(unknown)[0]!r}; "
                f"it has {sorted(self._leaves)}."
            )
        return self.with_fields(
            **{name: self._encoded(name, value) for name, value in leaves.items()}
        )

    @Bound
    def on(self, **names: str) -> Self:
        """Return the metric reading other outputs: `.on(logits="aux_logits")`."""
        arguments = self.reads().arguments
        unknown = names.keys() - set(arguments)
        if unknown:
            raise TypeError(
                f"{type(self).__name__} observes {sorted(arguments)}, not "
                f"{sorted(unknown)[0]!r}. Name one of those in .on(...)."
            )
        return self.renamed(names)

    @Bound
    def from_output(self, name: str | None = None, **names: str) -> Self:
        """Return the metric reading other outputs, as clu spells `on`.

        Args:
          name: Output to read as the first argument that is no mask or weights.
          **names: Outputs by argument.
        """
        arguments = self.reads().arguments
        first = next(n for n in arguments if n not in ("mask", "weights"))
        return self.on(**({first: name} if name else {}), **names)

    @Bound
    def from_fun(self, function: Callable[..., Any]) -> Any:
        """Return the metric of what a function returns, as clu spells `FromFunction`.

        Args:
          function: Called with the outputs that its parameters name. It returns the
            values of the first argument, or a mapping of outputs for this metric.
        """
        from jaxmetrics.core._from_function import FromFunction

        return FromFunction(function, self)

    def plain(self) -> dict[str, Any]:
        """Return each leaf by name, as `compute` sees it: integers, float64 arrays."""
        return decode_leaves(self)

    @Bound
    def compute_value(self) -> Any:
        """Return the computed value as a `clu.values.Scalar`."""
        with optional("Metric.compute_value()", "clu"):
            from clu import values

        return values.Scalar(self.compute())

    def diagnostics(self) -> dict[str, float]:
        """Return what was wrong with the data, by name; empty if nothing was.

        `invalid` is the number of entries that could not be scored, such as labels out
        of range: the sum of the leaves of this name, of metrics inside too. A class
        adds others. `log_step` records each as `health/{name}/{split}/{metric}`, with
        one warning. Called outside jit.
        """
        invalid = invalid_count(fetch(self))
        return {"invalid": invalid} if invalid else {}

    def charts(self, name: str | None = None) -> Mapping[str, Chart]:
        """Return the charts that `plot` draws, by title.

        The shape of the value chooses them: a matrix is a heatmap, values of classes
        are bars, `counts` with `edges` a histogram. A class whose values mean more
        overrides it.

        Args:
          name: Title. Default the name of the class.
        """
        return charts_of(name or type(self).__name__, self.compute())

    @explains_reading
    def plot(self) -> Figure:
        """Draw the computed value, and return the matplotlib figure.

        Raises:
          ImportError: matplotlib is not installed.
        """
        return draw_charts(self.charts(), type(self).__name__)

    def __repr__(self) -> str:
        """Show the configuration, and the leaves as numbers once data was seen."""
        return describe(self)

    def _repr_html_(self) -> str:
        """Return a table of the values, for notebooks."""
        return value_table(self)

    if not TYPE_CHECKING:  # for a type checker every attribute would exist

        def __getattr__(self, name: str) -> Any:
            """Raise the error of a missing attribute, and name what replaces it."""
            if name in ATTRIBUTES:
                raise attribute_error(type(self).__name__, name)
            return object.__getattribute__(self, name)  # raises

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy the fields, without what is derived from them."""
        return {name: x for name, x in vars(self).items() if name not in _DERIVED}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        """Take the fields of a pickle, in which every nan is an object of its own.

        Configuration that the class did not have when it was written is the default.
        """
        known = type(self).__dataclass_fields__
        earlier = {n: fields.get(n, known[n].default) for n in self._configuration}
        configuration = {n: with_one_nan(x) for n, x in earlier.items()}
        self.__dict__.update(fields | configuration)

    # The protocol of metrics within metrics; see _protocol.py.

    def reads(self) -> Reads:
        """Return the names of the outputs that the metric and its children read."""
        reads = self._layout.reads
        for name in self._children:
            reads = reads | getattr(self, name).reads()
        return reads

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state of one batch, without a check of the outputs' names."""
        fields = self._contributions(outputs) if self._leaves else {}
        for name, make in self._children.items():
            inside = getattr(self, name)
            if make is None:  # the user's own
                fields[name] = inside.contribution(outputs)
            else:
                call = functools.partial(inside.contribution, outputs)
                fields[name] = called_in_the_name_of(lambda: self, call)
        return self.with_fields(**fields)

    def updated(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state with one more batch, without a check of the names."""
        # `observe` cannot read a state with Explicit axes, see `without_explicit_axes`.
        explicit = [explicit_spec(x) is not None for x in jax.tree.leaves(self)]
        known = self if any(explicit) else self.onto_itself()
        return self.merge(known.contribution(outputs))

    def onto_itself(self) -> Self:
        """Return a copy whose contribution is merged into this state and no other.

        A class that counts a batch faster if it knows the state overrides it.
        """
        if type(self).contribution is not Metric.contribution:
            return self  # a wrapper may hold several states of the metric inside
        fields = {}
        for name in self._children:
            inside = getattr(self, name)
            if isinstance(inside, Metric):
                fields[name] = inside.onto_itself()
        return self.with_fields(**fields) if fields else self

    def identity(self) -> Self:
        """Return the empty state with host arrays: the identity of `merge`."""
        fields = {name: leaf.empty() for name, leaf in self._layout.leaves.items()}
        for name in self._children:
            fields[name] = getattr(self, name).identity()
        return self.with_fields(**fields)

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return the metric reading other outputs; unknown arguments are ignored."""
        fields = self._renamed_fields(names)
        for name in self._children:
            fields[name] = getattr(self, name).renamed(names)
        return self.with_fields(**fields)

    def merge_shards(self, other: Self) -> Self:
        """Return the state of two shards of the same batches; by default `merge`."""
        if type(self).merge is not Metric.merge:
            return self.merge(other)
        return self._merged(other, lambda a, b: a.merge_shards(b))

    def observe_arguments(self) -> Mapping[str, bool]:
        """Return the arguments of `observe`, True if required.

        They are those of its signature. A class whose `observe` takes `**outputs`
        overrides this to name them.
        """
        return self._arguments

    def _scored_metrics(self) -> list[Any]:
        """Return the metrics inside whose entries without a score count as `invalid`.

        A class that scores each entry several times overrides it.
        """
        return [getattr(self, name) for name in self._children]

    def with_fields(self, **fields: Any) -> Self:
        """Return a copy with other fields, unchecked: raw states, children, names.

        For `merge` and the protocol of a class; `replace` checks and encodes values.
        """
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.__dict__.update(fields)
        if not self._configuration.keys().isdisjoint(fields):
            new.__dict__.pop("_configured", None)
            new.__dict__.pop("_all_reads", None)
        elif not self._children.keys().isdisjoint(fields):
            new.__dict__.pop("_all_reads", None)
        return new

    @property
    def _layout(self) -> _Layout:
        """Leaf kinds, shapes and sources of arguments, derived once.

        They follow from the configuration alone, so all states of it share them.
        """
        configured = Configured.of(self)
        if configured.layout is None:
            configured.layout = self._derived_layout()
        return configured.layout

    def _derived_layout(self) -> _Layout:
        arguments = dict(self.observe_arguments())
        if "weights" in self._arguments:
            arguments.pop("weights", None)
            if getattr(self, "weighted", True):
                arguments["weights"] = True
        sources = {a: (self._output_of(a), must) for a, must in arguments.items()}
        mask = self._output_of("mask") if "mask" in self._arguments else None
        if mask in [output for a, (output, _) in sources.items() if a != "mask"]:
            sources.pop("mask", None)  # `Mean("mask")` is not masked by its values
            mask = None
        required = frozenset(output for output, must in sources.values() if must)
        optional = frozenset(output for output, must in sources.values() if not must)
        reads = Reads(
            required,
            optional - required,
            mask,
            tuple(self.observe_arguments()),
        )
        leaves = {name: leaf.layout(self) for name, leaf in self._leaves.items()}
        return _Layout(leaves, sources, reads)

    def _output_of(self, argument: str) -> str:
        """Return the output from which an argument of `observe` is read."""
        for name, output in self.renames:
            if name == argument:
                return output
        if argument in self._sources:
            return getattr(self, self._sources[argument])
        if argument == "logits" and self._scores:
            return getattr(self, *self._scores)
        return argument

    def _renamed_fields(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the configuration fields that change when outputs are renamed."""
        arguments = self.observe_arguments()
        own = {name: output for name, output in names.items() if name in arguments}
        fields: dict[str, Any] = {
            field: own.pop(argument)
            for argument, field in self._sources.items()
            if argument in own
        }
        renames = {**dict(self.renames), **own}
        return fields | {"renames": tuple(sorted(renames.items()))}

    def _contributions(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the contribution of one batch to each leaf of this metric's own."""
        owner = type(named_in_errors(self)).__name__
        arguments = {}
        for argument, (output, required) in self._layout.sources.items():
            if outputs.get(output) is not None:
                is_score = argument == "logits" and self._takes_narrow_scores
                narrow = is_score or argument in self._narrow
                arguments[argument] = as_32bit(output, outputs[output], narrow)
            elif required:
                scores = self._scores.values() if argument == "logits" else ()
                choices = next(iter(scores), ())
                raise missing(owner, argument, output, outputs, choices)
        if self._scalars:
            refuse_arrays(owner, arguments)
        known = {n: jax.tree.map(_known_if_empty, x) for n, x in arguments.items()}
        parts = without_explicit_axes(self._observed, known)
        return vary(parts, varying(arguments))

    def _observed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            parts = self._observed_with_valid_weights(arguments)
        except (TypeError, ValueError) as error:
            if type(error) not in (TypeError, ValueError):
                raise  # jax's own errors carry more than their text
            shapes = {
                self._layout.sources[argument][0]: jax.tree.map(np.shape, x)
                for argument, x in arguments.items()
            }
            shown = describe(named_in_errors(self), state=False)
            raise type(error)(f"{shown} on {shapes}: {error}") from error
        if parts.keys() != self._leaves.keys():
            raise TypeError(
                f"{type(self).__name__}.observe returned {sorted(parts)}; the leaves "
                f"are {sorted(self._leaves)}. Return one contribution for each."
            )
        encoded = {name: self._encoded(name, parts[name]) for name in self._leaves}
        mask: Any = arguments.get("mask")
        if np.ndim(mask) and not _is_ours(type(self)):
            shapes = jax.tree.map(_shape_of, dict(arguments))
            leaves, treedef = jax.tree.flatten(shapes)
            _refuse_unmasked(jax.tree.structure(self), treedef, tuple(leaves))
        return encoded

    def _observed_with_valid_weights(
        self, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return what `observe` returns if weights are at least 0 and finite.

        Entries of other weights are left out and counted by a metric that counts
        invalid ones, each weight once. The value of any other metric is nan. Entries of
        weight 0 are masked, for what is not weighted, such as the count of invalid
        entries. A class that checks its weights itself gets them with NaN.
        """
        weights = arguments.get("weights")
        if weights is None:
            return self._parts(arguments)
        weights = jnp.asarray(weights)
        valid = (weights >= 0) & (weights < np.inf)
        layout = self._layout.leaves.get("invalid")
        is_counted = layout is not None and layout.shape == ()
        is_counted = is_counted and not self._checks_weights
        replacement = np.float32(0 if is_counted else np.nan)
        weights = jnp.where(valid, weights, replacement)
        mask: Any = arguments.get("mask")
        arguments = {**arguments, "weights": weights}
        if self._checks_weights:
            return self._parts(arguments)
        # The one of rank 0, about all values, comes second.
        counted = (
            both(mask, weights != 0) if np.ndim(mask) else both(weights != 0, mask)
        )
        masked = {"mask": counted} if "mask" in self._arguments else {}
        try:
            parts = self._parts({**arguments, **masked})
        except (TypeError, ValueError):  # raise the error of the weights
            parts = self._parts(arguments)
        if is_counted:
            wrong = count_rows(both(~valid, mask), weights.ndim)
            invalid = parts["invalid"] + wrong
            parts = {**parts, "invalid": invalid}
        return parts

    def _parts(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        parts = self.observe(**arguments)
        if isinstance(parts, Mapping):
            return parts
        raise TypeError(
            f"observe returned {type_of(parts)}, but must return one contribution for "
            f"each leaf. Return dict({next(iter(self._leaves))}=...)."
        )

    def _encoded(self, name: str, value: Any) -> Any:
        try:
            return self._layout.leaves[name].encode(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}.{name}: {error}") from error

    def _merged(self, other: Any, join: Callable[[Any, Any], Any]) -> Self:
        """Merge leaf by leaf, and children with `join`."""
        self._refuse_other(other)
        fields = {
            name: leaf.merge(getattr(self, name), getattr(other, name))
            for name, leaf in self._layout.leaves.items()
        }
        for name in self._children:
            fields[name] = join(getattr(self, name), getattr(other, name))
        return self.with_fields(**fields)

    def _refuse_other(self, other: Any) -> None:
        if jax.tree.structure(self) != jax.tree.structure(other):
            ours, theirs = describe(self, state=False), describe(other, state=False)
            raise TypeError(
                f"Cannot merge {ours} with {theirs}: only states of one class and "
                "configuration add up. Make both from the same metric."
            )
        refuse_other_shapes(self, other)

    def _refuse_other_child(self, name: str, expected: Any) -> None:
        """Refuse a metric inside that is not the one which the configuration makes.

        `dataclasses.replace` passes it on from the metric of the old configuration.
        """
        passed = getattr(self, name)
        forms = [expected]
        if self.reproducible_sums:
            forms.append(expected.reproducible())
        if jax.tree.structure(passed) in map(jax.tree.structure, forms):
            return
        owner = type(self).__name__
        raise ValueError(
            f"{owner}: {name} is {describe(passed, state=False)}, but its fields make "
            f"it {describe(expected, state=False)}, as when dataclasses.replace "
            f"changes a field. Construct {owner} with the configuration you want."
        )

    def _reduce_merge(self, other: Self) -> Self:
        """Merge two shards, under the name that clu's containers call."""
        return self.merge_shards(other)


def _is_ours(cls: type) -> bool:
    """Return whether a class is one of jaxmetrics, whose masks its own tests check."""
    return cls.__module__.partition(".")[0] == "jaxmetrics"


def _known_if_empty(x: Any) -> Any:
    """Return an array without elements as a constant, which is the same on all devices.

    What is computed of it is constant too in part, and the branches of a switch, or the
    steps of a scan, have to agree on what varies between devices.
    """
    return jnp.zeros(x.shape, x.dtype) if varying(x) and 0 in x.shape else x


def _shape_of(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(x), x.dtype)


@functools.lru_cache(maxsize=1024)
def _refuse_unmasked(structure: Any, treedef: Any, shapes: tuple[Any, ...]) -> None:
    """Refuse an `observe` that reads rows for a leaf and not their mask.

    It is traced once more, for each class, configuration and shapes. What it seems to
    read may be an array of another axis of that length, such as 3 weights of classes
    beside 3 rows. So where the finding does not hold for twice as many rows, nothing
    is refused.

    Args:
      structure: Tree structure of the metric.
      treedef: That of the arguments of `observe`.
      shapes: Shapes of the arguments.

    Raises:
      ValueError: A contribution depends on an array of rows and not on the mask, or
        none depends on the mask.
    """
    metric = jax.tree.unflatten(structure, [None] * structure.num_leaves)
    arguments = jax.tree.unflatten(treedef, shapes)
    error = _ignored_mask(metric, arguments)
    if error is None:
        return
    rows = arguments["mask"].shape[0]
    twice = [
        jax.ShapeDtypeStruct((2 * rows, *x.shape[1:]), x.dtype)
        if x.shape[:1] == (rows,)
        else x
        for x in shapes
    ]
    try:
        error = _ignored_mask(metric, jax.tree.unflatten(treedef, twice))
    except Exception:  # not all of them are rows
        return
    if error is not None:
        raise error


def _ignored_mask(metric: Any, arguments: Any) -> ValueError | None:
    """Return the error of a leaf that depends on rows and not on their mask."""
    mask = arguments["mask"].shape
    names = sorted(metric._leaves)

    def contributions(arguments: dict[str, Any]) -> list[Any]:
        parts = metric.observe(**arguments)
        return [metric._encoded(name, parts[name]) for name in names]

    paths, _ = jax.tree_util.tree_flatten_with_path(arguments)
    read = inputs_of_outputs(contributions, arguments)
    (of_mask,) = (i for i, (path, _) in enumerate(paths) if path[0].key == "mask")
    rows = {i for i, (_, x) in enumerate(paths) if x.shape[: len(mask)] == mask}
    if not any(of_mask in inputs for inputs in read):
        return ValueError(
            f"{type(metric).__name__}.observe does not use 'mask' for any leaf, so "
            f"padding is counted. Pass the mask to the counting helpers, such as "
            f"jm.count_elements(values, mask)."
        )
    for name, inputs in zip(names, read, strict=True):
        if inputs & rows and of_mask not in inputs:
            used = sorted({paths[i][0][0].key for i in inputs & rows})
            return ValueError(
                f"{type(metric).__name__}.observe does not use 'mask' for leaf "
                f"{name!r}, which reads {used}, so padding is counted. Pass the mask "
                f"to a counting helper, such as jm.total(values, mask) or "
                f"jm.count_where(condition, mask), or take jnp.where(mask, ..., 0)."
            )
    return None
