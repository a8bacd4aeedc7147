"""Arrays of a run by key, which print as a summary."""

from __future__ import annotations

import numpy as np

_MAX_SHAPES = 3


class ArrayColumns(dict[str, tuple[np.ndarray, list[np.ndarray]]]):
    """Steps and arrays by key; `print` shows their numbers, shapes and dtypes.

    >>> ArrayColumns({"val/top": (np.array([5, 9]), [np.arange(3), np.arange(3)])})
    {'val/top': 2 arrays of int64[3], steps 5 to 9}
    """

    def __repr__(self) -> str:
        """Return a line of the kinds of arrays for each key."""
        parts = (f"{key!r}: {_summary(*column)}" for key, column in self.items())
        return f"{{{', '.join(parts)}}}"


def _summary(steps: np.ndarray, arrays: list[np.ndarray]) -> str:
    kinds = [f"{a.dtype}[{', '.join(map(str, a.shape))}]" for a in arrays]
    shown = list(dict.fromkeys(kinds))
    text = ", ".join(shown[:_MAX_SHAPES]) + ", ..." * (len(shown) > _MAX_SHAPES)
    if len(arrays) == 1:
        return f"1 array of {text}, step {steps[0]}"
    return f"{len(arrays):,} arrays of {text}, steps {steps[0]} to {steps[-1]}"
