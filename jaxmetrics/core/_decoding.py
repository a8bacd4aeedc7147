"""Decode leaf states to the plain values passed to `compute`; repr of metrics."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._arrays import is_deleted
from jaxmetrics.core._jax import is_tracer
from jaxmetrics.core._unscored import warn_of_invalid

_NUMBERS = (int, float)  # np.float64 is a float


def on_plain_values(compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Run a `compute` body on a view whose leaves are plain values."""

    @functools.wraps(compute)
    def on_view(self: Any) -> Any:
        return compute(self if "_host" in vars(self) else _view(self))

    return on_view


def on_states(compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Mark a `compute` that is called with states, not on plain values."""
    setattr(compute, "on_states", True)  # noqa: B010
    return compute


def decode_leaves(metric: Any) -> dict[str, Any]:
    """Return each leaf by name as `compute` sees it, of children as `child/leaf`."""
    host = on_host(metric)
    return _plain(fetch(metric) if host else metric, host, "")


def fetch(tree: Any) -> Any:
    """Return a tree of host arrays; all copies start before the first is awaited.

    Raises:
      RuntimeError: An array lies on devices of other processes too.
    """
    leaves, treedef = jax.tree.flatten(tree)
    if all(isinstance(x, np.ndarray) for x in leaves):
        return tree
    return jax.tree.unflatten(treedef, fetch_arrays(leaves))


def fetch_arrays(arrays: list[Any]) -> list[np.ndarray]:
    """Return arrays as host arrays; see `fetch`."""
    on_device = [x for x in arrays if isinstance(x, jax.Array)]
    if jax.process_count() > 1:
        for x in on_device:
            _require_here(x)
    if on_device and not _is_on_cpu(on_device[0]):
        for x in on_device:
            x.copy_to_host_async()
    with jax.transfer_guard_device_to_host("allow"):  # the user asked for it
        return [np.asarray(x) for x in arrays]


def _require_here(x: jax.Array) -> None:
    if not (x.is_fully_addressable or x.is_fully_replicated):
        raise RuntimeError(
            f"A state of shape {x.shape} lies on devices of other processes. "
            "Reduce it first: every process calls reduce() or compute() of the "
            "deferred metrics."
        )


def _is_on_cpu(x: jax.Array) -> bool:
    return next(iter(x.sharding.device_set)).platform == "cpu"


def on_host(tree: Any) -> bool:
    """Return whether no array of the tree is being traced."""
    return not any(is_tracer(x) for x in jax.tree.leaves(tree))


def namespace(metric: Any) -> Any:
    """Return numpy outside jit, jax.numpy inside: `xp = jm.namespace(self)`."""
    host = vars(metric).get("_host")
    return np if (on_host(metric) if host is None else host) else jnp


def require_host(metric: Any, reason: str) -> None:
    """Refuse to compute under jit what needs the host.

    Args:
      metric: The metric, in its `compute`.
      reason: What needs the host, for the error.
    """
    if namespace(metric) is not np:
        name = type(metric).__name__
        raise TypeError(
            f"{name} computes on the host only: {reason}. Return the state from the "
            "jitted function, and call compute() outside."
        )


def divide(a: Any, b: Any) -> Any:
    """Return `a / b`, nan where b is zero: float64 on the host, float32 under jit.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.divide(1, 4)), float(jm.divide(1, 0))
      (0.25, nan)
    """
    if isinstance(a, jax.Array) or isinstance(b, jax.Array):
        a, b = (jnp.asarray(x).astype(jnp.float32) for x in (a, b))
        return jnp.where(b == 0, jnp.float32(jnp.nan), a / jnp.where(b == 0, 1, b))
    if isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS):
        return np.float64(float(a) / float(b) if b else np.nan)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(all="ignore"):
        return np.where(b == 0, np.nan, a / np.where(b == 0, 1, b))[()]


def describe(metric: Any, state: bool = True) -> str:
    """Return a metric as its constructor call, then its leaves as numbers or shapes.

    Args:
      metric: A metric or a collection.
      state: False leaves out the leaves.
    """
    if not hasattr(metric, "_leaves"):
        collection = getattr(metric, "holds_state", False)
        return metric._described(state) if collection else repr(metric)
    fields = type(metric).__dataclass_fields__
    shown = []
    for name in metric._configuration:
        value = getattr(metric, name)
        shown_after = name in ("renames", "reproducible_sums")
        hidden = shown_after or not fields[name].repr
        if not hidden and value != fields[name].default:
            text = getattr(value, "__qualname__", repr(value))
            shown.append(text if name == "output" else f"{name}={text}")
    for name, make in metric._children.items():
        child = getattr(metric, name)
        default = make and make(metric)
        if default and metric.reproducible_sums:
            default = default.reproducible()
        default = default and jax.tree.structure(default)
        if not default or jax.tree.structure(child) != default:
            shown.append(f"{name}={describe(child, state)}")
        elif state and not is_fresh(child):
            shown.append(f"{name}={describe(child)}")
    if state and not is_fresh(metric):
        for name, layout in metric._layout.leaves.items():
            text = _shown(layout, metric._leaves[name].name, getattr(metric, name))
            shown.append(f"{name}={text}")
    renamed = ", ".join(f"{name}={output!r}" for name, output in metric.renames)
    call = f"{type(metric).__name__}({', '.join(shown)})"
    call += ".reproducible()" * metric.reproducible_sums
    return f"{call}.on({renamed})" if renamed else call


def computed(metric: Any) -> Any:
    """Return `metric.compute()` of a state of host arrays, which is not checked."""
    if getattr(type(metric).compute, "on_states", False):
        return metric.compute()
    return _decoded(metric, True).compute()


def _view(metric: Any) -> Any:
    leaves = jax.tree.leaves(metric)
    if all(isinstance(x, np.ndarray) for x in leaves):
        return _decoded(metric, True)
    if any(is_tracer(x) for x in leaves):
        return _decoded(metric, False)
    fetched = fetch(metric)
    warn_of_invalid(fetched)
    return _decoded(fetched, True)


def _decoded(metric: Any, host: bool) -> Any:
    new = object.__new__(type(metric))
    new.__dict__.update(vars(metric))
    for name, layout in metric._layout.leaves.items():
        new.__dict__[name] = layout.decode(getattr(metric, name), host)
    for name in metric._children:
        child = getattr(metric, name)
        wrapper = getattr(type(child).compute, "on_states", False)
        new.__dict__[name] = child if wrapper else _decoded(child, host)
    new.__dict__["_host"] = host
    return new


def _plain(metric: Any, host: bool, prefix: str) -> dict[str, Any]:
    if not hasattr(metric, "_leaves"):
        return {f"{prefix}{name}": value for name, value in metric.plain().items()}
    values = {
        f"{prefix}{name}": layout.decode(getattr(metric, name), host)
        for name, layout in metric._layout.leaves.items()
    }
    for name in metric._children:
        values |= _plain(getattr(metric, name), host, f"{prefix}{name}/")
    return values


def is_fresh(metric: Any) -> bool:
    """Return whether a state on the host is that of construction, or several of it."""
    leaves = jax.tree.leaves(metric)
    if not all(isinstance(x, np.ndarray) for x in leaves):
        return False
    return all(
        np.array_equal(x, np.broadcast_to(empty, x.shape), equal_nan=True)
        for x, empty in zip(leaves, jax.tree.leaves(metric.identity()))
    )


def _shown(layout: Any, kind: str, value: Any) -> str:
    if is_tracer(value):
        return "traced"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{n}: {_outline(x)}" for n, x in value.items()) + "}"
    if is_deleted(value):
        return "donated"
    local = getattr(value, "is_fully_addressable", isinstance(value, np.ndarray))
    scalar = layout.shape == () and np.shape(value) == layout.stored_shape
    if not (local and scalar) or kind == "buffer":
        return f"{np.dtype(layout.kind.dtype)}{list(np.shape(value))}"
    plain = layout.decode(np.asarray(value), True)
    return repr(plain) if kind in ("moments", "comoments") else f"{plain}"


def _outline(x: Any) -> str:
    return f"{getattr(x, 'dtype', '')}{list(np.shape(x))}"
