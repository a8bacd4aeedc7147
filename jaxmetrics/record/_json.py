"""Serialize values as strict JSON: one line, no bare NaN, exact integers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from jaxmetrics.record._text import encodable

BRACKET_LIMIT = 500
"""Maximum number of opening brackets in a line that orjson parses as `loads` does."""

_MANY_BYTES = 2**12  # NumPy counts longer texts faster
_INT64 = range(-(2**63), 2**63)
_NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_SURROGATE_MARKS = ("\\ud", "\\uD")
_BIG_INT = re.compile(r"-?[1-9][0-9]{18,4000}")
_SCALARS = frozenset({str, int, float, bool, type(None)})
# Integers of fewer than 19 digits fit in 64 bits; a point may have more after it.
# Digits become "0", what may come before a number ",", and the rest stays.
_OUTLINE = bytes.maketrans(b"123456789:[-\t\r\n ", b"000000000,,,,,,,")
_LONG_INTEGER = b"," + b"0" * 19
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def dumps(value: object) -> str:
    """Serialize `value` as strict JSON on one line of ASCII.

    Non-finite floats become the strings `"NaN"`, `"Infinity"` and `"-Infinity"`;
    integers beyond int64 become strings, so that no reader rounds them. NumPy scalars
    and arrays of rank 0 become numbers; narrow floats are widened (float32 0.1 is
    0.10000000149011612). `number` reverses the conversion to strings. Lone surrogates,
    which strict readers refuse, become escape sequences in the text.

    Raises:
      TypeError: A value has another type, or a mapping has a key that is not a string;
        the error names the place.
      ValueError: The value contains itself or is nested too deep.

    >>> dumps({"step": 3, "train/loss": float("nan"), "seen": 2**63})
    '{"step":3,"train/loss":"NaN","seen":"9223372036854775808"}'
    """
    if (text := _dumps_flat(value)) is not None:
        return text
    try:
        return _encode(_plain(value))
    except RecursionError:
        raise ValueError(
            "dumps() got a value that contains itself or is nested too deep; expected "
            "a tree. Break the cycle, or flatten it."
        ) from None


def loads(text: str | bytes) -> object:
    """Parse a strict JSON text; bytes are UTF-8.

    Lone surrogates become escape sequences, so that every text can be encoded.

    Raises:
      ValueError: The text is not strict JSON. No other error is raised.
    """
    is_text = isinstance(text, str)
    data = text.encode("utf-8", "backslashreplace") if is_text else bytes(text)
    if brackets(data) <= BRACKET_LIMIT:
        try:
            return orjson.loads(orjson_lines(data))
        except ValueError:  # also for what only the slower parser reads
            pass
    return _loads_exactly(data)


def orjson_lines(data: bytes) -> bytes:
    """Return lines of JSON of which orjson refuses those that it would change.

    Integers that may be beyond 64 bits have a NUL in place of their first digit, which
    no parser takes. All other lines that orjson parses have the value that `loads`
    returns, unless they have more than `BRACKET_LIMIT` opening brackets: those may be
    nested deeper than `loads` allows, and deeper than a recursive function can go.

    Args:
      data: The lines.
    """
    outline = data.translate(_OUTLINE)
    # From the end: commas, the first byte of the pattern, are rarer than zeros.
    comma = outline.rfind(_LONG_INTEGER)
    starts_long = outline.startswith(_LONG_INTEGER[1:])
    if comma < 0 and not starts_long:
        return data
    refused = bytearray(data)
    while comma >= 0:
        refused[comma + 1] = 0
        comma = outline.rfind(_LONG_INTEGER, 0, comma + 1)
    if starts_long:
        refused[0] = 0
    return bytes(refused)


def brackets(data: bytes) -> int:
    """Return the number of opening brackets in a JSON text, which limits its depth."""
    if len(data) < _MANY_BYTES:
        return data.count(b"{") + data.count(b"[")
    codes = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero(codes | np.uint8(32) == np.uint8(ord("{"))))


def number(value: object) -> Any:
    """Convert a value read by `loads` back to the number that `dumps` wrote as text.

    The three non-finite strings become floats, and digits beyond int64 an integer.
    Anything else is returned unchanged. Apply it to values of metrics only: a text
    such as "NaN" is kept in records of another kind.

    >>> number("NaN"), number("-Infinity"), number("9223372036854775808"), number("12")
    (nan, -inf, 9223372036854775808, '12')
    """
    if not isinstance(value, str):
        return value
    if value in _NONFINITE:
        return _NONFINITE[value]
    if _BIG_INT.fullmatch(value) and int(value) not in _INT64:
        return int(value)
    return value


def _loads_exactly(data: bytes) -> object:
    """Parse what orjson refuses or changes, as `loads` does.

    orjson rounds integers beyond 64 bits to floats, and refuses lone surrogates and
    1e999, all of which files of earlier versions may contain. Everything else that it
    parses has the same value here.
    """
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
        # Surrogates are rare: most texts have none, and are not searched twice.
        has_surrogates = any(mark in text for mark in _SURROGATE_MARKS)
        return _encodable(value) if has_surrogates else value
    except RecursionError:
        raise ValueError("loads() got JSON that is nested too deep") from None


def _dumps_flat(value: object) -> str | None:
    """Serialize a mapping of scalars, which most lines are; None for other values.

    orjson writes their text as `dumps` does, except for integers beyond int64, of which
    it refuses those beyond 53 bits here, and for floats that are not finite, which it
    writes as null.
    """
    if type(value) is not dict or not _SCALARS.issuperset(map(type, value.values())):
        return None
    try:
        data = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError:  # or a key that is no string, or a lone surrogate
        return None
    return data.decode() if data.isascii() and b"null" not in data else None


def _encode(plain: object) -> str:
    try:
        data = orjson.dumps(plain)
    except TypeError:  # a lone surrogate, a key of a subclass of str, over 254 levels
        return _ENCODER.encode(_encodable(plain))
    # orjson writes UTF-8; the escapes of the standard library keep a line ASCII.
    return data.decode() if data.isascii() else _ENCODER.encode(plain)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(name): _encodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value


def _plain(value: Any, *where: object) -> object:
    """Return a tree of Python's own types; `where` is the path, for errors."""
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else _real(value)
    if value is None or kind is str or kind is bool:
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | np.integer):
        return _integer(int(value), where)
    if isinstance(value, float | np.floating) or _is_narrow_float(value):
        return _real(float(value))
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Mapping):
        return {_name(k, where): _plain(v, *where, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, *where, i) for i, item in enumerate(value)]
    raise TypeError(
        f"dumps() got a {type(value).__name__} at {_at(where)}; expected numbers, "
        "strings, None, lists and mappings. Convert it first."
    )


def _integer(value: int, where: tuple[object, ...]) -> int | str:
    if value in _INT64:
        return value
    try:
        return str(value)
    except ValueError:
        raise ValueError(
            f"dumps() got an integer of {value.bit_length()} bits at {_at(where)}; "
            "expected at most 4300 digits. Convert it to a float or to hexadecimal."
        ) from None


def _real(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _is_narrow_float(value: object) -> bool:
    # bfloat16 and the 8-bit floats are NumPy scalars but not np.floating.
    return isinstance(value, np.generic) and value.dtype.name.startswith(
        ("bfloat", "float")
    )


def _name(name: object, where: tuple[object, ...]) -> str:
    if isinstance(name, str):
        return name
    raise TypeError(
        f"dumps() got the key {name!r} of type {type(name).__name__} in {_at(where)}; "
        "keys are strings. Convert it with str()."
    )


def _at(where: tuple[object, ...]) -> str:
    """Return the path of a value as a Python expression."""
    return "value" + "".join(f"[{step!r}]" for step in where)


def _refuse(constant: str) -> float:
    raise ValueError(f"bare {constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
