"""The state of a foreign metric as arrays by name, of types that a merge keeps.

A form lists the leaves of its tree: `(name, shape, dtype)` for an array, `(name,
value)` for a plain Python number, which is configuration and stays out of the state.
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

_ROUNDS = 4  # of promotion: bool, integer, float


@contextlib.contextmanager
def plain_types() -> Iterator[None]:
    """Their code as it was written for: 32-bit types and the usual promotion."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@plain_types()
def form_of(make: Callable[..., Any], *args: Any) -> Form:
    """The form of the state that `make` returns, traced and not run."""
    plain: list[Any] = []

    def arrays(*args: Any) -> list[Any]:
        named = _named(make(*args))
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
    """The form that states of this form have after any number of merges.

    Raises:
      TypeError: if merging changes shapes: such a state has no type to compile for.
    """

    def merge(form: Form) -> Any:
        zeros = {e[0]: jnp.zeros(e[1], e[2]) for e in form if len(e) == 3}
        return unpack(form, treedef, zeros).merge(unpack(form, treedef, zeros))

    merged = form
    for _ in range(_ROUNDS):
        merged = form_of(functools.partial(merge, form))
        if merged == form:
            return form
        if [_shape(e) for e in merged] != [_shape(e) for e in form]:
            break
        form = tuple(_either(a, b) for a, b in zip(form, merged))
    raise TypeError(
        f"merging two states of {shown(form)} gives {shown(merged)}: one that grows "
        "cannot live in a compiled step. Keep rows with a buffer_leaf."
    )


def empty(form: Form) -> dict[str, np.ndarray]:
    """Zeros by name, read-only, without touching a device."""
    zeros = {e[0]: np.zeros(e[1], _stored(e[2])) for e in form if len(e) == 3}
    for zero in zeros.values():
        zero.flags.writeable = False
    return zeros


def pack(form: Form, theirs: Any) -> dict[str, Any]:
    """Arrays by name, in 32-bit types.

    Raises:
      TypeError: if the state is not of this form.
    """
    named = _named(theirs)
    fits = [name for name, _ in named] == [e[0] for e in form]
    if not (fits and all(_fits(e, x) for e, (_, x) in zip(form, named))):
        raise TypeError(
            f"a state of {shown(form_of(lambda: theirs))} does not fit one of "
            f"{shown(form)}, and a compiled step needs one type."
        )
    return {
        e[0]: lax.convert_element_type(x, _stored(e[2]))
        for e, (_, x) in zip(form, named)
        if len(e) == 3
    }


def unpack(form: Form, treedef: Any, arrays: Mapping[str, Any]) -> Any:
    """Their state, with their types."""
    leaves = [
        jnp.asarray(arrays[e[0]]).astype(e[2]) if len(e) == 3 else e[1] for e in form
    ]
    return jax.tree.unflatten(treedef, leaves)


def shown(form: Form) -> str:
    """A form in words: `total float32[], count int32[]`."""
    return ", ".join(
        f"{e[0]} {e[2]}{list(e[1])}" if len(e) == 3 else f"{e[0]}={e[1]}" for e in form
    )


def _named(theirs: Any) -> list[tuple[str, Any]]:
    paths, _ = jax.tree_util.tree_flatten_with_path(theirs)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), x) for path, x in paths
    ]


def _shape(entry: tuple[Any, ...]) -> tuple[Any, ...]:
    """The name and the shape; a plain number counts as an array without axes."""
    return (entry[0], entry[1] if len(entry) == 3 else ())


def _either(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    """The merged entry; a plain number that merging changes is state after all."""
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
    """The 32-bit type that holds every value of a type."""
    if jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize <= 4:
        return np.dtype(np.float32)
    kinds = {"i": np.int32, "u": np.uint32, "b": np.uint32}
    kind = jnp.dtype(dtype)
    if kind.kind not in kinds or kind.itemsize > 4:
        raise TypeError(
            f"a state of {dtype} does not fit the 32-bit leaves of metrics. Make it "
            "of float32 or int32."
        )
    return np.dtype(kinds[kind.kind])
