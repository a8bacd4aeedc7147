"""Last and best values of runs, targets reached, and means over seeds."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxmetrics.record import Better, recent_level
from jaxmetrics.runs.reading._quantities import is_train_loss

Series = tuple[np.ndarray, np.ndarray]
"""x and y of a series, `[n]` each."""


class Result(NamedTuple):
    """Last and best value of one key in one run.

    Attributes:
      key: The key.
      run: Name of the run.
      last: Last value.
      last_x: x of the last value.
      best: Best finite value; nan if there is none, or if it is not known whether
        higher or lower is better.
      best_x: First x of the best value; nan likewise.
      nonfinite: Number of values that are not finite.
      recent: Level at the end, the median of the last 5 % of x, of at least 10 and at
        most 200 records; nan without records.
    """

    key: str
    run: str
    last: float
    last_x: float
    best: float
    best_x: float
    nonfinite: int
    recent: float = math.nan

    @property
    def judged(self) -> float:
        """The value by which runs are ranked, nan if it is not known.

        It is the best value, but of a training loss, whose best value is that of one
        lucky batch, the level at the end.
        """
        return self.recent if is_train_loss(self.key) else self.best


class Reached(NamedTuple):
    """First x at which a run reached a target.

    Attributes:
      key: The key.
      target: Value to reach.
      run: Name of the run.
      x: x value at which the target was first reached; nan if it was not.
    """

    key: str
    target: float
    run: str
    x: float


class Spread(NamedTuple):
    """Mean and standard error of results over runs that differ only in their seed.

    Attributes:
      key: The key.
      group: Name of the group.
      runs: Number of runs in the means.
      left_out: Number of runs that diverged or whose last value is not finite; the
        means are over the others.
      last: Mean of the last values.
      last_error: Standard error of that mean.
      best: Mean of the best values.
      best_error: Standard error of that mean.
    """

    key: str
    group: str
    runs: int
    left_out: int
    last: float
    last_error: float
    best: float
    best_error: float


def result(key: str, run: str, series: Series, better: Better | None) -> Result:
    """Return the last and the best value of a series; nan if it is empty.

    Args:
      key: Key of the series.
      run: Name of the run.
      series: x (ascending) and y.
      better: Whether lower or higher values are better, if known.
    """
    x, y = series
    last, last_x, best, best_x = (math.nan,) * 4
    finite = np.isfinite(y)
    if len(y):
        last, last_x = float(y[-1]), float(x[-1])
    if better is not None and finite.any():
        worst = math.inf if better == "min" else -math.inf
        comparable = np.where(finite, y, worst)
        index = int(np.argmin(comparable) if better == "min" else np.argmax(comparable))
        best, best_x = float(y[index]), float(x[index])
    level = recent_level(x, y)
    return Result(
        *(key, run, last, last_x, best, best_x),
        nonfinite=int((~finite).sum()),
        recent=math.nan if level is None else level.median,
    )


def reached(
    key: str, target: float, run: str, series: Series, better: Better
) -> Reached:
    """Return where a series first reaches a target; values that are not finite do not.

    Args:
      key: Key of the series.
      target: Value to reach, or to pass.
      run: Name of the run.
      series: x (ascending) and y.
      better: `"min"` if values should fall to the target, `"max"` if they should rise.
    """
    x, y = series
    reaching = (y <= target if better == "min" else y >= target) & np.isfinite(y)
    first_x = float(x[np.argmax(reaching)]) if reaching.any() else math.nan
    return Reached(key, target, run, first_x)


def spreads(
    results: Iterable[Result],
    groups: Mapping[str, Sequence[str]],
    diverged: Container[str] = (),
) -> Iterator[Spread]:
    """Yield the mean results of each group of several runs, in order of the results.

    Args:
      results: Results of all runs.
      groups: Names of the runs by group.
      diverged: Names of runs that diverged: their last evaluation may be finite.
    """
    group_of = {
        run: name for name, runs in groups.items() for run in runs if len(runs) > 1
    }
    by_key: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        if one.run in group_of:
            by_key.setdefault((one.key, group_of[one.run]), []).append(one)
    for (key, group), members in by_key.items():
        kept = (r for r in members if r.run not in diverged)
        finite = [(r.last, r.best) for r in kept if math.isfinite(r.last)]
        left_out = len(members) - len(finite)
        last, best = np.array(finite or [(math.nan, math.nan)]).T
        yield Spread(
            *(key, group, len(finite), left_out),
            *(float(last.mean()), float(standard_error(last))),
            *(float(best.mean()), float(standard_error(best))),
        )


def standard_error(values: np.ndarray) -> np.ndarray:
    """Return the standard error of the mean along axis 0; nan for a single value."""
    count = len(values)
    if count < 2:
        return np.full(values.shape[1:], np.nan)
    # The squares of values beyond 1e154 overflow.
    largest = np.abs(values).max(axis=0)
    scale = np.where(largest > 0, largest, 1.0)
    return scale * ((values / scale).std(axis=0, ddof=1) / math.sqrt(count))
