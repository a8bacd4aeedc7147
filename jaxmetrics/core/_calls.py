"""Calls outside jit: one cached executable for each structure of metric and outputs.

On concrete arrays `update`, `from_model_output` and `merge` would dispatch fifty or
more operations one by one. These functions run the same code under `jax.jit`, whose
cache is keyed by the tree structure (class, configuration and names) and the shapes.
Traced values take the code as it is, and so does every call under `jax.disable_jit`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import jax
import numpy as np

from jaxmetrics.core._decoding import on_host
from jaxmetrics.core._inputs import as_32bit
from jaxmetrics.core._jax import is_tracer
from jaxmetrics.core._mesh import replicated_once
from jaxmetrics.core._protocol import Reads

_Method = TypeVar("_Method", bound=Callable[..., Any])

_NO_LEAF = np.zeros((), np.float32)  # of an empty collection


def reads_of(metric: Any) -> Reads:
    """Return `metric.reads()`, derived once for all states of a structure."""
    reads = metric.__dict__.get("_all_reads")
    if reads is None:
        reads = metric.__dict__["_all_reads"] = metric.reads()
    return reads


def by_name(method: _Method) -> _Method:
    """Refuse outputs without names in a method that takes any output by name."""

    @functools.wraps(method)
    def checked(self: Any, *unnamed: Any, **outputs: Any) -> Any:
        if unnamed:
            own = self if hasattr(self, "reads") else self.state
            kind, call = type(self).__name__, method.__name__
            names = [x for x in reads_of(own).names if x not in ("mask", "weights")]
            example = ", ".join(f"{name}={name}" for name in sorted(names)[:4])
            raise TypeError(
                f"{kind}.{call} takes outputs by name, got {len(unnamed)} without one. "
                f"Call {call}({example}), or {call}(**outputs)."
            )
        return method(self, **outputs)

    return cast("_Method", checked)


def updated(metric: Any, outputs: Mapping[str, Any]) -> Any:
    """Return `metric.updated(outputs)`; in one launch if nothing is traced."""
    return _observed(_updated, metric.updated, metric, outputs)


def contribution(metric: Any, outputs: Mapping[str, Any]) -> Any:
    """Return `metric.contribution(outputs)`; in one launch if nothing is traced."""
    return _observed(_contribution, metric.contribution, metric, outputs)


def compiled_merge(merge: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Run a `merge` method in one launch if nothing is traced."""

    @functools.wraps(merge)
    def merged(self: Any, other: Any) -> Any:
        compiles = type(other) is type(self) and not _is_jit_disabled()
        if not compiles or not on_host((self, other)):
            return merge(self, other)
        return _like(self, _merged(_on_device(self), _on_device(other)))

    return merged


def merge_of_metrics(merge: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return `compiled_merge` of a metric's own `merge`.

    Of two states of which only one is the same on all devices of a shard_map, it counts
    that one once. A collection leaves this to each of its metrics.
    """

    @functools.wraps(merge)
    def merged(self: Any, other: Any) -> Any:
        if type(other) is not type(self):
            return merge(self, other)
        return merge(*replicated_once(self, other))

    return compiled_merge(merged)


@jax.jit
def _updated(metric: Any, outputs: Mapping[str, Any]) -> Any:
    return metric.updated(outputs)


@jax.jit
def _contribution(metric: Any, outputs: Mapping[str, Any]) -> Any:
    return metric.contribution(outputs)


@jax.jit
def _merged(metric: Any, other: Any) -> Any:
    return metric.merge(other)


def _observed(
    compiled: Callable[[Any, Any], Any],
    traced: Callable[[Any], Any],
    metric: Any,
    outputs: Mapping[str, Any],
) -> Any:
    prepared = None if _is_jit_disabled() else _prepared(metric, outputs)
    if prepared is None:
        return traced(outputs)
    return _like(metric, compiled(_on_device(metric), prepared))


def _like(metric: Any, new: Any) -> Any:
    """Return a new state of the same metrics, with the outputs that they read."""
    new.__dict__["_all_reads"] = reads_of(metric)
    return new


def _is_jit_disabled() -> bool:
    """Return whether the call is under `jax.disable_jit`."""
    return cast("Any", jax.config).jax_disable_jit


def _prepared(metric: Any, outputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the outputs that are read, in 32-bit types and on device.

    None if a value is traced, or an output is missing: the error then comes from the
    metric that needs it.
    """
    reads = reads_of(metric)
    names = reads.names
    prepared = {n: x for n, x in outputs.items() if n in names and x is not None}
    if not reads.required <= prepared.keys() or is_tracer(_any_leaf(metric)):
        return None
    for name, x in prepared.items():
        if isinstance(x, jax.Array):
            if is_tracer(x):
                return None
            prepared[name] = as_32bit(name, x)
        elif on_host(x):
            prepared[name] = jax.device_put(as_32bit(name, x))
        else:
            return None
    return prepared


def _on_device(state: Any) -> Any:
    """Return a state on devices: one of NumPy arrays is put on the default device.

    This transfer is explicit, and passes `jax.transfer_guard("disallow")`.
    """
    on_device = isinstance(_any_leaf(state), jax.Array)
    return state if on_device else jax.device_put(state)


def _any_leaf(state: Any) -> Any:
    """Return a leaf without flattening the tree: all leaves of a state lie alike."""
    while getattr(state, "holds_state", False):
        fields = state.__dict__
        if "_nodes" in fields:
            state = next(iter(fields["_nodes"]), _NO_LEAF)
        else:
            state = fields[next(iter(state._leaves or state._children))]
    return state
