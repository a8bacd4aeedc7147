"""Record values inside a model and pass them to metrics as outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from jaxmetrics._lazy import optional
from jaxmetrics.core import trace_token

_OPEN: ContextVar[tuple[dict[str, Any], Any] | None] = ContextVar("taps", default=None)


@contextlib.contextmanager
def taps() -> Iterator[dict[str, Any]]:
    """Collect the values that `tap` records inside the block, by name.

    Open the block around the call of the model, inside the traced function, and return
    the values from there: from `jax.grad` as auxiliary values, from `lax.scan` as
    outputs. It works under jit, grad, vmap and shard_map, for nnx, linen, equinox and
    plain functions. Blocks nest; the innermost one collects.

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
    token = _OPEN.set((values, trace_token()))
    try:
        yield values
    finally:
        _OPEN.reset(token)


def tap(name: str, value: Any, module: Any = None) -> Any:
    """Record a value inside a model, and return it.

    Without an open `taps` block nothing is recorded. With a `module` the value is sown
    in the module instead, `tap("hidden", x, self)`, and flax carries it out of its own
    scan, vmap and remat; without `nnx.capture` or `mutable=["intermediates"]` nothing
    is sown.

    Args:
      name: Name of the output that metrics read; unique within the block.
      value: An array, or a tree of arrays.
      module: The nnx or linen module to sow in.

    Raises:
      RuntimeError: The call is inside a jit, grad, scan, vmap or remat within the
        `taps` block, which the value could not leave.
      TypeError: `module` is not an nnx or linen module.
      ValueError: The name was already recorded in the block.
    """
    if module is not None:
        _sow(module, name, value)
        return value
    opened = _OPEN.get()
    if opened is None:
        return value
    values, trace = opened
    if trace != trace_token():
        raise RuntimeError(
            f"tap({name!r}) is inside a jit, grad, scan, vmap or remat within the "
            "taps() block, so its value cannot leave. Open taps() inside that function "
            "and return the values, or sow the value in a flax module with "
            f"tap({name!r}, value, self)."
        )
    if name in values:
        raise ValueError(
            f"tap({name!r}): this taps() block already has that name; expected one "
            "value per name. Number the names, or open a block around each call."
        )
    values[name] = value
    return value


def tapped(sown: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values sown in flax modules, by path: `"blocks/0/hidden"`.

    A value sown several times in one module is numbered: `"hidden/0"`.

    Args:
      sown: linen's `variables["intermediates"]`, or the state `nnx.capture` returns.

    Example:
      >>> tapped({"block": {"hidden": (1.0,), "norm": (2.0, 3.0)}})
      {'block/hidden': 1.0, 'block/norm/0': 2.0, 'block/norm/1': 3.0}
    """
    return dict(_paths(sown, ()))


def _paths(sown: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if hasattr(sown, "get_value"):  # an nnx variable
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
    with optional("tap(name, value, module)", "flax"):
        from flax import linen, nnx

    if isinstance(module, nnx.Module):
        if hasattr(
            module, "__captures__"
        ):  # otherwise sow would store the value in the module
            module.sow(nnx.Intermediate, name, value)
    elif isinstance(module, linen.Module):
        module.sow("intermediates", name, value)
    else:
        raise TypeError(
            f"tap({name!r}) got a module of type {type(module).__name__}; expected an "
            "nnx or linen module. Leave it out, and open taps() around the call."
        )
