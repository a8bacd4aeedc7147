"""A metric of what a function makes of the model outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

from jaxmetrics.core._decoding import describe
from jaxmetrics.core._inputs import refuse_misspelt
from jaxmetrics.core._inside import first_argument, outputs_of
from jaxmetrics.core._mesh import vary, varying, without_explicit_axes
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._protocol import Reads
from jaxmetrics.core._wrapper import Wrapper

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class FromFunction(Wrapper):
    """A metric of what a function makes of the model outputs.

    The function gets the outputs that its parameters name, by keyword: arrays of 32-bit
    types. Those of parameters with a default are passed if they are there. A parameter
    `**kwargs` is accepted, and gets nothing, since every form of a metric reads outputs
    by name. The function is traced: it holds no branch on values.

    It returns the values that the metric inside reads as its first argument, or a
    mapping of outputs for it, which may hold more than it reads. `mask` and `weights`
    of the model go to the metric directly, if it reads them, unless the mapping holds
    others; as everywhere, a mask of rows does not apply to a scalar.

    Args:
      function: The function. One that is defined at the top level of a module can be
        pickled. A new function makes a new metric: define it once, not in the loop.
      metric: The metric of its result.

    Example:
      >>> import jaxmetrics as jm, jax.numpy as jnp
      >>> def confidence(logits):
      ...     return jnp.max(logits, axis=-1)
      >>> metric = jm.FromFunction(confidence, jm.Mean())
      >>> float(jm.evaluate(metric, logits=[[0.5, 2.0], [4.0, 1.0]]))
      3.0
    """

    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], metric: Metric) -> None:
        """Check that the function's parameters are names of outputs."""
        if not callable(function) or not hasattr(function, "__name__"):
            raise TypeError(
                f"FromFunction: function is a {type(function).__name__}. Pass a "
                "function, defined with def, whose parameters name model outputs."
            )
        _parameters(function)
        object.__setattr__(self, "metric", metric)
        object.__setattr__(self, "renames", ())
        # Local functions are common in code for clu, and only pickle needs another.
        # The check of configuration refuses them, so it sees a stand-in.
        object.__setattr__(self, "function", _parameters)
        self.__post_init__()
        object.__setattr__(self, "function", function)

    def reads(self) -> Reads:
        """Return the names of the outputs that the function reads, mask and weights."""
        parameters = _parameters(self.function)
        names = {p: self._renamed_output(p) for p in parameters}
        required = frozenset(names[p] for p, must in parameters.items() if must)
        passed_on = self._passed_on()
        arguments = [*parameters]
        for argument in ("mask", "weights"):
            if outputs_of(self.metric, argument) and argument not in parameters:
                arguments.append(argument)
        optional = frozenset(names.values()) | passed_on
        mask = self.metric.reads().mask
        return Reads(required, optional - required, mask, tuple(arguments))

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state of one batch, without a check of the outputs' names."""
        outputs = self._select(outputs)

        def of_batch(outputs: Mapping[str, Any]) -> Metric:
            return self.metric.contribution(self.transform(outputs, 0))

        metric = without_explicit_axes(of_batch, outputs)
        return self.with_fields(metric=vary(metric, varying(outputs)))

    def updated(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state with one more batch, without a check of the names."""
        return self.merge(self.contribution(outputs))

    def transform(self, outputs: Mapping[str, Any], copy: Any) -> Mapping[str, Any]:
        """Return the outputs that the function makes, with mask and weights."""
        arguments = {
            parameter: outputs[self._renamed_output(parameter)]
            for parameter in _parameters(self.function)
            if self._renamed_output(parameter) in outputs
        }
        made = self.function(**arguments)
        if not isinstance(made, Mapping):
            made = {self._first_output(): made}
        apart = self._passed_on() - made.keys()
        passed = {n: outputs[n] for n in apart if n in outputs}
        given = {**passed, **made}
        reads = self.metric.reads()
        refuse_misspelt(reads, given)
        missing = sorted(reads.required - reads.select(given).keys())
        if missing:
            raise TypeError(
                f"{self._shown()}: {describe(self.metric, state=False)} needs output "
                f"{missing[0]!r}; the function returned {sorted(made)}. Return it in a "
                "mapping of outputs by name, or pass it if it is weights."
            )
        return given

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return the metric whose function reads other outputs.

        The metric inside reads the function's result by its own names; only its mask
        and weights are those of the model.
        """
        parameters = _parameters(self.function)
        own = {name: output for name, output in names.items() if name in parameters}
        renames = tuple(sorted({**dict(self.renames), **own}.items()))
        inside = {n: x for n, x in names.items() if n in ("mask", "weights")}
        return self.with_fields(renames=renames, metric=self.metric.renamed(inside))

    def _renamed_output(self, parameter: str) -> str:
        return dict(self.renames).get(parameter, parameter)

    def _passed_on(self) -> frozenset[str]:
        """Return the outputs of the model that the metric inside reads directly."""
        return outputs_of(self.metric, "mask") | outputs_of(self.metric, "weights")

    def _first_output(self) -> str:
        argument = first_argument(self.metric)
        outputs = outputs_of(self.metric, argument) if argument else frozenset()
        if len(outputs) != 1:
            raise TypeError(
                f"{self._shown()} returned values, but "
                f"{describe(self.metric, state=False)} reads "
                f"{sorted(self.metric.reads().required)}. Return a mapping of outputs "
                "by name."
            )
        return next(iter(outputs))

    def _shown(self) -> str:
        return f"FromFunction({self.function.__qualname__})"


def _parameters(function: Callable[..., Any]) -> dict[str, bool]:
    """Return the parameters of a function that name outputs, True if required."""
    name = getattr(function, "__qualname__", function.__name__)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"FromFunction: {name} shows no signature, so that its outputs are not "
            "known. Wrap it in a function whose parameters name model outputs."
        ) from error
    named = {p.name: p.default is p.empty for p in parameters if p.kind in _NAMED}
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
    if positional or not named:
        given = f"takes {positional[0]!r} by position" if positional else "names none"
        raise TypeError(
            f"FromFunction: the parameters of {name} are the names of model outputs, "
            f"but it {given}. Define it as in def {function.__name__}(logits, labels, "
            "**_)."
        )
    return named
