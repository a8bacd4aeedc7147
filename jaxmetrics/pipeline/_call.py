"""Read a `log_step` call: the split of its record, and its values by full key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.processes import CallMarks
from jaxmetrics.record import (
    COUNT_FIELDS,
    Better,
    key,
    scalar,
    split_in_name,
    split_of,
)


class Call(NamedTuple):
    """Split, values, metrics and errors of one `log_step` call.

    Attributes:
      split: Split of the record.
      key_split: Split that names without a key of their own get; None keeps all names.
      values: Numbers, device scalars and NumPy arrays by full key or field name. A
        function returns those of a metric by plain name.
      errors: Errors of the values that cannot be recorded.
      repeated: Two names and the key that both stand for, where the values may differ;
        the value of the second name is recorded.
      metrics: Metric or collection that is still to be reduced, or None.
      better: Function of the values of a metric, by plain name, that returns their
        directions; None without a metric.
      names: Name in the call of each key of the values.
    """

    split: str
    key_split: str | None
    values: dict[str, object]
    errors: list[Exception]
    repeated: list[tuple[str, str, str]]
    metrics: Any = None
    better: Callable[[Mapping[str, Any]], Mapping[str, Better]] | None = None
    names: Mapping[str, str] = {}


def check_call(
    split: str | None,
    is_given: bool,
    infers: bool,
    given: Mapping[Any, Any],
    arrays: Collection[Any] = (),
) -> Call:
    """Check the names and values of a call one by one.

    Args:
      split: The split, or None to keep all names.
      is_given: The caller passed the split.
      infers: Whether names that all begin with one split of an evaluation choose it.
      given: Values by name, which may be nested.
      arrays: Names whose values may be, or contain, NumPy arrays, as metrics compute
        them.

    Raises:
      TypeError: The split is not a string.
      ValueError: The split is not a name without slashes.
    """
    flat: list[tuple[str, Any]] = []  # two nestings may make one name
    errors: list[Exception] = []
    for name, value in _flatten(given):
        if isinstance(name, str):
            flat.append((name, value))
        else:
            errors.append(_not_a_name(name))
    keyed = [name for name, _ in flat if name not in COUNT_FIELDS]
    record_split, key_split = splits_of_call(split, infers, keyed)
    added: dict[str, object] = {}
    origin: dict[str, str] = {}
    repeated: list[tuple[str, str, str]] = []
    for name, value in flat:
        try:
            is_count = name in COUNT_FIELDS and record_split == "train"
            may_be_array = bool({name, name.partition("/")[0]} & set(arrays))
            if may_be_array and not is_count and is_plain_array(value):
                checked: object = value.copy()
            elif (checked := checked_scalar(name, value)) is None:
                continue
            if name in COUNT_FIELDS and record_split != "train":
                full = key(name, record_split)
            else:
                full = full_key(name, key_split, keep_slashes=not is_given)
        except (TypeError, ValueError, RuntimeError) as error:
            errors.append(error)
            continue
        if full in added and _may_differ(added[full], checked):
            repeated.append((origin[full], name, full))
        added[full], origin[full] = checked, name
    return Call(record_split, key_split, added, errors, repeated, names=origin)


def splits_of_call(
    split: str | None, infers: bool, names: Iterable[str]
) -> tuple[str, str | None]:
    """Return the split of a record, and the split that its names get.

    Args:
      split: Split of the call, or None to keep all names, as the second result does.
      infers: Whether names that all begin with one split of an evaluation choose it.
      names: Names of the values.

    Raises:
      TypeError: The split is not a string.
      ValueError: The split is not a name without slashes.
    """
    record_split = "train" if split is None else split
    key("x", record_split)  # refuses what is not the name of a split
    if infers:
        record_split = split_of(names, underscores=split is None) or record_split
    return record_split, None if split is None else record_split


def held_metrics(metrics: Any) -> Any:
    """Return the immutable state of an object that holds one, else the object itself.

    `interop.nnx.Metrics` is such an object; its state is in `metrics.metrics`. A metric
    is itself, also one with a child of that name.
    """
    if _is_state(metrics) or isinstance(metrics, Mapping):
        return metrics
    held = getattr(metrics, "metrics", None)
    return held if _is_state(held) else metrics


def misplaced_names(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of a train record that begin with another split, by split.

    Keras and Lightning name the values of an evaluation so: `val_loss`. A name with a
    slash, such as `val_books/loss`, is a key.

    >>> misplaced_names(["loss", "val_loss", "val_accuracy", "val_books/loss"])
    {'val': ['val_loss', 'val_accuracy']}
    """
    misplaced: dict[str, list[str]] = {}
    for name in names:
        if "/" not in name and (split := split_in_name(name)) is not None:
            misplaced.setdefault(split, []).append(name)
    return misplaced


def names_computed(metrics: Any) -> list[str]:
    """Return the names in a Collection, or in the deferred form of one."""
    state = getattr(metrics, "state", metrics)
    return list(state) if hasattr(state, "keys") else []


