"""State of a metric of another library as arrays by name, with fixed types.

A form lists the leaves of the state's tree: `(name, shape, dtype)` for an array, and
`(name, value)` for a Python number, which is configuration and not part of the state.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Form = tuple[tuple[Any, ...], ...]

_MAX_PROMOTIONS = 4  # bool, integer, float, and one to see no change


@contextlib.contextmanager
def plain_types() -> Iterator[None]:
    """Run code of another library with 32-bit types and standard promotion."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@plain_types()
def form_of(function: Callable[..., Any], *args: Any) -> Form:
    """Return the form of the state that a function returns, traced and not run."""
    plain: list[Any] = []

    def arrays(*args: Any) -> list[Any]:
        named = _named(function(*args))
        plain.extend((n, None if _is_array(x) else x) for n, x in named)
        return [x for _, x in named if _is_array(x)]

    types = iter(jax.eval_shape(arrays, *args))
    form = []
    for name, value in plain:
        if value is None:
            array = next(types)
            form.append((name, array.shape, str(array.dtype)))
        else:
            form.append((name, value))
    return tuple(form)


def closed(form: Form, treedef: Any) -> Form:
    """Return the form that states of a form have after any number of merges.

    Raises:
      TypeError: Merging changes shapes, so the state has no fixed type.
    """

    def merge(form: Form) -> Any:
        zeros = {e[0]: jnp.zeros(e[1], e[2]) for e in form if len(e) == 3}
        return unpack(form, treedef, zeros).merge(unpack(form, treedef, zeros))

    merged = form
    for _ in range(_MAX_PROMOTIONS):
        merged = form_of(functools.partial(merge, form))
        if merged == form:
            return form
        if [_shape(e) for e in merged] != [_shape(e) for e in form]:
            break
        form = tuple(_either(a, b) for a, b in zip(form, merged))
    raise TypeError(
        f"merging two states of {form_text(form)} gives {form_text(merged)}; expected "
        "the same shapes, as a compiled step needs. Collect rows with a buffer_leaf."
    )


def empty(form: Form) -> dict[str, np.ndarray]:
    """Return read-only NumPy zeros by name."""
    zeros = {e[0]: np.zeros(e[1], _stored(e[2])) for e in form if len(e) == 3}
    for zero in zeros.values():
        zero.flags.writeable = False
    return zeros


def pack(form: Form, state: Any) -> dict[str, Any]:
    """Return the arrays of a state by name, in 32-bit types.

    Raises:
      TypeError: The state does not have the form.
    """
    named = _named(state)
    fits = [name for name, _ in named] == [e[0] for e in form]
    if not (fits and all(_fits(e, x) for e, (_, x) in zip(form, named))):
        raise TypeError(
            f"got a state of {form_text(form_of(lambda: state))}; expected "
            f"{form_text(form)}, because a compiled step needs fixed types."
        )
    return {
        e[0]: lax.convert_element_type(x, _stored(e[2]))
        for e, (_, x) in zip(form, named)
        if len(e) == 3
    }


def unpack(form: Form, treedef: Any, arrays: Mapping[str, Any]) -> Any:
    """Return the state with its original types."""
    leaves = [
        jnp.asarray(arrays[e[0]]).astype(e[2]) if len(e) == 3 else e[1] for e in form
    ]
    return jax.tree.unflatten(treedef, leaves)


def form_text(form: Form) -> str:
    """Return a form as text: `total float32[], count int32[]`."""
    return ", ".join(
        f"{e[0]} {e[2]}{list(e[1])}" if len(e) == 3 else f"{e[0]}={e[1]}" for e in form
    )


def _named(state: Any) -> list[tuple[str, Any]]:
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), x) for path, x in paths
    ]


def _shape(entry: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return name and shape; a Python number counts as a scalar array."""
    return (entry[0], entry[1] if len(entry) == 3 else ())


def _either(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the merged entry; a Python number that merging changes is an array."""
    if len(b) == 2 and a != b:
        return (b[0], (), str(jnp.result_type(b[1])))
    return b


def _fits(entry: tuple[Any, ...], x: Any) -> bool:
    if len(entry) == 2:
        return not _is_array(x) and x == entry[1]
    _, shape, dtype = entry
    x = jnp.asarray(x)
    return x.shape == shape and jnp.promote_types(x.dtype, dtype) == dtype


def _is_array(x: Any) -> bool:
    return isinstance(x, (jax.Array, np.ndarray, np.generic))


def _stored(dtype: str) -> np.dtype:
    """Return the 32-bit type that holds every value of a type."""
    if jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize <= 4:
        return np.dtype(np.float32)
    kinds = {"i": np.int32, "u": np.uint32, "b": np.uint32}
    kind = jnp.dtype(dtype)
    if kind.kind not in kinds or kind.itemsize > 4:
        raise TypeError(
            f"got a state of {dtype}; expected at most 32 bits, as leaves of metrics "
            "have. Use float32 or int32."
        )
    return np.dtype(kinds[kind.kind])
