"""What runs came to: last and best values, targets, and means over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxmetrics.runs.reading._better import Better

Series = tuple[np.ndarray, np.ndarray]


class Result(NamedTuple):
    """What one key of one run came to.

    Attributes:
      key: The key.
      run: The run's name.
      last: The last value.
      last_at: Its x.
      best: The best finite value; nan without one, or when nobody said what is better.
      best_at: The first x where that was; nan likewise.
      nonfinite: How many values are not finite.
    """

    key: str
    run: str
    last: float
    last_at: float
    best: float
    best_at: float
    nonfinite: int


class Reached(NamedTuple):
    """Where a run first reached a target.

    Attributes:
      key: The key.
      target: The value to reach.
      run: The run's name.
      at: The x of the first record that reaches it; nan when none does.
    """

    key: str
    target: float
    run: str
    at: float


class Spread(NamedTuple):
    """Mean and standard error of results over runs that differ in their seed only.

    Attributes:
      key: The key.
      group: The name of the group.
      runs: How many of its runs have the key.
      last: The mean of their last values.
      last_error: Its standard error.
      best: The mean of their best values.
      best_error: Its standard error.
    """

    key: str
    group: str
    runs: int
    last: float
    last_error: float
    best: float
    best_error: float


def result(key: str, run: str, series: Series, better: Better | None) -> Result:
    """What a series came to; nan when it is empty."""
    x, y = series
    last, last_at, best, best_at = (math.nan,) * 4
    finite = np.isfinite(y)
    if len(y):
        last, last_at = float(y[-1]), float(x[-1])
    if better is not None and finite.any():
        worst = math.inf if better == "min" else -math.inf
        known = np.where(finite, y, worst)
        at = int(np.argmin(known) if better == "min" else np.argmax(known))
        best, best_at = float(y[at]), float(x[at])
    return Result(key, run, last, last_at, best, best_at, int((~finite).sum()))


def reached(
    key: str, target: float, run: str, series: Series, better: Better
) -> Reached:
    """Where a series is first at a target, or beyond it."""
    x, y = series
    there = y <= target if better == "min" else y >= target
    there &= np.isfinite(y)
    at = float(x[np.argmax(there)]) if there.any() else math.nan
    return Reached(key, target, run, at)


def spreads(
    results: Iterable[Result], groups: Mapping[str, Sequence[str]]
) -> Iterator[Spread]:
    """The means of results over the groups of several runs, in their order."""
    home = {run: name for name, runs in groups.items() for run in runs if len(runs) > 1}
    together: dict[tuple[str, str], list[Result]] = {}
    for found in results:
        if found.run in home:
            together.setdefault((found.key, home[found.run]), []).append(found)
    for (key, group), some in together.items():
        last, best = (np.array([(r.last, r.best) for r in some])).T
        yield Spread(
            *(key, group, len(some)),
            *(float(last.mean()), float(standard_error(last))),
            *(float(best.mean()), float(standard_error(best))),
        )


def standard_error(values: np.ndarray) -> np.ndarray:
    """The standard error of the mean along the first axis; nan for one value."""
    count = len(values)
    if count < 2:
        return np.full(values.shape[1:], np.nan)
    return values.std(axis=0, ddof=1) / math.sqrt(count)
