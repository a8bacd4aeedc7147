"""Serialize plain values and NumPy arrays to bytes, without pickle."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

_ARRAY = "\0array"


def pack(value: Any) -> bytes:
    """Serialize a tree of Python values and NumPy arrays: JSON, then the raw arrays.

    Integers of any size, non-finite floats and all bits of an array are preserved.

    Args:
      value: Mappings with string keys, lists, tuples (unpacked as lists), numbers,
        strings, None, and arrays of numbers or bools.

    Raises:
      TypeError: The tree contains a value of another type.

    >>> unpack(pack({"seen": 2**80, "x": np.arange(2)}))
    {'seen': 1208925819614629174706176, 'x': array([0, 1])}
    """
    arrays: list[bytes] = []

    def array_reference(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "biufc":
            raise TypeError(
                f"pack() got a {type(x).__name__}; expected numbers, strings, None, "
                "lists, mappings and arrays of numbers. Convert it first."
            )
        arrays.append(x.tobytes())
        return {_ARRAY: [x.dtype.str, *x.shape]}

    text = json.dumps(value, default=array_reference, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *arrays])


def unpack(data: bytes) -> Any:
    """Return the value that was packed. Its arrays are copies and can be written to.

    Raises:
      ValueError: The data is not what `pack` returned.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    position = end

    def array_from(mapping: dict[str, Any]) -> Any:
        nonlocal position
        if mapping.keys() != {_ARRAY}:
            return mapping
        dtype, *shape = mapping[_ARRAY]
        flat = np.frombuffer(data, np.dtype(dtype), math.prod(shape), position)
        position += flat.nbytes
        return flat.reshape(shape).copy()

    try:
        return json.loads(data[8:end], object_hook=array_from)
    except Exception as error:  # NumPy has many for a dtype or shape that is wrong
        raise ValueError(
            f"unpack() got {len(data)} bytes that pack() did not write: {error}. "
            f"Use the same version of jaxmetrics on all processes."
        ) from None
