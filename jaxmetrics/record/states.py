"""Read the states of objects that come back from a checkpoint: `states.read(...)`.

A state holds numbers, strings, lists, mappings and NumPy arrays. A round trip through
JSON makes lists of its arrays and strings of what is not finite (`"NaN"`); one through
orbax may make arrays of rank 0 of its numbers. The readers take all these forms, and
refuse everything else before an object is changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from jaxmetrics.record import _json

__all__ = [
    "count",
    "fields_of",
    "flag",
    "floats",
    "floats_of",
    "integer",
    "integers",
    "list_of",
    "mapping_of",
    "number",
    "read",
    "real",
    "storable",
    "strict",
    "text",
]

T = TypeVar("T")

_COUNT_BITS = 63


def read(
    owner: str, state: object, /, **readers: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return the fields of a state by name, each converted by its reader.

    Fields without a reader are ignored.

    Args:
      owner: Class of the object, for errors.
      state: A result of its `state()`, also after a round trip.
      readers: Reader of each field, such as `count`.

    Raises:
      ValueError: The state is not a mapping, a field is missing, or a reader refuses
        it.

    >>> read("Tracker", {"steps": np.array(3)}, steps=count)
    {'steps': 3}
    """
    try:
        return fields_of(**readers)(state)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{owner}.load_state() got a state that is not one of {owner}: {error}. "
            f"Pass what state() returned, unchanged."
        ) from None


def fields_of(**readers: Callable[[Any], Any]) -> Callable[[object], dict[str, Any]]:
    """Return a reader of mappings with certain fields, each of which has a reader."""

    def read_fields(value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise TypeError(f"{_shown(value)} is not a mapping")
        fields = {}
        for name, reader in readers.items():
            if name not in value:
                raise ValueError(f"it has no {name!r}, only {sorted(map(str, value))}")
            try:
                fields[name] = reader(value[name])
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{name!r}: {error}") from None
        return fields

    return read_fields


def strict(value: float) -> float | str:
    """Return a number as strict JSON of 64 bits has it; `number` reads it back.

    >>> strict(0.5), strict(float("-inf")), strict(2**64)
    (0.5, '-Infinity', '18446744073709551616')
    """
    if isinstance(value, float) and math.isfinite(value):
        return value
    text: Any = _json.loads(_json.dumps(value))
    return text


def storable(array: np.ndarray) -> np.ndarray | list[Any]:
    """Return an array, or an empty list in place of one without entries.

    Orbax refuses arrays without entries.
    """
    return array if array.size else []


def number(value: object) -> int | float:
    """Return a number of any form as a Python int or float; a bool is refused."""
    plain = _json.number(_plain(value))
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise TypeError(f"{_shown(plain)} is not a number")
    return plain


def real(value: object) -> float:
    """Return a number as a float."""
    return float(number(value))


def integer(value: object) -> int:
    """Return an integer of any size."""
    plain = number(value)
    if not isinstance(plain, int):
        raise TypeError(f"{plain!r} is not an integer")
    return plain


def count(value: object) -> int:
    """Return an integer that is not negative and has at most 63 bits."""
    plain = integer(value)
    if plain < 0 or plain.bit_length() > _COUNT_BITS:
        raise ValueError(f"{plain} is not in 0 to 2**63 - 1")
    return plain


def flag(value: object) -> bool:
    """Return a bool."""
    plain = _plain(value)
    if not isinstance(plain, bool):
        raise TypeError(f"{_shown(plain)} is not true or false")
    return plain


def text(value: object) -> str:
    """Return a string."""
    plain = _plain(value)
    if not isinstance(plain, str):
        raise TypeError(f"{_shown(plain)} is not a string")
    return plain


def floats(value: object) -> np.ndarray:
    """Return an array or nested lists of numbers as a new float64 array."""
    if isinstance(value, list | tuple):
        value = _numbers(value)
    array = np.array(value)
    if array.dtype.kind not in "iuf" and array.size:
        raise TypeError(f"an array of {array.dtype} does not hold numbers")
    return array.astype(np.float64)


def floats_of(*shape: int) -> Callable[[object], np.ndarray]:
    """Return a reader of arrays of numbers of one shape."""

    def read_floats(value: object) -> np.ndarray:
        if (array := floats(value)).shape != shape:
            raise ValueError(f"it has the shape {array.shape}, expected {shape}")
        return array

    return read_floats


def integers(value: object) -> np.ndarray:
    """Return an array or a list of integers as a new int64 array of one axis."""
    array = np.array(value)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise TypeError(f"{_shown(value)} does not hold integers")
    return array.astype(np.int64)


def list_of(item: Callable[[Any], T]) -> Callable[[object], list[T]]:
    """Return a reader of lists, or of arrays, whose items another reader takes."""

    def read_list(value: object) -> list[T]:
        if getattr(value, "ndim", 0) == 1:
            value = np.asarray(value).tolist()
        if not isinstance(value, list | tuple):
            raise TypeError(f"{_shown(value)} is not a list")
        return [item(each) for each in value]

    return read_list


def mapping_of(item: Callable[[Any], T]) -> Callable[[object], dict[str, T]]:
    """Return a reader of mappings from names to what another reader takes."""

    def read_mapping(value: object) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise TypeError(f"{_shown(value)} is not a mapping")
        items = {}
        for name, each in value.items():
            try:
                items[text(name)] = item(each)
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{name!r}: {error}") from None
        return items

    return read_mapping


def _plain(value: Any) -> object:
    """Return the scalar of an array of rank 0, or of NumPy; other values unchanged."""
    return np.asarray(value).item() if getattr(value, "ndim", None) == 0 else value


def _numbers(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value]
    return number(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"
