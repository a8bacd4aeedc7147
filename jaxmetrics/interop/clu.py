"""clu's and metrax's metrics as ours, and a logger as clu's writer.

Metrics keep their arithmetic, and get our types, names and devices.

Ours need nothing to be used in theirs: `clu.metrics.Collection.create(acc=Accuracy)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import Leaf, Metric, at_the_door, declare, is_tracer, leaf
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
    """A metric class of clu or metrax as one of our metrics.

    It computes what the class computes, within the same limits (they count in int32
    or float32), and nan of nothing. Over devices it is gathered, and folded with the
    class's merge.

    A compiled step needs a state of one type. It is that of `metric_class.empty()`;
    where a batch makes another of it (metrax's `Average`, `AUCROC`, `PrecisionAtK`),
    example outputs are needed, and the error says so.

    Args:
      metric_class: the class, such as `clu.metrics.Average`.
      like: example outputs, arrays or `jax.ShapeDtypeStruct`; it may hold others too.
      constants: arguments that are no outputs, `dict(num_thresholds=400)`; a tuple
        arrives as an array.
      **names: the outputs that are read, by argument: `values="loss"`. A class without
        a mask may read it as weights: `sample_weights="mask"`.

    Raises:
      TypeError: if the class is none of clu's, or its states do not add up.

    Example:
      >>> import clu.metrics, jaxmetrics as jm
      >>> loss = from_clu(clu.metrics.Average, values="loss")
      >>> metrics = jm.Collection(loss=loss, accuracy=jm.Accuracy())
      >>> float(metrics["loss"].update(loss=[1.0, 2.0]).compute())
      1.5
    """
    refuse_unmergeable(metric_class)
    metric_class, names = without_from_output(metric_class, names)
    known, more = parameters(metric_class)
    reads = tuple(name for name in names if name not in known) if more else ()
    if not known and not reads:
        raise TypeError(
            f"from_clu: {metric_class.__name__} takes any output, so which it reads is "
            f"not known. Name them: from_clu({metric_class.__name__}, loss='loss')."
        )
    form = foreign.form_of(metric_class.empty)
    fixed = tuple(sorted((constants or {}).items()))
    renames = {argument: name for argument, name in names.items() if argument != name}
    return FromClu(metric_class, form, fixed, reads).on(**renames)._closed(like)


class _State(Leaf):
    """The leaf that holds their state, a dict of arrays by name."""

    def empty(self, metric: Any) -> Any:
        """Zeros, which no merge ever looks at."""
        return foreign.empty(metric.form)

    def encode(self, metric: Any, value: Any) -> Any:
        """The arrays as they are."""
        return value

    def decode(self, metric: Any, state: Any, host: bool) -> Any:
        """The arrays as they are: the class's own `compute` reads them."""
        return state


class FromClu(Metric):
    """A metric of clu or metrax; made by `from_clu`.

    Args:
      metric: the class.
      form: the names and types of its state.
      constants: arguments that are no outputs.
      reads: outputs that reach it through `**kwargs`.
    """

    metric: type
    form: tuple[Any, ...] = dataclasses.field(repr=False)
    constants: tuple[Any, ...] = ()
    reads: tuple[str, ...] = ()
    state: Any = declare(_State((), "free"))
    seen: Any = leaf(dtype=np.uint32)

    @foreign.plain_types()
    def observe(self, *, mask: Any = None, **outputs: Any) -> dict[str, Any]:
        """The class's state of one batch."""
        if mask is not None and any(jnp.ndim(x) for x in jax.tree.leaves(outputs)):
            self._refuse_maskless()
            outputs["mask"] = mask
        theirs = self._of_batch(outputs)
        try:
            state = foreign.pack(self.form, theirs)
        except TypeError as error:
            raise TypeError(
                f"{error} Give example outputs: like={_types(outputs)}."
            ) from None
        return dict(state=state, seen=1)

    def merge(self, other: Any) -> Self:
        """The class's merge, where both saw something."""
        return self._joined(other, lambda a, b: a.merge(b))

    @foreign.plain_types()
    def compute(self) -> Any:
        """What the class computes; nan of nothing."""

        def value(state: Any, seen: Any) -> Any:
            return jax.tree.map(
                lambda x: jnp.where(seen > 0, x, jnp.nan),
                self._theirs(state).compute(),
            )

        found = _over_leading(value, self.seen)(self.state, self.seen)
        return jax.tree.map(_as_float64, found)

    def _reduce_merge(self, other: Any) -> Self:
        return self._joined(other, lambda a, b: a._reduce_merge(b))

    @foreign.plain_types()
    def _joined(self, other: Any, join: Callable[[Any, Any], Any]) -> Self:
        self._refuse_other(other)

        def joined(mine: Any, here: Any, its: Any, there: Any) -> Any:
            both = foreign.pack(self.form, join(self._theirs(mine), self._theirs(its)))
            return jax.tree.map(
                lambda a, b, ab: jnp.where(there == 0, a, jnp.where(here == 0, b, ab)),
                mine,
                its,
                both,
            )

        state = _over_leading(joined, self.seen)(
            self.state, self.seen, other.state, other.seen
        )
        return self._with(state=state, seen=jnp.maximum(self.seen, other.seen))

    def _theirs(self, state: Any) -> Any:
        return foreign.unpack(self.form, self._treedef(), state)

    def _treedef(self) -> Any:
        return jax.tree.structure(jax.eval_shape(self.metric.empty))

    def _of_batch(self, outputs: Mapping[str, Any]) -> Any:
        fixed = {
            name: jnp.asarray(value) if isinstance(value, tuple) else value
            for name, value in self.constants
        }
        arrays = jax.tree.map(jnp.asarray, dict(outputs))
        return self.metric.from_model_output(**arrays, **fixed)

    def _closed(self, like: Mapping[str, Any] | None) -> Self:
        """The metric with a state whose types no batch and no merge changes."""
        form = self.form
        if like is not None:
            form = foreign.form_of(
                lambda given: self._of_batch(at_the_door("like", given)),
                self._examples(like),
            )
        return type(self)(
            self.metric,
            foreign.closed(form, self._treedef()),
            self.constants,
            self.reads,
            renames=self.renames,
        )

    def _examples(self, like: Mapping[str, Any]) -> dict[str, Any]:
        examples = {}
        for argument, needed in self._all_arguments().items():
            source = self._source(argument)
            if source in like:
                x = like[source]
                abstract = isinstance(x, jax.ShapeDtypeStruct)
                examples[argument] = x if abstract else at_the_door(source, x)
            elif needed:
                raise TypeError(
                    f"from_clu: like holds no output {source!r}; it has "
                    f"{sorted(like)}. Add it, or name another: {argument}='...'."
                )
        return examples

    def _all_arguments(self) -> dict[str, bool]:
        known, _ = parameters(self.metric)
        fixed = dict(self.constants)
        arguments = {n: needed for n, needed in known.items() if n not in fixed}
        arguments |= dict.fromkeys(self.reads, True)
        mask = self._source("mask")
        if any(self._source(name) == mask for name in arguments if name != "mask"):
            return arguments
        return {"mask": False} | arguments

    _own_arguments = _all_arguments

    def _renamed(self, names: Mapping[str, str]) -> Self:
        renames = sorted({**dict(self.renames), **names}.items())
        return self._with(renames=tuple(renames))

    def _refuse_maskless(self) -> None:
        known, more = parameters(self.metric)
        if "mask" not in known and not more:
            name = self.metric.__name__
            raise TypeError(
                f"{name} takes no mask, so padding would be counted. Let it read the "
                f"mask as weights, from_clu({name}, sample_weights='mask'), or none, "
                f"from_clu({name}, mask='no_mask')."
            )


def _over_leading(function: Callable[..., Any], seen: Any) -> Callable[..., Any]:
    """The function on every state of a stack."""
    for _ in range(jnp.ndim(seen)):
        function = jax.vmap(function)
    return function


def _as_float64(x: Any) -> Any:
    return x if is_tracer(x) else np.asarray(x, np.float64)[()]


def _types(outputs: Mapping[str, Any]) -> str:
    shown = [
        f"{name}=jax.ShapeDtypeStruct({jnp.shape(x)}, '{jnp.result_type(x)}')"
        for name, x in outputs.items()
    ]
    return f"dict({', '.join(shown)})"
