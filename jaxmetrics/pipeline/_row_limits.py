"""Size limits of a row, so that a value logged by mistake cannot cost the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_VALUES = 10_000
MAX_ARRAY_VALUES = 10_000
MAX_BYTES = 2**20
MAX_INTEGER_BITS = 1023  # each of these is a finite float, too

_NUMBER_BYTES = 30  # of a number in a line of JSON, with the characters around it
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
