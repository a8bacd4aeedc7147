"""Data of a comparison: runs aligned on one x axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from jaxmetrics.record import Better
from jaxmetrics.runs.reading._axes import series_on_axis
from jaxmetrics.runs.reading._config import unique_name
from jaxmetrics.runs.reading._entry import RunEntry
from jaxmetrics.runs.reading._merging import merged_x
from jaxmetrics.runs.reading._quantities import common_names
from jaxmetrics.runs.reading._relations import Relation
from jaxmetrics.runs.reading._results import Reached, Result, Spread
from jaxmetrics.runs.reading._run import Run


def named_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by unique names, with one key for a quantity, see `common_names`."""
    by_name: dict[str, Run] = {}
    for run, other in zip(runs, common_names(runs)):
        by_name[unique_name(run.name, by_name)] = run.renamed(other)
    return by_name


class GroupMean(NamedTuple):
    """Mean of a key over the runs of a group, `[n]` each.

    Attributes:
      x: Positions on the axis, from the first to the last one with a value.
      mean: Mean of the finite values there; nan without one.
      error: Standard error of the mean; nan for a single run.
      runs: Number of runs that have a finite value there.
    """

    x: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    runs: np.ndarray


@dataclass(frozen=True)
class AlignedRuns:
    """Runs aligned on one x axis, with their differences and results.

    Plots and pages draw it; `jaxmetrics.runs.Comparison` adds the methods that call
    them.

    Attributes:
      runs: Runs by name; runs of the same name are numbered.
      x: Axis on which they are aligned.
      keys: Keys that at least two runs have, metrics before telemetry.
      notes: Sentences about data that cannot be compared.
      difference: Configuration values that differ, by dotted name: one text for each
        run, None for a run without the value.
      groups: Names of the runs by group; runs of a group differ at most in their seed.
      better: Whether lower or higher values are better, by key, where known.
      results: Last and best value of each key of each run.
      spreads: Means of the results over each group of several runs.
      reached: Where each run reached the targets.
      positions: x coordinate of every record, by run and axis.
      ranked_by: Key by which the runs are ranked, by its best value or, of a training
        loss, by its level at the end; None if there is none.
      relations: How values of the configuration go with these values.
      entries: State, step and training seconds of the runs, by name.
      order: Names of the runs in an order that takes precedence over the ranks.
    """

    runs: Mapping[str, Run]
    x: str
    keys: Sequence[str]
    notes: Sequence[str]
    difference: Mapping[str, Sequence[str | None]]
    groups: Mapping[str, Sequence[str]]
    better: Mapping[str, Better]
    results: Sequence[Result]
    spreads: Sequence[Spread]
    reached: Sequence[Reached]
    positions: Mapping[str, Mapping[str, np.ndarray]] = field(repr=False)
    ranked_by: str | None = None
    relations: Sequence[Relation] = ()
    entries: Mapping[str, RunEntry] = field(default_factory=dict, repr=False)
    order: Sequence[str] | None = None

    @property
    def diverged(self) -> set[str]:
        """Names of the runs that diverged."""
        return {n for n, entry in self.entries.items() if entry.state == "diverged"}

    def ranked(self) -> list[str]:
        """Return the names of the runs, the best one first.

        Runs without a value of the key by which they are ranked come after the others,
        and runs that diverged last.
        """
        if self.order is not None or self.ranked_by is None:
            return list(self.order or self.runs)
        sign = 1.0 if self.better[self.ranked_by] == "min" else -1.0
        judged = {r.run: r.judged for r in self.results if r.key == self.ranked_by}
        values = {name: sign * judged.get(name, np.nan) for name in self.runs}
        lost = self.diverged
        return sorted(
            self.runs, key=lambda n: (n in lost, np.isnan(values[n]), values[n])
        )

    def series(
        self, key: str, x: str | None = None
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return x and y of a key by run, for the runs that have both.

        Args:
          key: The key.
          x: Axis. Default that of the comparison.
        """
        axis = x or self.x
        return {
            name: series_on_axis(run, key, self.positions[name][axis])
            for name, run in self.runs.items()
            if key in run and axis in self.positions[name]
        }

    def aligned(
        self, key: str, x: str | None = None, max_points: int | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the values of a key at the same x for all runs.

        The x are those of all runs, merged. Between its records a run is interpolated;
        before its first and after its last record it is nan.

        Args:
          key: The key.
          x: Axis. Default that of the comparison.
          max_points: Maximum number of x, evenly selected. Default all.

        Returns:
          x `[n]`, and y `[n]` by run.
        """
        series = {name: s for name, s in self.series(key, x).items() if len(s[0])}
        grid = merged_x(run_x for run_x, _ in series.values()).astype(np.float64)
        if max_points is not None and len(grid) > max_points:
            selected = np.linspace(0, len(grid) - 1, max_points).round()
            grid = grid[selected.astype(np.int64)]
        return grid, {
            name: np.interp(grid, run_x, y, left=np.nan, right=np.nan)
            for name, (run_x, y) in series.items()
        }

    def mean(
        self,
        key: str,
        group: str,
        x: str | None = None,
        max_points: int | None = None,
    ) -> GroupMean:
        """Return the mean of a key over the runs of a group that have a value there.

        A run has values from its first record to its last one. So the mean goes on when
        one run of the group ends, and may jump there; `runs` says how many are left.
        Runs that diverged are left out.

        Args:
          key: The key.
          group: Name of the group.
          x: Axis. Default that of the comparison.
          max_points: Maximum number of x, evenly selected. Default all.
        """
        grid, values = self.aligned(key, x, max_points)
        members = (n for n in self.groups[group] if n not in self.diverged)
        rows = [values[name] for name in members if name in values]
        stacked = np.array(rows) if rows else np.zeros((0, len(grid)))
        runs = np.isfinite(stacked).sum(axis=0)
        (alive,) = np.nonzero(runs)
        shown = slice(alive[0], alive[-1] + 1) if len(alive) else slice(0, 0)
        stacked, runs = stacked[:, shown], runs[shown]
        finite = np.isfinite(stacked)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(finite, stacked, 0.0).sum(axis=0) / runs
            spread = np.where(finite, stacked - mean, 0.0)
            largest = np.abs(spread).max(axis=0, initial=0.0)
            scale = np.where(largest > 0, largest, 1.0)  # whose square may overflow
            squares = ((spread / scale) ** 2).sum(axis=0)
            error = scale * np.sqrt(squares / (runs - 1) / runs)
        return GroupMean(grid[shown], mean, np.where(runs > 1, error, np.nan), runs)
