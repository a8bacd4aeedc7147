"""Values recorded from inside a model, which reach the metrics as outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jax.extend.core import get_opaque_trace_state

_OPEN: ContextVar[tuple[dict[str, Any], Any] | None] = ContextVar("taps", default=None)


@contextlib.contextmanager
def taps() -> Iterator[dict[str, Any]]:
    """Collect what `tap` records inside the block, by name.

    Open it around the model's call, inside the function that is traced, and return
    the values from there: from `jax.grad` as the aux value, from `lax.scan` as
    outputs. It works under jit, grad, vmap and shard_map alike, for nnx, linen,
    equinox and plain functions. Blocks nest; the innermost collects.

    Example:
      >>> import jax, jax.numpy as jnp, jaxmetrics as jm
      >>> from jaxmetrics import telemetry
      >>> def model(x):
      ...     return telemetry.tap("hidden", jnp.tanh(x)).sum()
      >>> @jax.jit
      ... def step(metrics, x):
      ...     with telemetry.taps() as tapped:
      ...         loss = model(x)
      ...     return metrics.update(loss=loss, **tapped)
      >>> metrics = jm.Collection(loss=jm.Mean("loss"), hidden=jm.Max("hidden"))
      >>> values = step(metrics, jnp.zeros(3)).compute()
      >>> {name: float(value) for name, value in values.items()}
      {'loss': 0.0, 'hidden': 0.0}
    """
    values: dict[str, Any] = {}
    token = _OPEN.set((values, get_opaque_trace_state(convention="nnx")))
    try:
        yield values
    finally:
        _OPEN.reset(token)


def tap(name: str, value: Any, module: Any = None) -> Any:
    """Record a value from inside a model, and return it.

    Without an open `taps` it does nothing. With a `module` the value is sown in it
    instead, `tap("hidden", x, self)`, which flax carries out of its own scan, vmap and
    remat; without `nnx.capture` or `mutable=["intermediates"]` that does nothing.

    Args:
      name: the output that metrics read; one value a name.
      value: an array, or a tree of them.
      module: the nnx or linen module to sow in.

    Raises:
      RuntimeError: inside another jit, grad, scan, vmap or remat than that of `taps`:
        the value could not leave it.
      ValueError: if the name was recorded already.
    """
    if module is not None:
        _sow(module, name, value)
        return value
    opened = _OPEN.get()
    if opened is None:
        return value
    values, trace = opened
    if trace != get_opaque_trace_state(convention="nnx"):
        raise RuntimeError(
            f"tap({name!r}) is inside a jit, grad, scan, vmap or remat within the "
            "taps() block, so its value cannot leave. Open taps() inside that function "
            "and return its values, or sow it in a flax module with "
            f"tap({name!r}, value, self)."
        )
    if name in values:
        raise ValueError(
            f"tap({name!r}): this taps() block has that name already, and an output is "
            "one value. Number the names, or open a block around each call."
        )
    values[name] = value
    return value


def tapped(sown: Mapping[str, Any]) -> dict[str, Any]:
    """What flax modules have sown, as outputs by path: `"blocks/0/hidden"`.

    A value that was sown several times in one module is numbered: `"hidden/0"`.

    Args:
      sown: linen's `variables["intermediates"]`, or what `nnx.capture` returns.

    Example:
      >>> tapped({"block": {"hidden": (1.0,), "norm": (2.0, 3.0)}})
      {'block/hidden': 1.0, 'block/norm/0': 2.0, 'block/norm/1': 3.0}
    """
    return dict(_paths(sown, ()))


def _paths(sown: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if hasattr(sown, "get_value"):  # a variable of nnx
        sown = sown.get_value()
    if isinstance(sown, tuple) and len(sown) == 1:
        (sown,) = sown
    if isinstance(sown, tuple):
        sown = dict(enumerate(sown))
    if not isinstance(sown, Mapping):
        yield "/".join(path), sown
        return
    for name, value in sown.items():
        yield from _paths(value, (*path, str(name)))


def _sow(module: Any, name: str, value: Any) -> None:
    from flax import linen, nnx

    if isinstance(module, nnx.Module):
        if hasattr(module, "__captures__"):  # else sow would keep the value in it
            module.sow(nnx.Intermediate, name, value)
    elif isinstance(module, linen.Module):
        module.sow("intermediates", name, value)
    else:
        raise TypeError(
            f"tap({name!r}): {type(module).__name__} is no nnx or linen module. Leave "
            "it out, and open taps() around the call."
        )
