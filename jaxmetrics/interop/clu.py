"""Use metrics of clu and metrax in collections, and a logger as a writer of clu.

The other direction needs no adapter: `clu.metrics.Collection.create(acc=Accuracy)`
takes the metrics of jaxmetrics as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Leaf,
    LeafLayout,
    Metric,
    as_32bit,
    declare,
    is_tracer,
    leaf,
)
from jaxmetrics.interop import _foreign_state as foreign
from jaxmetrics.interop._clu_class import (
    parameters,
    refuse_unmergeable,
    without_from_output,
)
from jaxmetrics.interop._clu_writer import MetricWriter, metric_writer

__all__ = ["FromClu", "MetricWriter", "from_clu", "metric_writer"]


def from_clu(
    metric_class: type,
    *,
    like: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    **names: str,
) -> FromClu:
    """Return a metric that computes with a metric class of clu or metrax.

    Its arithmetic and limits are those of the class, which counts in int32 or float32;
    an empty metric computes nan. States of several devices are gathered and folded
    with the class's `merge`.

    A compiled step needs a state with fixed types: by default those of
    `metric_class.empty()`. If a batch changes them (metrax's `Average`, `AUCROC`,
    `PrecisionAtK`), pass example outputs with `like=`, as the error says.

    Args:
      metric_class: Class such as `clu.metrics.Average`.
      like: Example outputs, arrays or `jax.ShapeDtypeStruct`; others are ignored.
      constants: Arguments that are not outputs, such as `dict(num_thresholds=400)`; a
        tuple is passed as an array.
      **names: Name of the output for each argument: `values="loss"`. A class without
        a mask may read it as weights: `sample_weights="mask"`.

    Raises:
      TypeError: The class is not a metric of clu, or its states cannot be merged.
      ImportError: clu is not installed.

    Example:
      >>> import clu.metrics, jaxmetrics as jm
      >>> loss = from_clu(clu.metrics.Average, values="loss")
      >>> metrics = jm.Collection(loss=loss, accuracy=jm.Accuracy())
      >>> float(metrics["loss"].update(loss=[1.0, 2.0]).compute())
      1.5
    """
    refuse_unmergeable(metric_class)
    metric_class, names = without_from_output(metric_class, names)
    known, any_output = parameters(metric_class)
    reads = tuple(x for x in names if x not in known) if any_output else ()
    if not known and not reads:
        raise TypeError(
            f"from_clu: {metric_class.__name__} accepts any output; expected the names "
            f"of those it reads. Pass them: from_clu({metric_class.__name__}, "
            f"loss='loss')."
        )
    form = foreign.form_of(metric_class.empty)
    constant_items = tuple(sorted((constants or {}).items()))
    renames = {argument: name for argument, name in names.items() if argument != name}
    metric = FromClu(metric_class, form, constant_items, reads)
    return metric.on(**renames)._closed(like)


class _State(Leaf):
    """Leaf with the state of a foreign metric: arrays by name."""

    def layout(self, metric: Any) -> LeafLayout:
        """Return the layout for the form of the metric's state."""
        return _StateLayout(super().layout(metric).kind, metric.form)


class _StateLayout(LeafLayout):
    """Arrays that are stored as they are."""

    def __init__(self, kind: Any, form: foreign.Form) -> None:
        """Keep the names and types of the arrays."""
        super().__init__(kind, (), ())
        self._form = form

    def empty(self) -> Any:
        """Return zeros; `merge` ignores states that have seen no batch."""
        return foreign.empty(self._form)

    def encode(self, value: Any) -> Any:
        """Return the arrays unchanged."""
        return value

    def decode(self, state: Any, host: bool) -> Any:
        """Return the arrays unchanged; `compute` of the class reads them."""
        return state


