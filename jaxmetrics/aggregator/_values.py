"""Values as NumPy arrays: what is no number is refused here."""

from __future__ import annotations

from typing import Any

import numpy as np


def numbers(where: str, values: Any) -> np.ndarray:
    """Values as one axis of int64 or float64; not copied where that can be helped.

    Raises:
      TypeError: They are no real numbers.
      ValueError: Integers beyond 64 bits.
    """
    array = np.asarray(values)
    kind, dtype = array.dtype.kind, array.dtype
    if kind in "bi" or kind == "u" and (not array.size or array.max() < 2**63):
        return array.astype(np.int64, copy=False).ravel()
    if kind == "f" or kind == "V" and np.can_cast(dtype, np.float64):
        return array.astype(np.float64, copy=False).ravel()
    if kind in "uO" and all(isinstance(x, int) for x in array.ravel().tolist()):
        raise ValueError(
            f"{where} got integers beyond 64 bits; expected smaller ones. Convert them "
            "to floats."
        )
    raise TypeError(
        f"{where} got values of type {_type_of(array)}; expected real numbers. Convert "
        "them, or count categories with CATEGORICAL_COUNT."
    )


def weights_of(where: str, values: np.ndarray, weights: Any) -> np.ndarray:
    """The weights of values, as one axis.

    Raises:
      TypeError: They are no real numbers.
      ValueError: There are fewer or more than values, or one is negative or not finite.
    """
    weights = numbers(f"{where}, weights,", weights)
    if weights.size != values.size:
        raise ValueError(
            f"{where} got {values.size} values and {weights.size} weights; expected as "
            "many. Give each value its weight."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(
            f"{where} got weights of which some are negative or not finite; expected "
            "finite ones, at least 0. Mend them, or mask them out."
        )
    return weights


def finite(
    values: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, int, np.ndarray | None]:
    """The finite values, how many others there were, and the weights of the former."""
    if values.dtype == np.int64:
        return values, 0, weights
    good = np.isfinite(values)
    kept = int(np.count_nonzero(good))
    if kept == values.size:
        return values, 0, weights
    its_weights = None if weights is None else weights[good]
    return values[good], values.size - kept, its_weights


def _type_of(array: np.ndarray) -> str:
    if array.dtype.kind != "O" or not array.size:
        return str(array.dtype)
    return type(array.ravel()[0]).__name__
