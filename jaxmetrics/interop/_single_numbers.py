"""Values of libraries whose calls take single numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def single_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for `log_step`, which refuses by name those of several numbers.

    In a mapping it would record NumPy arrays, as values that metrics compute; it takes
    no lists.

    >>> single_numbers({"loss": 0.5, "losses": np.zeros(2)})
    {'loss': 0.5, 'losses': [0.0, 0.0]}
    """
    return {
        name: value.tolist()
        if isinstance(value, np.ndarray) and value.size != 1
        else value
        for name, value in values.items()
    }
