"""The exit from the device: what `compute` sees of a state, and how it is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._arrays import is_deleted
from jaxmetrics.core._jax import is_tracer


def on_plain_values(compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Run a `compute` body on a view whose leaves are plain values."""

    @functools.wraps(compute)
    def on_view(self: Any) -> Any:
        return compute(self if "_host" in vars(self) else _view(self))

    return on_view


def on_states(compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Leave a wrapper's `compute` its children's states, not their plain values."""
    setattr(compute, "on_states", True)  # noqa: B010
    return compute


def decode_leaves(metric: Any) -> dict[str, Any]:
    """Each leaf by name as `compute` sees it; those of children by `child/leaf`."""
    host = on_host(metric)
    return _plain(fetch(metric) if host else metric, host, "")


def fetch(tree: Any) -> Any:
    """A tree of arrays on the host: all copies start before the first is awaited."""
    leaves, treedef = jax.tree.flatten(tree)
    for x in leaves:
        if isinstance(x, jax.Array):
            if not (x.is_fully_addressable or x.is_fully_replicated):
                raise RuntimeError(
                    f"A state of shape {x.shape} lies on devices of other processes. "
                    "Reduce it first: every process calls reduce() or compute() of the "
                    "deferred metrics."
                )
            x.copy_to_host_async()
    return jax.tree.unflatten(treedef, [np.asarray(x) for x in leaves])


def on_host(tree: Any) -> bool:
    """Whether no array of the tree is being traced."""
    return not any(is_tracer(x) for x in jax.tree.leaves(tree))


def namespace(metric: Any) -> Any:
    """numpy outside jit, jax.numpy inside: `xp = jm.namespace(self)` in `compute`."""
    host = vars(metric).get("_host")
    return np if (on_host(metric) if host is None else host) else jnp


def divide(a: Any, b: Any) -> Any:
    """`a / b`, nan where b is zero: float64 on the host, float32 under jit.

    Example:
      >>> import jaxmetrics as jm
      >>> float(jm.divide(1, 4)), float(jm.divide(1, 0))
      (0.25, nan)
    """
    if isinstance(a, jax.Array) or isinstance(b, jax.Array):
        a, b = (jnp.asarray(x).astype(jnp.float32) for x in (a, b))
        return jnp.where(b == 0, jnp.float32(jnp.nan), a / jnp.where(b == 0, 1, b))
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(all="ignore"):
        return np.where(b == 0, np.nan, a / np.where(b == 0, 1, b))[()]


def describe(metric: Any, state: bool = True) -> str:
    """A metric as its constructor call, then its leaves as numbers or shapes."""
    if not hasattr(metric, "_leaves"):
        return metric._described(state) if _holds(metric) else repr(metric)
    fields = type(metric).__dataclass_fields__
    shown = []
    for name in metric._configuration:
        value = getattr(metric, name)
        hidden = name == "renames" or not fields[name].repr
        if not hidden and value != fields[name].default:
            text = getattr(value, "__qualname__", repr(value))
            shown.append(text if name == "output" else f"{name}={text}")
    for name, make in metric._children.items():
        held = getattr(metric, name)
        if make is None or jax.tree.structure(held) != jax.tree.structure(make(metric)):
            shown.append(f"{name}={describe(held, state)}")
        elif state and not _untouched(held):
            shown.append(f"{name}={describe(held)}")
    if state and not _untouched(metric):
        for name, declared in metric._leaves.items():
            value = getattr(metric, name)
            shown.append(f"{name}={_shown(metric, declared, value)}")
    renamed = ", ".join(f"{name}={output!r}" for name, output in metric.renames)
    call = f"{type(metric).__name__}({', '.join(shown)})"
    return f"{call}.on({renamed})" if renamed else call


def _holds(collection: Any) -> bool:
    return getattr(collection, "holds_state", False)


def _view(metric: Any) -> Any:
    host = on_host(metric)
    raw = fetch(metric) if host else metric
    return _decoded(raw, host)


def _decoded(metric: Any, host: bool) -> Any:
    new = object.__new__(type(metric))
    new.__dict__.update(vars(metric))
    for name, declared in metric._leaves.items():
        new.__dict__[name] = declared.decode(metric, getattr(metric, name), host)
    for name in metric._children:
        child = getattr(metric, name)
        wrapper = getattr(type(child).compute, "on_states", False)
        new.__dict__[name] = child if wrapper else _decoded(child, host)
    new.__dict__["_host"] = host
    return new


def _plain(metric: Any, host: bool, prefix: str) -> dict[str, Any]:
    if not hasattr(metric, "_leaves"):
        return {f"{prefix}{name}": value for name, value in metric.plain().items()}
    found = {
        f"{prefix}{name}": declared.decode(metric, getattr(metric, name), host)
        for name, declared in metric._leaves.items()
    }
    for name in metric._children:
        found |= _plain(getattr(metric, name), host, f"{prefix}{name}/")
    return found


def _untouched(metric: Any) -> bool:
    leaves = jax.tree.leaves(metric)
    return all(isinstance(x, np.ndarray) and not x.flags.writeable for x in leaves)


def _shown(metric: Any, declared: Any, value: Any) -> str:
    if is_tracer(value):
        return "traced"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{n}: {_outline(x)}" for n, x in value.items()) + "}"
    kind, shape = declared.kind(metric), declared.shape(metric)
    if is_deleted(value):
        return "donated"
    here = getattr(value, "is_fully_addressable", isinstance(value, np.ndarray))
    whole = np.shape(value) == ((kind.parts,) if kind.parts else ()) + shape
    if not (here and whole and shape == ()) or declared.name == "buffer":
        return f"{np.dtype(kind.dtype)}{list(np.shape(value))}"
    plain = declared.decode(metric, np.asarray(value), True)
    return repr(plain) if declared.name == "moments" else f"{plain}"


def _outline(x: Any) -> str:
    return f"{getattr(x, 'dtype', '')}{list(np.shape(x))}"