class FromClu(Metric):
    """Metric that computes with a class of clu or metrax; use `from_clu`.

    Args:
      metric: Metric class.
      form: Names and types of the arrays of its state.
      constants: Arguments that are not outputs.
      keyword_outputs: Outputs that the class accepts as `**kwargs`.
    """

    metric: type
    form: tuple[Any, ...] = dataclasses.field(repr=False)
    constants: tuple[Any, ...] = ()
    keyword_outputs: tuple[str, ...] = ()
    state: Any = declare(_State((), "free"))
    seen: Any = leaf(dtype=np.uint32)

    @foreign.plain_types()
    def observe(self, *, mask: Any = None, **outputs: Any) -> dict[str, Any]:
        """Return the state of the class for one batch."""
        if mask is not None and any(jnp.ndim(x) for x in jax.tree.leaves(outputs)):
            self._refuse_maskless()
            outputs["mask"] = mask
        batch_state = self._batch_state(outputs)
        try:
            state = foreign.pack(self.form, batch_state)
        except TypeError as error:
            raise TypeError(
                f"{error} Give example outputs: like={_types(outputs)}."
            ) from None
        return dict(state=state, seen=1)

    def merge(self, other: Any) -> Self:
        """Merge with the class's own merge; a state without batches is ignored."""
        return self._joined(other, lambda a, b: a.merge(b))

    @foreign.plain_types()
    def compute(self) -> Any:
        """Return the value of the class; nan without batches."""

        def value(state: Any, seen: Any) -> Any:
            return jax.tree.map(
                lambda x: jnp.where(seen > 0, x, jnp.nan),
                self._unpacked(state).compute(),
            )

        values = _over_batch_axes(value, self.seen)(self.state, self.seen)
        return jax.tree.map(_as_float64, values)

    def merge_shards(self, other: Any) -> Self:
        """Merge two shards with the class's own merge of shards."""
        return self._joined(other, lambda a, b: a._reduce_merge(b))

    @foreign.plain_types()
    def _joined(self, other: Any, join: Callable[[Any, Any], Any]) -> Self:
        merged = super().merge(other)  # refuses another class or configuration

        def joined(first: Any, seen: Any, second: Any, second_seen: Any) -> Any:
            both = join(self._unpacked(first), self._unpacked(second))
            return jax.tree.map(
                lambda a, b, ab: jnp.where(
                    second_seen == 0, a, jnp.where(seen == 0, b, ab)
                ),
                first,
                second,
                foreign.pack(self.form, both),
            )

        state = _over_batch_axes(joined, self.seen)(
            self.state, self.seen, other.state, other.seen
        )
        return merged.with_fields(state=state, seen=jnp.maximum(self.seen, other.seen))

    def _unpacked(self, state: Any) -> Any:
        return foreign.unpack(self.form, self._treedef(), state)

    def _treedef(self) -> Any:
        return jax.tree.structure(jax.eval_shape(self.metric.empty))

    def _batch_state(self, outputs: Mapping[str, Any]) -> Any:
        constants = {
            name: jnp.asarray(value) if isinstance(value, tuple) else value
            for name, value in self.constants
        }
        arrays = jax.tree.map(jnp.asarray, dict(outputs))
        return self.metric.from_model_output(**arrays, **constants)

    def _closed(self, like: Mapping[str, Any] | None) -> Self:
        """Return the metric with state types that no batch and no merge changes."""
        form = self.form
        if like is not None:
            form = foreign.form_of(
                lambda outputs: self._batch_state(as_32bit("like", outputs)),
                self._examples(like),
            )
        return type(self)(
            self.metric,
            foreign.closed(form, self._treedef()),
            self.constants,
            self.keyword_outputs,
            renames=self.renames,
        )

    def _examples(self, like: Mapping[str, Any]) -> dict[str, Any]:
        examples = {}
        for argument, required in self.observe_arguments().items():
            source = self._output_name(argument)
            if source in like:
                x = like[source]
                abstract = isinstance(x, jax.ShapeDtypeStruct)
                examples[argument] = x if abstract else as_32bit(source, x)
            elif required:
                raise TypeError(
                    f"from_clu: like has no output {source!r}; got {sorted(like)}. Add "
                    f"it, or read another: {argument}='...'."
                )
        return examples

    def observe_arguments(self) -> dict[str, bool]:
        """Return the arguments of the class, and `mask` if none of them reads it."""
        known, _ = parameters(self.metric)
        constants = dict(self.constants)
        arguments = {n: required for n, required in known.items() if n not in constants}
        arguments |= dict.fromkeys(self.keyword_outputs, True)
        mask = self._output_name("mask")
        if any(self._output_name(name) == mask for name in arguments if name != "mask"):
            return arguments
        return {"mask": False} | arguments

    def _output_name(self, argument: str) -> str:
        return dict(self.renames).get(argument, argument)

    def _refuse_maskless(self) -> None:
        known, any_output = parameters(self.metric)
        if "mask" not in known and not any_output:
            name = self.metric.__name__
            raise TypeError(
                f"{name} takes no mask, so padding would be counted. Pass the mask as "
                f"weights, from_clu({name}, sample_weights='mask'), or ignore it, "
                f"from_clu({name}, mask='no_mask')."
            )


def _over_batch_axes(function: Callable[..., Any], seen: Any) -> Callable[..., Any]:
    """Return the function mapped over the batch axes of a stack of states."""
    for _ in range(jnp.ndim(seen)):
        function = jax.vmap(function)
    return function


def _as_float64(x: Any) -> Any:
    return x if is_tracer(x) else np.asarray(x, np.float64)[()]


def _types(outputs: Mapping[str, Any]) -> str:
    types = [
        f"{name}=jax.ShapeDtypeStruct({jnp.shape(x)}, '{jnp.result_type(x)}')"
        for name, x in outputs.items()
    ]
    return f"dict({', '.join(types)})"
