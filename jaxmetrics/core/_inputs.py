"""Model outputs as metrics read them: names, types, and errors that explain both."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._jax import is_tracer
from jaxmetrics.core._protocol import Reads

Outputs = Mapping[str, Any]

_INT32 = np.iinfo(np.int32)
_KEPT = frozenset(np.dtype(t) for t in (np.float32, np.int32, np.uint32, np.bool_))
_HALF = frozenset(np.dtype(t) for t in (jnp.bfloat16, np.float16))

_ARRAYS = (np.ndarray, jax.Array)

_WEIGHTS = ("weights", "weight", "sample_weights", "sample_weight")

_NAMED: ContextVar[Any] = ContextVar("named", default=None)


@contextlib.contextmanager
def errors_in_the_name_of(metric: Any) -> Iterator[None]:
    """Let errors of a metric inside name the metric that the user wrote.

    `F1` counts in a metric of its own that no user knows. When that one raises, the
    call is repeated within this context. The outermost metric is named.
    """
    token = None if _NAMED.get() is not None else _NAMED.set(metric)
    try:
        yield
    finally:
        if token is not None:
            _NAMED.reset(token)


def called_in_the_name_of(metric: Callable[[], Any], call: Callable[[], Any]) -> Any:
    """Return what a call returns, and let its errors name what `metric` returns.

    The repeated call is not within the handler of the first error, which names a metric
    that the user did not write and would be printed before the other one.
    """
    try:
        return call()
    except (TypeError, ValueError):
        pass
    with errors_in_the_name_of(metric()):
        return call()


def named_in_errors(metric: Any) -> Any:
    """Return the metric that errors name, by default the given one."""
    named = _NAMED.get()
    return metric if named is None else named


def arguments_of(observe: Callable[..., Any]) -> dict[str, bool]:
    """Return the keyword-only arguments of `observe`, True if required."""
    parameters = inspect.signature(observe).parameters.values()
    return {
        p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY
    }


def missing(
    owner: str,
    argument: str,
    output: str,
    outputs: Outputs,
    choices: tuple[str, ...] = (),
) -> TypeError:
    """Return the error for a required output that was not passed.

    Args:
      owner: Name of the metric.
      argument: Argument of `observe`.
      output: Output that it is read from.
      outputs: Outputs that were passed.
      choices: Outputs that `scores` can name instead.
    """
    remedy = f"Rename with {owner}(...).on({argument}=...)."
    passed = [choice for choice in choices if outputs.get(choice) is not None]
    if passed:
        remedy = f"Configure {owner}(scores={passed[0]!r}) to read those."
    if output in outputs:
        remedy = f"{output!r} is None: pass an array."
    return TypeError(
        f"{owner} needs output {output!r}; got {passed_names(outputs)}. {remedy}"
    )


def passed_names(outputs: Outputs) -> list[str]:
    """Return the names of the outputs that are not None."""
    return sorted(name for name, x in outputs.items() if x is not None)


def refuse_misspelt(reads: Reads, outputs: Outputs) -> None:
    """Refuse an output that nearly spells an optional one, and weights if unused."""
    names = reads.names
    extra = [name for name in outputs if name not in names]
    if not extra:
        return
    unused = [name for name in _WEIGHTS if name in extra]
    if unused and "weights" not in names:
        raise TypeError(
            f"Output {unused[0]!r} is used by no metric here. Configure those that "
            f"should weight with weighted=True and pass 'weights', or leave "
            f"{unused[0]!r} out."
        )
    for name in sorted(reads.optional - outputs.keys()):
        close = [x for x in extra if sorted(x) == sorted(name)]  # letters swapped
        close += difflib.get_close_matches(name, extra, 1, cutoff=0.8)
        if close:
            raise TypeError(
                f"Output {close[0]!r} is read by no metric, and {name!r} was not "
                f"passed. Spell it {name!r}, rename with .on({name}={close[0]!r}), or "
                "leave it out."
            )


def as_32bit(name: str, output: Any, narrow: bool = False) -> Any:
    """Return an output, an array or a tree of arrays, in 32-bit types.

    Nested lists of numbers, traced ones too, become one array, and so does a list of
    arrays of one shape and type. Floats become float32. Integers of fewer bits become
    int32, so that no comparison or index wraps around; so do 64-bit integers. Booleans
    and uint32 keep their type.

    Integers that int32 does not hold are refused. Traced integers of 64 bits, whose
    values are not known, keep their type.

    Args:
      name: Name of the output, for errors.
      output: Array, number, or tree of them.
      narrow: Leave an array of floats of 16 bits as it is.

    Raises:
      TypeError: A leaf is no array or number, or not real.
      ValueError: An integer that is not traced does not fit in int32.
    """
    if isinstance(output, _ARRAYS):
        if narrow and output.dtype in _HALF:
            return output
        return output if output.dtype in _KEPT else _narrow(name, output)
    if isinstance(output, list | tuple) and _is_one_array(output):
        on_device = any(isinstance(x, jax.Array) for x in jax.tree.leaves(output))
        output = jnp.asarray(output) if on_device else np.asarray(output)
    return jax.tree.map(lambda x: _narrow(name, x), output, is_leaf=lambda x: x is None)


def refuse_arrays(owner: str, outputs: Outputs) -> None:
    """Refuse arrays for a metric that is declared with `scalars=True`."""
    for name, tree in outputs.items():
        for x in jax.tree.leaves(tree):
            if jnp.ndim(x):
                raise ValueError(
                    f"{owner} observes scalars; output {name!r} has shape "
                    f"{jnp.shape(x)}. Reduce it first, or give the class a `mask`."
                )


def _is_one_array(output: list[Any] | tuple[Any, ...]) -> bool:
    """Return whether a list is one array: of numbers, or of arrays that are alike."""
    if type(output) is list and isinstance(output[0] if output else 0, _ARRAYS):
        kinds = {(np.shape(x), getattr(x, "dtype", None)) for x in output}
        return len(kinds) == 1 and all(isinstance(x, _ARRAYS) for x in output)
    return _shape_of_numbers(output) is not None


def _shape_of_numbers(output: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists of numbers; None of other trees."""
    if isinstance(output, list | tuple):
        shapes = {_shape_of_numbers(x) for x in output}
        if len(shapes) > 1 or None in shapes:
            return None
        return len(output), *(next(iter(shapes), None) or ())
    scalar = isinstance(output, jax.Array) and not output.ndim
    return () if scalar or isinstance(output, bool | int | float | np.generic) else None