def with_metrics(call: Call, step: int | None, marks: CallMarks) -> Call:
    """Launch the reduction of the metrics of a call; the row fetches their values.

    Args:
      call: The call.
      step: Its step; None if it was refused, where the reduction is still launched,
        since other processes take part in it.
      marks: Marks of the calls of this process.
    """
    if (metrics := call.metrics) is None:
        return call
    if not hasattr(metrics, "compute") or isinstance(metrics, type):
        error: Exception = TypeError(
            f"log_step() got metrics of type {type(metrics).__name__}, expected a "
            f"Metric, a Collection or a mapping. Log scalars by name: loss=loss."
        )
        return call._replace(errors=[*call.errors, error])
    from jaxmetrics.core import snapshot

    try:
        own = marks.of(metrics, step, call.split)
        taken = snapshot(metrics, own)
    except ValueError as cause:
        error = ValueError(f"log_step() got metrics that are not one state: {cause}")
        return call._replace(errors=[*call.errors, error])
    except Exception as cause:
        error = RuntimeError(
            f"log_step() could not reduce metrics={type(metrics).__name__} ({cause}). "
            f"Log the metrics that the last step returned."
        )
        return call._replace(errors=[*call.errors, error])

    def record(split: str) -> dict[str, Any]:
        values = taken.record(split)
        if own is not None and step is not None:
            if others := marks.differing(taken.marks(), step, split):
                values[f"health/other_calls/{split}"] = others
        return values

    values = {"(metrics)": record, **call.values}
    return call._replace(values=values, better=taken.better)


def full_key(name: str, split: str | None, *, keep_slashes: bool = False) -> str:
    """Return the key or the field of a train record that a name stands for.

    Args:
      name: Name of a value.
      split: Split of the call; None keeps the name.
      keep_slashes: If true, a name that contains a slash is kept.

    Raises:
      TypeError: The name is not a string.
      ValueError: The name cannot be a key.
    """
    if name in COUNT_FIELDS:
        return name
    return key(name, split, keep_slashes=keep_slashes)


def is_array(value: object) -> bool:
    """Return whether a value is an array of JAX, without importing JAX."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def is_plain_array(value: object) -> bool:
    """Return whether a value is what records hold as an array.

    It is a NumPy array of rank 1 or 2 of real numbers, more or fewer than one.
    """
    if not isinstance(value, np.ndarray) or value.size == 1:
        return False
    return 1 <= value.ndim <= 2 and value.dtype.kind in "biuf"


def checked_scalar(name: str, value: Any) -> object:
    """Return a Python number, a scalar on a device as it is, or None for None.

    Args:
      name: Name of the value in the call, for the error.
      value: A number of Python or NumPy, an array of one element, or None, which means
        that the value is unknown.

    Raises:
      TypeError: The value is not a number, or is traced.
      RuntimeError: The array was deleted.
    """
    if value is None:
        return None
    try:
        if not is_array(value):
            return scalar(value)
        from jaxmetrics.core import is_tracer  # JAX is loaded: this is its array

        if is_tracer(value):
            raise TypeError("a value within jit has no number yet")
        if value.size != 1:
            raise TypeError(f"an array of shape {value.shape} is not a number")
        if not _is_real(value.dtype):
            raise TypeError(f"an array of {value.dtype} is not a number")
    except (TypeError, ValueError) as error:
        reason = str(error)
        if isinstance(value, str):
            advice = "Log it with log_text()"
        elif hasattr(value, "compute") and hasattr(value, "update"):
            reason = f"a metric, {type(value).__name__}, where a number is expected"
            advice = (
                f"Pass it as the second argument, log_step(step, jm.Collection({name}="
                "...)), or log its value, .compute()"
            )
        elif getattr(value, "shape", ()) or isinstance(value, list | tuple):
            advice = (
                "Log a number of it, such as the mean, an image with log_images(), or "
                "a distribution with log_histograms(). What metrics compute is logged "
                "by the metrics, log_step(step, metrics), or as a mapping of NumPy "
                "arrays of rank 1 or 2, log_step(step, {name: array})"
            )
        else:
            advice = (
                "Log scalars, after the compiled step; pass a metric or a Collection "
                "as the second argument"
            )
        raise TypeError(f"log_step() got {name!r}: {reason}. {advice}.") from None
    if value.is_deleted():
        raise RuntimeError(
            f"log_step() got {name!r}, whose array was deleted, as donated arrays are. "
            f"Log a value that the step returns and that is not donated."
        )
    return value


def _is_state(value: Any) -> bool:
    return hasattr(value, "compute") and hasattr(value, "empty")


def _is_real(dtype: Any) -> bool:
    name = dtype.name
    return name == "bool" or name.startswith(("int", "uint", "float", "bfloat"))


def _may_differ(first: Any, second: Any) -> bool:
    """Return whether two values are known to differ, or are not known yet."""
    if first is second:
        return False
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return not np.array_equal(first, second, equal_nan=True)
    if is_array(first) or is_array(second):
        return True
    return first != second and (first == first or second == second)


def _flatten(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[Any, Any]]:
    """Yield the values of nested mappings with their names, joined by slashes."""
    for name, value in values.items():
        if not isinstance(name, str):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _not_a_name(name: object) -> TypeError:
    return TypeError(
        f"log_step() got the name {name!r} of type {type(name).__name__}, expected a "
        f"str. Use str() of it."
    )
