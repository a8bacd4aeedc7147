"""Convert a number of any type to a Python number."""

from __future__ import annotations

import math

import numpy as np


def scalar(value: object) -> float | int:
    """Return a Python int or float; a value on a device is waited for.

    Args:
      value: A number of Python or NumPy, or an array of one element of any shape.

    Raises:
      TypeError: The value is not a single real number.

    >>> scalar(np.float32(0.5)), scalar(np.ones((1, 1))), scalar(np.ma.masked)
    (0.5, 1.0, nan)
    """
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, np.ma.MaskedArray) and value.size == 1 and value.mask.all():
        return math.nan  # no data, such as the mean of nothing but masked values
    array = np.asarray(value)
    if array.size == 1 and not isinstance(value, list | tuple):
        dtype = array.dtype
        if dtype.kind in "iuf" and dtype.itemsize <= 8:
            return array.item()
        array = array.reshape(())
        if dtype.kind == "b":
            return int(array)
        if dtype.kind == "f" or dtype.name.startswith(("bfloat", "float")):
            return float(array)
        if dtype.name.startswith(("int", "uint")):  # of fewer than 8 bits
            return int(array)
    if isinstance(value, int):  # beyond 64 bits
        return int(value)
    kind = type(value).__name__
    shape = f" of shape {array.shape}" if array.ndim else ""
    raise TypeError(f"a {kind}{shape} of {array.dtype} is not a number")