def _narrow(name: str, x: Any) -> Any:
    if isinstance(x, bool | int | float | np.generic):
        x = np.asarray(x)
    if isinstance(x, np.ndarray):
        return _narrow_host(name, x)
    if not isinstance(x, jax.Array):
        remedy = "Convert it before"
        if isinstance(x, str):
            remedy = "Call from_strings(...) of a metric of text, pass ids of tokens"
        raise TypeError(
            f"Output {name!r} is a {type(x).__name__}; metrics read arrays and "
            f"numbers. {remedy}, or leave it out."
        )
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x if x.dtype == jnp.float32 else x.astype(jnp.float32)
    if jnp.issubdtype(x.dtype, jnp.integer):
        if x.dtype.itemsize == 8:
            return _narrow_wide(name, x)
        return x if x.dtype == jnp.uint32 else x.astype(jnp.int32)
    if x.dtype == bool:
        return x
    raise _no_real_numbers(name, x)


def _narrow_wide(name: str, x: jax.Array) -> jax.Array:
    """Return integers of 64 bits, which jax has under `jax_enable_x64`, as int32.

    Those whose values are not known here keep their type: no metric may cut them.
    """
    if is_tracer(x) or not x.is_fully_addressable:
        return x
    with jax.transfer_guard_device_to_host("allow"):
        _refuse_beyond_32_bits(name, np.asarray(x))
    return x.astype(jnp.int32)


def _refuse_beyond_32_bits(name: str, x: np.ndarray) -> None:
    if x.size and (x.min() < _INT32.min or x.max() > _INT32.max):
        raise ValueError(
            f"Output {name!r} has integers beyond 32 bits ({x.min()} to {x.max()}), "
            "which int32 does not hold. Convert it to float32, or split it."
        )


def _narrow_host(name: str, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        _refuse_beyond_32_bits(name, x)
        return x.astype(np.int32)
    if x.dtype == np.uint32 or x.dtype == bool:
        return x
    if x.dtype.kind in "iu" or jnp.issubdtype(x.dtype, jnp.integer):  # int4 has kind V
        return x.astype(np.int32)
    if x.dtype.kind in "fV" and jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(np.float32)
    raise _no_real_numbers(name, x)


def _no_real_numbers(name: str, x: Any) -> TypeError:
    return TypeError(
        f"Output {name!r} is an array of {x.dtype}; metrics read real numbers. Pass "
        "its magnitude or its parts, or leave it out."
    )
