"""How large a row may be, so that no value that was logged by mistake costs a run."""

from __future__ import annotations

import json
from collections.abc import Mapping

MOST_VALUES = 10_000
MOST_BYTES = 2**20
MOST_BITS = 1024

_NUMBER = 30  # bytes of a number in a line, and of what is around it
_FEW = 256  # of the longest keys these are well within the bytes


def fitting(
    values: Mapping[str, float | int],
) -> tuple[Mapping[str, float | int], dict[str, list[str]]]:
    """The values that a row takes, and the keys of those left out, by the limit.

    A row has 10,000 values and 1 MiB, of which the first that fit are kept; an integer
    has 1024 bits, as no float is larger.
    """
    if len(values) <= _FEW and int not in set(map(type, values.values())):
        return values, {}
    kept: dict[str, float | int] = {}
    left_out: dict[str, list[str]] = {}
    size = 0
    for name, value in values.items():
        bits = value.bit_length() if isinstance(value, int) else 0
        size += len(json.dumps(name)) + _NUMBER + bits // 3
        if bits > MOST_BITS:
            limit = f"an integer of more than {MOST_BITS} bits"
        elif len(kept) >= MOST_VALUES:
            limit = f"a row of more than {MOST_VALUES:,} values"
        elif size > MOST_BYTES:
            limit = f"a row of more than {MOST_BYTES:,} bytes"
        else:
            kept[name] = value
            continue
        left_out.setdefault(limit, []).append(name)
    return kept, left_out
