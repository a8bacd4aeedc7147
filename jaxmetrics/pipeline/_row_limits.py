"""Size limits of a row, so that a value logged by mistake cannot cost the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import accumulate, takewhile
from typing import Any

import numpy as np

from jaxmetrics.record import dumps

MAX_VALUES = 10_000
MAX_ARRAY_VALUES = 10_000
MAX_BYTES = 2**20
MAX_MEDIA_BYTES = 15 * 2**20  # readers take lines of 16 MiB
MAX_INTEGER_BITS = 1023  # each of these is a finite float, too

_NUMBER_BYTES = 30  # of a number in a line of JSON, with the characters around it
_HISTOGRAM_NUMBERS = 129  # counts and edges of 64 bins; the names of 64 files are less
_UNCHECKED_VALUES = 256  # with the longest possible keys they stay below MAX_BYTES


def within_limits(
    values: Mapping[str, float | int],
) -> tuple[Mapping[str, float | int], dict[str, list[str]]]:
    """Split the values of a row into those within the limits and the others.

    A row holds up to 10,000 values and 1 MiB, the first that fit; an integer has up to
    1023 bits.

    Returns:
      The values to keep, and the keys of those left out, by the limit they exceed.
    """
    if len(values) <= _UNCHECKED_VALUES and int not in set(map(type, values.values())):
        return values, {}
    kept: dict[str, float | int] = {}
    left_out: dict[str, list[str]] = {}
    size = 0
    for key, value in values.items():
        bits = value.bit_length() if isinstance(value, int) else 0
        size += len(json.dumps(key)) + _NUMBER_BYTES + bits // 3
        if bits > MAX_INTEGER_BITS:
            limit = f"an integer of more than {MAX_INTEGER_BITS} bits"
        elif len(kept) >= MAX_VALUES:
            limit = f"a row of more than {MAX_VALUES:,} values"
        elif size > MAX_BYTES:
            limit = f"a row of more than {MAX_BYTES:,} bytes"
        else:
            kept[key] = value
            continue
        left_out.setdefault(limit, []).append(key)
    return kept, left_out


def arrays_within_limits(
    arrays: Mapping[str, list[Any]],
) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """Split arrays, as lists, into those within the limits and the others, as above.

    An array has up to 10,000 numbers; those of a row take up to 1 MiB together.
    """
    kept: dict[str, list[Any]] = {}
    left_out: dict[str, list[str]] = {}
    size = 0
    for key, array in arrays.items():
        count = np.size(array)
        size += count * _NUMBER_BYTES
        if count > MAX_ARRAY_VALUES:
            limit = f"an array of more than {MAX_ARRAY_VALUES:,} numbers"
        elif size > MAX_BYTES:
            limit = f"arrays of more than {MAX_BYTES:,} bytes in a row"
        else:
            kept[key] = array
            continue
        left_out.setdefault(limit, []).append(key)
    return kept, left_out


def media_within_limits(
    kind: str, values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Split the media of a row, as plain values, as above.

    They take up to 15 MiB in a line of JSON; a table keeps its first rows.
    """
    limit = f"a {kind} record of more than {MAX_MEDIA_BYTES:,} bytes"
    kept: dict[str, Any] = {}
    left_out: list[str] = []
    room = MAX_MEDIA_BYTES
    for key, value in values.items():
        is_whole = True
        room -= len(dumps(key))
        if kind == "table":
            columns, rows = value
            room -= len(dumps(columns))
            sizes = accumulate(len(dumps(row)) + 1 for row in rows)
            fitting = list(takewhile(room.__ge__, sizes))
            value, is_whole = (columns, rows[: len(fitting)]), len(fitting) == len(rows)
            room -= fitting[-1] if fitting else 0
        elif kind == "text":
            room -= len(dumps(value))
        else:
            is_counted = kind == "histogram" and isinstance(value, tuple)
            numbers = sum(map(np.size, value[:2])) if is_counted else _HISTOGRAM_NUMBERS
            room -= numbers * _NUMBER_BYTES
        if room >= 0:
            kept[key] = value
        if room < 0 or not is_whole:
            left_out.append(key)
    return kept, {limit: left_out} if left_out else {}
