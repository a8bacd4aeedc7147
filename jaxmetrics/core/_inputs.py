"""What a metric reads of the model outputs, and what is wrong with what came."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._mesh import varying

Outputs = Mapping[str, Any]

_INT32 = np.iinfo(np.int32)


def arguments_of(observe: Callable[..., Any]) -> dict[str, bool]:
    """The keyword-only arguments of `observe`, true where one is required."""
    parameters = inspect.signature(observe).parameters.values()
    return {
        p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY
    }


def missing(who: str, argument: str, source: str, outputs: Outputs) -> TypeError:
    """The error of a required output that did not come."""
    return TypeError(
        f"{who} needs output {source!r}; got {sorted(outputs)}. "
        f"Rename with {who}(...).on({argument}=...)."
    )


def refuse_misspelt(required: set[str], optional: set[str], outputs: Outputs) -> None:
    """Refuse an output that nearly spells an optional one, or unused `weights`.

    Args:
      required: names of outputs that some metric needs.
      optional: names of outputs that some metric takes when given.
      outputs: what came.
    """
    extra = [name for name in outputs if name not in required | optional]
    if "weights" in extra:
        raise TypeError(
            "Output 'weights' is used by no metric here. Configure those that should "
            "weight with weighted=True, or leave 'weights' out."
        )
    for name in sorted(optional - outputs.keys()):
        close = difflib.get_close_matches(name, extra, 1, cutoff=0.8)
        if close:
            raise TypeError(
                f"Output {close[0]!r} is read by no metric, and {name!r} did not come. "
                f"Spell it {name!r}, rename with .on({name}={close[0]!r}), or leave it "
                "out."
            )


def at_the_door(name: str, tree: Any) -> Any:
    """One output (an array or a tree of them) in 32-bit types.

    Raises:
      TypeError: if a leaf is no array or number.
      ValueError: if a host integer does not fit in int32.
    """
    if isinstance(tree, list | tuple):
        if all(isinstance(x, bool | int | float) for x in jax.tree.leaves(tree)):
            tree = np.asarray(tree)
    return jax.tree.map(lambda x: _narrow(name, x), tree, is_leaf=lambda x: x is None)


def rank_zero_only(who: str, given: Outputs) -> None:
    """Refuse arrays for a metric that is declared to observe scalars."""
    for name, tree in given.items():
        for x in jax.tree.leaves(tree):
            if jnp.ndim(x):
                raise ValueError(
                    f"{who} observes scalars; output {name!r} has shape {jnp.shape(x)}."
                    " Reduce it first, or give the class a `mask`."
                )


def axes_of(given: Iterable[Any]) -> frozenset[str]:
    """The manual axes over which any of the values varies."""
    return varying(list(given))


def _narrow(name: str, x: Any) -> Any:
    if isinstance(x, (bool, int, float, np.generic)):
        x = np.asarray(x)
    if isinstance(x, np.ndarray):
        return _narrow_host(name, x)
    if not isinstance(x, jax.Array):
        raise TypeError(
            f"Output {name!r} is a {type(x).__name__}; metrics read arrays and "
            "numbers. Convert it before, or leave it out."
        )
    if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype != jnp.float32:
        return x.astype(jnp.float32)
    return x


def _narrow_host(name: str, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        if x.size and (x.min() < _INT32.min or x.max() > _INT32.max):
            raise ValueError(
                f"Output {name!r} has integers beyond 32 bits (up to {x.max()}), which "
                "jax would cut silently. Convert it to float32, or split it."
            )
        return x.astype(np.int32)
    if x.dtype.kind in "biu":
        return x
    if x.dtype.kind in "fV" and jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(np.float32)
    raise TypeError(
        f"Output {name!r} is an array of {x.dtype}; metrics read real numbers. "
        "Convert it before, or leave it out."
    )
