"""Runs beside each other: how they differ, what they came to, and how soon."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxmetrics.record import redact
from jaxmetrics.runs.pages import _compare_tables as tables
from jaxmetrics.runs.pages import is_telemetry, save
from jaxmetrics.runs.plots import _compare_plots as plots
from jaxmetrics.runs.reading import (
    AXES,
    Better,
    Reached,
    Result,
    Run,
    Spread,
    axes,
    difference,
    directions,
    flat,
    groups,
    reached,
    result,
    series,
    spreads,
    standard_error,
    unused,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other, as `compare` returns them.

    Attributes:
      runs: By name; when several have the same name, it is numbered.
      x: What they are aligned by.
      keys: The keys that at least two of them have, metrics before telemetry.
      notes: What is not compared, and why.
      difference: The configuration where it differs: by dotted name, a text for each
        run, None where it has none.
      groups: By name, the runs that differ at most in their seed.
      better: Whether more or less is better, by key, where that is known.
      results: What each key of each run came to.
      spreads: The same over the runs of each group of several.
      reached: Where each run reached the targets.
      places: The places of each run's records, by axis.
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
    places: Mapping[str, Mapping[str, np.ndarray]] = field(repr=False)

    def series(
        self, key: str, x: str | None = None
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """x and y of a key by run, of the runs that have both.

        Args:
          key: A key.
          x: Another axis than that of the comparison.
        """
        axis = x or self.x
        return {
            name: series(run, key, self.places[name][axis])
            for name, run in self.runs.items()
            if key in run and axis in self.places[name]
        }

    def aligned(
        self, key: str, x: str | None = None, most: int | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The values of a key at the same places, by run.

        The places are those of all runs together. Between its records a run's value is
        interpolated; before its first and after its last one it is nan.

        Args:
          key: A key.
          x: Another axis than that of the comparison.
          most: Of more places so many, evenly taken.
        """
        found = {name: s for name, s in self.series(key, x).items() if len(s[0])}
        places = [np.zeros(0), *(at for at, _ in found.values())]
        grid = np.unique(np.concatenate(places))
        if most is not None and len(grid) > most:
            grid = grid[np.linspace(0, len(grid) - 1, most).round().astype(np.int64)]
        return grid, {
            name: np.interp(grid, at, y, left=np.nan, right=np.nan)
            for name, (at, y) in found.items()
        }

    def mean(
        self, key: str, group: str, x: str | None = None, most: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places, mean and standard error of a key over the runs of a group.

        Both are nan where a run of the group has no value; the error of one run is nan.
        The other arguments are those of `aligned`.
        """
        grid, values = self.aligned(key, x, most)
        rows = [values[name] for name in self.groups[group] if name in values]
        if not rows:
            grid, rows = grid[:0], [np.zeros(0)]
        stacked = np.array(rows)
        return grid, stacked.mean(axis=0), standard_error(stacked)

    def plot(self, key: str) -> Figure:
        """A key of all runs in one picture, with the means over seeds.

        Raises:
          ImportError: matplotlib is not installed.
        """
        return plots.overlay(self, key)

    def generate_plots(
        self,
        save_dir: str | os.PathLike[str],
        keys: Iterable[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write `compare_<key>.png` for each key, and return the paths.

        Args:
          save_dir: The folder.
          keys: The keys that are drawn; if not given, the metrics of splits.
          overwrite: Replace files that are not plots of ours.

        Raises:
          FileExistsError: A file of that name is not a plot of ours.
          ImportError: matplotlib is not installed.
        """
        return plots.save_all(self, Path(save_dir), keys, overwrite)

    def to_markdown(self) -> str:
        """The comparison as Markdown: notes and tables, with every text escaped."""
        return tables.markdown(self)

    def page(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write one HTML page: the tables, and charts of all that is compared.

        Args:
          path: The file.
          overwrite: Replace a file that is not a page of ours.

        Raises:
          FileExistsError: A file of that name is not a page of ours.
        """
        return save(tables.page(self), Path(path), overwrite)


def compare(
    paths: Iterable[str | os.PathLike[str] | Run],
    x: str = "step",
    *,
    target: Mapping[str, float] | None = None,
    better: Mapping[str, Better] | None = None,
    seed: str = "seed",
) -> Comparison:
    """Align runs, and tell how they differ and what they came to.

    Args:
      paths: Run directories, or runs; at least two.
      x: `"step"`, `"tokens"`, `"time"` (training seconds), or `"flops"`, which takes
        the FLOPs of a step, or of a token, from `run.json`.
      target: Values to reach, by key: `{"val/loss": 2.0}`.
      better: `"min"` or `"max"` by key, where its name does not tell, or tells wrong.
      seed: The name in the configuration in which the runs of a group may differ.

    Raises:
      FileNotFoundError: There is no run at a path.
      ValueError: There are fewer than two runs, one cannot be aligned so, or nobody
        knows whether more or less of a target is better.
      KeyError: No run has the key of a target.
    """
    runs = _named([r if isinstance(r, Run) else Run.load(r) for r in paths])
    places = {name: axes(run) for name, run in runs.items()}
    _check(runs, x, places)
    counts: dict[str, int] = {}
    for run in runs.values():
        for key in run:
            counts[key] = counts.get(key, 0) + 1
    keys = sorted((k for k, count in counts.items() if count > 1), key=is_telemetry)
    known = directions(counts, better or {})
    configs = [flat(redact(run.config)) for run in runs.values()]
    alike = groups(list(runs), configs, seed)

    def each(key: str) -> list[tuple[str, tuple[np.ndarray, np.ndarray]]]:
        having = {name: run for name, run in runs.items() if key in run}
        return [(n, series(run, key, places[n][x])) for n, run in having.items()]

    results = [result(k, n, found, known.get(k)) for k in keys for n, found in each(k)]
    return Comparison(
        runs,
        x,
        keys,
        _notes(runs, counts),
        difference(configs),
        alike,
        known,
        results,
        list(spreads(results, alike)),
        [
            reached(key, float(value), name, found, _known(key, counts, known))
            for key, value in (target or {}).items()
            for name, found in each(_present(key, counts))
        ],
        places,
    )


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    out: dict[str, Run] = {}
    for run in runs:
        out[unused(run.name, out)] = run
    return out


def _check(
    runs: Mapping[str, Run], x: str, places: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    if x not in AXES:
        raise ValueError(
            f"compare() got x={x!r}; expected one of {list(AXES)}. Choose one of them."
        )
    if len(runs) < 2:
        raise ValueError(
            f"compare() got {len(runs)} runs; expected at least two. Give the "
            f"directories of several runs."
        )
    for name, run in runs.items():
        if len(run) and x not in places[name]:
            give = {
                "flops": "flops.per_step in its run.json; make a PerformanceTracker "
                "that knows the FLOPs of a step",
                "tokens": "tokens; log them with log_step(tokens=)",
                "time": "time",
            }
            raise ValueError(
                f"compare(x={x!r}) cannot align run {name!r} in {run.path}, which has "
                f"no {give[x]}, or align by one of {list(places[name])}."
            )


def _notes(runs: Mapping[str, Run], counts: Mapping[str, int]) -> list[str]:
    """What cannot be compared."""
    notes = []
    if max(counts.values(), default=0) < 2:
        notes.append("These runs have no metric in common, so no metric is compared.")
    for name, run in runs.items():
        alone = [key for key in run if counts[key] == 1]
        missing = [key for key, n in counts.items() if n > 1 and key not in run]
        if not run.keys():
            notes.append(f"{name} has no metrics.")
        elif alone:
            notes.append(f"Only {name} has {_some(alone)}.")
        if missing and run.keys():
            notes.append(f"{name} does not have {_some(missing)}.")
    return notes


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 8:,} more" if len(keys) > 8 else ""
    return ", ".join(keys[:8]) + more


def _present(key: str, counts: Mapping[str, int]) -> str:
    if key not in counts:
        near = difflib.get_close_matches(key, list(counts), n=5) or list(counts)[:8]
        raise KeyError(
            f"compare() got a target for {key!r}, which no run has; near it are "
            f"{near}. Choose a key of the runs."
        )
    return key


def _known(key: str, counts: Mapping[str, int], better: Mapping[str, Better]) -> Better:
    if key not in better:
        raise ValueError(
            f"compare() got a target for {key!r}, and does not know whether more or "
            f"less of it is better. Give better={{{key!r}: 'min'}} or 'max'."
        )
    return better[key]
