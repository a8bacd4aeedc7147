"""Compare runs: differences, results, plots and pages."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxmetrics._other_names import explains_reading
from jaxmetrics.record import (
    METRICS_JSONL,
    changes_by_attempt,
    one_or_many,
    redact,
    require_numbers,
    require_texts,
)
from jaxmetrics.runs.pages import (
    compare_markdown,
    compare_page,
    comparison_html,
    comparison_text,
    save_page,
)
from jaxmetrics.runs.plots import overlay, save_overlays
from jaxmetrics.runs.reading import (
    AXES,
    AlignedRuns,
    Better,
    Relation,
    Run,
    RunEntry,
    UnknownDirectionError,
    at_home,
    axis_positions,
    config_difference,
    directions,
    evaluation,
    find_runs,
    flatten_config,
    is_telemetry,
    list_entries,
    named_runs,
    own_key,
    reached,
    real_path,
    relations,
    result,
    seed_groups,
    series_on_axis,
    spreads,
    unique_name,
)

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

_MAX_LISTED_KEYS = 8
_MAX_NOTES = 20
_MAX_ATTEMPTS = 8


@dataclass(frozen=True, repr=False)
class Comparison(AlignedRuns):
    """Runs aligned on one x axis, with plots and pages; returned by `compare`.

    Attributes:
      runs: Runs by name; runs of the same name are numbered.
      x: Axis on which they are aligned.
      keys: Keys that at least two runs have, metrics before telemetry.
      notes: Sentences about data that cannot be compared, and about attempts that
        changed the configuration of their run.
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
      order: Names of the runs in the order of `sort=`; None without it.
    """

    @explains_reading
    def plot(self, *keys: str) -> Figure:
        """Draw keys of all runs, with the means over seeds.

        Args:
          *keys: Keys, each drawn in a chart of its own. Default the key by which the
            runs are ranked, or else the first one in common.

        Raises:
          KeyError: No run has such a key; the error names similar ones.
          ImportError: matplotlib is not installed.
        """
        advice = "Write plot('train/loss', 'val/loss')."
        require_texts("Comparison.plot", advice, keys=keys)
        self._check_recorded(keys)
        default = [self.ranked_by] if self.ranked_by is not None else self.keys[:1]
        return overlay(self, *(keys or default))

    def to_pandas(self) -> pandas.DataFrame:
        """Return the records of all runs as one data frame, after the name of the run.

        The other columns are those of `Run.to_pandas`; a key run is `run (2)`.

        Raises:
          ImportError: pandas is not installed.
        """
        frames = [run.to_pandas() for run in self.runs.values()]
        used = {"run", *(name for frame in frames for name in frame)}
        frames = [f.rename(columns={"run": unique_name("run", used)}) for f in frames]
        for name, frame in zip(self.runs, frames):
            frame.insert(0, "run", name)
        import pandas

        return pandas.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        """Return the names of the runs, the best one first."""
        by = f", ranked_by={self.ranked_by!r}" if self.ranked_by else ""
        return f"Comparison(runs={self.ranked()}, x={self.x!r}{by})"

    def __str__(self) -> str:
        """Return the table of the runs."""
        return comparison_text(self)

    def _repr_html_(self) -> str:
        """Return the table of the runs, for notebooks."""
        return comparison_html(self)

    def generate_plots(
        self,
        save_dir: str | os.PathLike[str],
        keys: str | Iterable[str] | None = None,
        *,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write `compare_<key>.png` for each key, and return the paths.

        Args:
          save_dir: Folder of the plots.
          keys: Keys to draw. Default the metrics of splits.
          overwrite: Replace existing files that are not plots of jaxmetrics.

        Raises:
          KeyError: No run has such a key; the error names similar ones.
          FileExistsError: A file of that name is not a plot of jaxmetrics.
          ImportError: matplotlib is not installed.
        """
        self._check_recorded(() if keys is None else one_or_many(keys))
        return save_overlays(self, Path(at_home(save_dir)), keys, overwrite)

    def _check_recorded(self, keys: Iterable[str]) -> None:
        """Refuse keys that no run has."""
        known = dict.fromkeys(key for run in self.runs.values() for key in run)
        for key in keys:
            if key not in known:
                raise _unknown_key(f"No run has {key!r}", key, known)

    def to_markdown(self) -> str:
        """Return the notes and tables as Markdown, with every text escaped."""
        return compare_markdown(self)

    def page(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write one HTML page with the tables and charts, and return its path.

        Args:
          path: File to write.
          overwrite: Replace an existing file that is not a page of jaxmetrics.

        Raises:
          FileExistsError: A file of that name is not a page of jaxmetrics.
        """
        return save_page(compare_page(self), Path(at_home(path)), overwrite)


def compare(
    paths: str | os.PathLike[str] | Run | Iterable[str | os.PathLike[str] | Run],
    x: str = "step",
    *,
    target: Mapping[str, float] | None = None,
    better: Mapping[str, Better] | None = None,
    seed: str = "seed",
    rank_by: str | None = None,
    where: str | None = None,
    sort: str | None = None,
) -> Comparison:
    """Align runs on one axis, and compare their configurations and results.

    A quantity that runs logged under different names, such as `lr/lr` and
    `train/learning_rate`, is compared under the key of the project.

    Args:
      paths: Runs, and whatever `find_runs` takes: run directories, projects, patterns,
        also below `runs/`. One of them may be given alone; they stand for at least two
        runs. A run that is given twice is one run.
      x: `"step"`, `"tokens"`, `"time"` (training seconds), or `"flops"`, which needs
        the FLOPs of a step, or of a token, in `run.json`.
      target: Values to reach by key, such as `{"val/loss": 2.0}`.
      better: `"min"` or `"max"` by key, for keys whose direction neither their metric,
        by `higher_is_better`, nor their name tells.
      seed: Name in the configuration in which the runs of a group may differ.
      rank_by: Key by whose best value the runs are ranked, those that diverged last;
        of a training loss by its level at the end, the median of the last 5 % of x.
        Default the loss of the evaluation, or the training loss.
      where: Condition that the runs meet, such as `"lr > 1e-3"`, as for `runs.list`.
        Default all runs.
      sort: Name of the value by which the runs are sorted in place of their ranks,
        likewise.

    Raises:
      FileNotFoundError: There is no run at a path.
      TypeError: `target` is not numbers by key.
      ValueError: There are fewer than two runs, a run has no positions on the axis, or
        it is not known whether higher or lower values of a target are better, or of
        the key to rank by.
      KeyError: No run has the key of a target, the key to rank by, or a name.
    """
    sources = (paths,) if isinstance(paths, Run) else one_or_many(paths)
    every = _distinct([r for p in sources for r in _loaded(p)])
    loaded, entries = _selected(every, where, sort, better or {})
    if where is not None and len(loaded) < 2:
        raise ValueError(
            f"compare(where={where!r}) leaves {len(loaded)} of {len(every)} runs; "
            f"expected at least two. Change the condition, or give more runs."
        )
    runs = named_runs(loaded)
    positions = {name: axis_positions(run) for name, run in runs.items()}
    _check(runs, x, positions)
    counts: dict[str, int] = {}
    for run in runs.values():
        for key in run:
            counts[key] = counts.get(key, 0) + 1
    keys = sorted((k for k, count in counts.items() if count > 1), key=is_telemetry)
    known = directions(counts, better or {}, (run.better for run in runs.values()))
    if rank_by is not None:
        _check_key(rank_by, counts, known, "rank_by=")
    configs = [flatten_config(redact(run.config)) for run in runs.values()]
    group_names = seed_groups(list(runs), configs, seed)

    def series_by_run(key: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {
            name: series_on_axis(run, key, positions[name][x])
            for name, run in runs.items()
            if key in run
        }

    compared = keys if rank_by is None or rank_by in keys else [*keys, rank_by]
    results = [
        result(key, name, series, known.get(key))
        for key in compared
        for name, series in series_by_run(key).items()
    ]
    targets = []
    for key, value in _checked_targets(target).items():
        _check_key(key, counts, known, "a target for ")
        for name, series in series_by_run(key).items():
            targets.append(reached(key, float(value), name, series, known[key]))
    ranked_by = rank_by or _ranking_key(runs, {k: known[k] for k in keys if k in known})
    judged = {one.run: one.judged for one in results if one.key == ranked_by}
    diverged = {n for n, e in zip(runs, entries) if e.state == "diverged"}
    different = config_difference(configs)
    related: Sequence[Relation] = ()
    if ranked_by is not None:
        alive = {name: v for name, v in judged.items() if name not in diverged}
        values = [alive.get(name, math.nan) for name in runs]
        related = relations(different, values, known[ranked_by], seed)
    return Comparison(
        runs=runs,
        x=x,
        keys=keys,
        notes=_notes(runs, counts),
        difference=different,
        groups=group_names,
        better=known,
        results=results,
        spreads=list(spreads(results, group_names, diverged)),
        reached=targets,
        positions=positions,
        ranked_by=ranked_by,
        relations=related,
        entries=dict(zip(runs, entries)),
        order=list(runs) if sort is not None else None,
    )


def _selected(
    runs: Sequence[Run],
    where: str | None,
    sort: str | None,
    better: Mapping[str, Better],
) -> tuple[list[Run], list[RunEntry]]:
    """Return the runs that meet a condition in their order, and their entries."""
    places = [
        ((run.path.resolve().parent.name, run.path.name), run.local_copy or run.path)
        for run in runs
    ]
    listed = list_entries("", places, loaded=runs).directed(better)
    by_entry = {id(entry): run for entry, run in zip(listed, runs)}
    if where is not None:
        listed = listed.where(where)
    if sort is not None:
        listed = listed.sorted(sort)
    return [by_entry[id(entry)] for entry in listed], list(listed)


def _loaded(path: str | os.PathLike[str] | Run) -> list[Run]:
    """Return the run of a path, or all runs of a project or a pattern."""
    if isinstance(path, Run):
        return [path]
    return [Run.load(found) for found in find_runs(path)]


def _distinct(runs: Sequence[Run]) -> list[Run]:
    """Return the runs, each once: twice the same run is not two seeds."""
    by_place: dict[Path, Run] = {}
    for run in runs:
        place = real_path(run.address)
        folder = place.parent if place.name == METRICS_JSONL else place
        by_place.setdefault(folder, run)
    return list(by_place.values())


def _ranking_key(runs: Mapping[str, Run], better: Mapping[str, Better]) -> str | None:
    """Return the key by which most runs choose a model, or of their training losses.

    Args:
      runs: Runs by name.
      better: Direction of each key that can be chosen.
    """
    chosen = [evaluation(run, run.unit, run.better) for run in runs.values()]
    keys = [one.key for one in chosen if one is not None and one.key in better]
    if not keys:
        losses = [key for run in runs.values() for key in run if key in better]
        keys = [key for key in losses if own_key(key)[0] == "train/loss"]
    return max(keys, key=keys.count) if keys else None


def _check(
    runs: Mapping[str, Run], x: str, positions: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Refuse an unknown axis, a single run, and runs that are not on the axis."""
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
        if len(run) and x not in positions[name]:
            missing = {
                "flops": "flops.per_step in its run.json. Use a PerformanceTracker "
                "that knows the FLOPs of a step",
                "tokens": "tokens. Log them with log_step(tokens=)",
                "time": "time",
            }
            raise ValueError(
                f"compare(x={x!r}) cannot align run {name!r} in {run.path}, which has "
                f"no {missing[x]}, or align by one of {list(positions[name])}."
            )


def _notes(runs: Mapping[str, Run], counts: Mapping[str, int]) -> list[str]:
    """Return sentences about keys that cannot be compared, and about configurations.

    Args:
      runs: Runs by name.
      counts: Number of runs by key.
    """
    notes = _copy_notes(runs)
    epochs = [name for name, run in runs.items() if run.unit == "epoch"]
    if epochs:
        whose = "" if len(epochs) == len(runs) else f" of {_listed(epochs)}"
        notes.append(f"The steps{whose} are epochs.")
    if max(counts.values(), default=0) < 2:
        notes.append("These runs have no metric in common, so no metric is compared.")
    for name, run in runs.items():
        unique = [key for key in run if counts[key] == 1]
        missing = [key for key, n in counts.items() if n > 1 and key not in run]
        if not run.keys():
            notes.append(f"{name} has no metrics.")
        elif unique:
            notes.append(f"Only {name} has {_listed(unique)}.")
        if missing and run.keys():
            notes.append(f"{name} does not have {_listed(missing)}.")
        notes += _config_notes(name, run)
    if (more := len(notes) - _MAX_NOTES) > 0:
        notes[_MAX_NOTES:] = [f"And {more:,} more notes like these."]
    return notes


def _copy_notes(runs: Mapping[str, Run]) -> list[str]:
    """Return a sentence for each run of which there are several copies."""
    by_id: dict[object, list[str]] = {}
    for name, run in runs.items():
        if isinstance(run_id := run.header.get("run_id"), str):
            by_id.setdefault(run_id, []).append(name)
    return [
        f"{_listed(names)} have the same run_id, as a run and its mirror, or a copied "
        f"folder; each of them counts as a run."
        for names in by_id.values()
        if len(names) > 1
    ]


def _config_notes(name: str, run: Run) -> list[str]:
    """Return a sentence for each of the last attempts that changed a configuration."""
    changes = changes_by_attempt(run.header)
    notes = [f"Attempt {n} of {name} changed {text}." for n, text in changes.items()]
    if (more := len(notes) - _MAX_ATTEMPTS) > 0:
        earlier = f"{more:,} earlier attempts of {name} changed the configuration too."
        return [earlier, *notes[-_MAX_ATTEMPTS:]]
    return notes


def _listed(keys: Sequence[str]) -> str:
    more = len(keys) - _MAX_LISTED_KEYS
    text = f" and {more:,} more" if more > 0 else ""
    return ", ".join(keys[:_MAX_LISTED_KEYS]) + text


def _check_key(
    key: str, counts: Mapping[str, int], better: Mapping[str, Better], what: str
) -> None:
    """Refuse an unknown key, and a key of unknown direction.

    Args:
      key: The key.
      counts: Number of runs by key.
      better: Direction by key.
      what: What the key was given as, for the error.
    """
    if key not in counts:
        problem = f"compare() got {what}{key!r}, which no run has"
        raise _unknown_key(problem, key, counts)
    if key not in better:
        raise UnknownDirectionError(key, what)


def _checked_targets(target: object) -> Mapping[str, float]:
    """Refuse what is not numbers by key."""
    advice = "Pass target={'val/loss': 2.0}."
    if not isinstance(target, Mapping | None):
        raise TypeError(
            f"compare() got target={target!r} of type {type(target).__name__}; "
            f"expected values by key. {advice}"
        )
    for key, value in (target or {}).items():
        require_numbers("compare()", advice, **{f"target[{key!r}]": value})
    return target or {}


def _unknown_key(problem: str, key: str, known: Iterable[str]) -> KeyError:
    """Return the error for a key that no run has, with similar ones."""
    keys = list(known)
    similar = difflib.get_close_matches(key, keys, n=5) or keys[:_MAX_LISTED_KEYS]
    return KeyError(f"{problem}; similar keys are {similar}. Choose a key of the runs.")
