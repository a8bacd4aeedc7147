"""Plain values and NumPy arrays as bytes, without pickle."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

_ARRAY = "\0array"


def pack(value: Any) -> bytes:
    """A tree of plain Python values and NumPy arrays as bytes: JSON, then raw arrays.

    Integers of any size, non-finite floats and every bit of an array come back.

    Args:
      value: Mappings with string keys, lists, tuples (which come back as lists),
        numbers, strings, None, and arrays of numbers or bools.

    Raises:
      TypeError: There is anything else in it.

    >>> unpack(pack({"seen": 2**80, "x": np.arange(2)}))
    {'seen': 1208925819614629174706176, 'x': array([0, 1])}
    """
    arrays: list[bytes] = []

    def noted(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "biufc":
            raise TypeError(
                f"pack() got a {type(x).__name__}; expected numbers, strings, None, "
                "lists, mappings and arrays of numbers. Convert it first."
            )
        arrays.append(x.tobytes())
        return {_ARRAY: [x.dtype.str, *x.shape]}

    text = json.dumps(value, default=noted, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *arrays])


def unpack(data: bytes) -> Any:
    """The value that was packed; its arrays may be written to."""
    end = 8 + int.from_bytes(data[:8], "little")
    at = end

    def made(mapping: dict[str, Any]) -> Any:
        nonlocal at
        if mapping.keys() != {_ARRAY}:
            return mapping
        dtype, *shape = mapping[_ARRAY]
        flat = np.frombuffer(data, np.dtype(dtype), math.prod(shape), at)
        at += flat.nbytes
        return flat.reshape(shape).copy()

    return json.loads(data[8:end], object_hook=made)
