"""What a step costs, as the user gave it."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from jaxmetrics.telemetry import FlopCount


class FlopsGiven:
    """Operations a step or a token, from one or several sources.

    The arguments are those of `PerformanceTracker`; the first that knows a figure
    gives it.
    """

    def __init__(self, per_step: Any, per_token: Any, params: Any) -> None:
        self._given: list[tuple[str, FlopCount]] = []
        if per_step is not None:
            self._given.append(("step", _count("flops_per_step", per_step)))
        if per_token is not None:
            self._given.append(("token", _count("flops_per_token", per_token)))
        if params is not None:
            six = 6 * _parameters(params)
            self._given.append(("token", FlopCount(six, six, source="6N")))

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the source could not count, by name."""
        return self._given[0][1].unknown if self._given else ()

    def of(self, figure: str, steps: int, tokens: float) -> float | None:
        """The operations of some steps that had `tokens` in all.

        Args:
          figure: `"model"`, `"hardware"` or `"palm"`.
          steps: How many.
          tokens: Padding included.
        """
        for per, count in self._given:
            times = steps if per == "step" else tokens
            each = getattr(count, figure)
            if each is not None and times:
                return each * times
        return None

    def describe(self) -> dict[str, Any]:
        """The first source, in plain values."""
        if not self._given:
            return {"source": None}
        per, count = self._given[0]
        found: dict[str, Any] = {f"per_{per}": count.model}
        found[f"hardware_per_{per}"] = count.hardware
        if count.unknown:
            found["unknown"] = list(count.unknown)
        return {**found, "source": count.source}


def _count(name: str, given: Any) -> FlopCount:
    if isinstance(given, FlopCount):
        return given
    number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not number or not math.isfinite(given) or given <= 0:
        raise ValueError(
            f"PerformanceTracker got {name}={given!r}; expected a positive number, or "
            f"what telemetry.count_flops or telemetry.transformer_flops give. Leave it "
            f"out where it is not known."
        )
    return FlopCount(float(given), float(given))


def _parameters(params: Any) -> int:
    """The number itself, or the sizes of a tree's arrays."""
    if isinstance(params, int) and not isinstance(params, bool) and params > 0:
        return params
    count = sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(params))
    if isinstance(params, int | float) or not count:
        raise ValueError(
            f"PerformanceTracker got params={params!r}; expected how many there are, "
            f"or the tree of them. Give the model's params."
        )
    return count
