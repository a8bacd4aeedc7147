"""List runs: one row each, from the summaries that they keep."""

from __future__ import annotations

import dataclasses
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from jaxmetrics.record import (
    Better,
    Value,
    direction,
    dumps,
    duration,
    html_table,
    is_remote,
)
from jaxmetrics.runs.reading._better import directions
from jaxmetrics.runs.reading._config import seed_groups, short_names, unique_name
from jaxmetrics.runs.reading._copy import LocalCopy
from jaxmetrics.runs.reading._entry import EntryReader, RunEntry, shown_state
from jaxmetrics.runs.reading._errors import RunNotFoundError
from jaxmetrics.runs.reading._find import is_run, place_of, real_path, runs_below
from jaxmetrics.runs.reading._format import format_number
from jaxmetrics.runs.reading._results import result
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._where import (
    Names,
    Order,
    condition,
    names_in,
    order_of,
    value_of,
)

if TYPE_CHECKING:
    import pandas

_MAX_HTML_ROWS = 50
_SHOWN_FIELDS = ("state", "step", "elapsed", "id", "name", "project")
_MAX_HPARAMS = 6  # columns of a table
_MAX_ERROR = 60  # characters of a table


class RunList(Sequence[RunEntry]):
    """Runs of a folder, one entry each; returned by `runs.list`.

    Attributes:
      root: Folder that was listed.
      names: Names that conditions and orders of these runs may use.
      order: Value by which they are sorted; None for the order of their names.
    """

    def __init__(
        self,
        root: str,
        entries: Sequence[RunEntry],
        names: Names,
        better: Mapping[str, Better] | None = None,
        order: Order | None = None,
    ) -> None:
        """Store the parts; `runs.list` makes them."""
        self.root = root
        self.names = names
        self.order = order
        self._better = better or {}
        self._entries = tuple(entries)
        self._asks_for_errors = False

    @overload
    def __getitem__(self, index: int) -> RunEntry: ...

    @overload
    def __getitem__(self, index: slice) -> RunList: ...

    def __getitem__(self, index: int | slice) -> RunEntry | RunList:
        """Return an entry, or the list of some of them."""
        if isinstance(index, slice):
            return self._with(self._entries[index])
        return self._entries[index]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._entries)

    def __iter__(self) -> Iterator[RunEntry]:
        """Iterate over the entries."""
        return iter(self._entries)

    def __repr__(self) -> str:
        """Return the folder and the number of runs."""
        return f"RunList({self.root!r}, runs={len(self)})"

    @property
    def better(self) -> dict[str, Better]:
        """Direction in which values improve, `"min"` or `"max"`, by key."""
        recorded = (entry.better for entry in self)
        return directions(self.names.keys, self._better, recorded)

    @property
    def varied(self) -> list[str]:
        """Names of the configuration whose values differ between the runs."""
        texts: dict[str, set[str]] = {}
        for entry in self:
            for name in self.names.hparams:
                text = repr(entry.hparams.get(name))
                texts.setdefault(name, set()).add(text)
        return [name for name, values in texts.items() if len(values) > 1]

    def where(self, text: str) -> RunList:
        """Return the runs that meet a condition, such as `"lr > 1e-3"`.

        Args:
          text: Comparisons of names with numbers and texts, joined by `and`, `or`,
            `not`; `name in (1, 2)`. A name is a field of `RunEntry`, a dotted name of
            the configuration or its last part if that is unique, or a key, which
            stands for its last value; `best(val/loss)` is its best value, and
            `recent(train/loss)` the level of a training loss at its end.
            `"OutOfMemory" in error` looks for a part of the exception that ended a run;
            a table then has it after the state. Names with
            other characters than letters, digits and `._/-` are in backquotes.
            Comparisons with missing values are False.

        Raises:
          ValueError: The text is not a condition.
          KeyError: A name is unknown; the error names similar ones.
        """
        if not self:
            return self
        meets = condition(text, self.names)
        listed = self._with([e for e in self if meets(e)])
        listed._asks_for_errors |= "error" in names_in(text)
        return listed

    def directed(self, better: Mapping[str, Better]) -> RunList:
        """Return the runs with given directions of keys, and the best values by them.

        The records are read for best values that the summaries do not have.

        Args:
          better: `"min"` or `"max"` by key, for keys whose direction their name does
            not tell.

        Raises:
          ValueError: A direction is neither.
          OSError: A record cannot be read.
        """
        directions((), better)
        own: dict[str, Better] = {**self._better, **better}
        entries = [_with_best(entry, better) for entry in self]
        names = Names.of(entries)
        return self._like(RunList(self.root, entries, names, own, self.order))

    def sorted(self, name: str) -> RunList:
        """Return the runs in the order of a value, the best first; missing ones last.

        Runs that diverged come after all others, whatever the order of a key.

        Args:
          name: A name as in `where`, but that a key stands for the value by which runs
            are judged by it: the best one, the level at the end of a training loss, and
            the last one of a key of unknown direction. Keys of which higher values are
            better are in descending order, all others in ascending order; a `-` before
            the name reverses it.

        Raises:
          KeyError: The name is unknown; the error names similar ones.
        """
        if not self:
            return self
        order = order_of(name, self.names, self.better)
        values = [
            (order.get(entry), entry) for entry in self if not order.is_last(entry)
        ]
        known = [(v, e) for v, e in values if v is not None and v == v]
        missing = [e for v, e in values if v is None or v != v]
        known.sort(key=lambda pair: _order(pair[0]), reverse=order.higher_first)
        diverged = [entry for entry in self if order.is_last(entry)]
        entries = [*(entry for _, entry in known), *missing, *diverged]
        return self._like(RunList(self.root, entries, self.names, self._better, order))

    @property
    def order_note(self) -> str:
        """A sentence about the order of the runs; empty without one."""
        if self.order is None:
            return ""
        return self.order.sentence(sum(map(self.order.is_last, self)))

    def _with(self, entries: Sequence[RunEntry]) -> RunList:
        return self._like(
            RunList(self.root, entries, self.names, self._better, self.order)
        )

    def _like(self, other: RunList) -> RunList:
        """Have another list show the columns that were asked for from this one."""
        other._asks_for_errors = self._asks_for_errors
        return other

    def to_json(self) -> str:
        """Return the entries as a JSON list; numbers that are not finite are texts."""
        return dumps([entry.to_dict() for entry in self])

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame of one row for each run.

        Its columns are the fields of `RunEntry`, `hparams.<name>`, the last values by
        key, `best(<key>)`, and `recent(<key>)` of training losses. A key with the name
        of a field is numbered: `state (2)`.

        Raises:
          ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "RunList.to_pandas() needs pandas, which is not installed. Run "
                "`pip install jaxmetrics[pandas]`, or use to_json()."
            ) from error
        rows = []
        for entry in self:
            row = entry.to_dict()
            fields = set(row)
            chosen, last = row.pop("chosen_by"), row.pop("last")
            best, recent = row.pop("best"), row.pop("recent")
            hparams, _ = row.pop("hparams"), row.pop("better")
            row["chosen_by"] = None if chosen is None else chosen["key"]
            row |= {f"hparams.{name}": value for name, value in hparams.items()}
            row |= {unique_name(key, fields): value for key, value in last.items()}
            row |= {f"best({key})": one["value"] for key, one in best.items()}
            row |= {f"recent({key})": value for key, value in recent.items()}
            rows.append(row)
        return pandas.DataFrame(rows)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the names and the texts of the columns of a table for people.

        The value by which most runs are judged comes after the state, then the one by
        which they are sorted, and the values of the configuration in which they differ.
        The exception that ended a run is last, or after the state if a condition asks
        for it.
        """
        judged = [(c.key, c.by) for e in self if (c := e.chosen_by) is not None]
        key, by = max(judged, key=judged.count) if judged else (None, "best")
        hparams = [name for name in self.varied if not _is_long(self, name)]
        hparams = hparams[:_MAX_HPARAMS]
        names = ["run", "state"]
        names += [f"{by} {key}", f"last {key}"] if key is not None else []
        has_errors = any(entry.error is not None for entry in self)
        shown = {*names, *hparams, *_SHOWN_FIELDS, *(["error"] if has_errors else [])}
        order = self.order
        order = None if order is None or order.column in shown else order
        names += [] if order is None else [order.column]
        names += ["step", "training time", *short_names(hparams)]
        place = 2 if self._asks_for_errors else len(names)
        names[place:place] = ["ended by"] if has_errors else []
        rows = []
        for entry in self:
            row = [entry.id, shown_state(entry) or "–"]
            if key is not None:
                best = entry.best.get(key)
                value = entry.recent.get(key) if by == "recent" else best and best.value
                row += [_number(value), _number(entry.last.get(key))]
            row += [] if order is None else [_value_text(order, entry)]
            progress = entry.progress if entry.state == "running" else None
            step = "–" if entry.step is None else f"{entry.step:,}"
            row.append(step if progress is None else f"{step} ({progress:.0%})")
            seconds = entry.elapsed
            row.append("–" if seconds is None else duration(seconds))
            row += [_text(entry.hparams.get(name)) for name in hparams]
            row[place:place] = [_shortened(entry.error or "–")] if has_errors else []
            rows.append(row)
        return names, rows

    def _repr_html_(self) -> str:
        """Return a table of the runs, for notebooks."""
        names, rows = self[:_MAX_HTML_ROWS].table()
        if (more := len(self) - _MAX_HTML_ROWS) > 0:
            rows.append([f"and {more:,} more", *[""] * (len(names) - 1)])
        caption = f"{len(self):,} runs in {self.root}. {self.order_note}".strip(". ")
        return html_table(names, rows, caption, right=2)


def list_runs(
    root: str | os.PathLike[str] = "runs",
    where: str | None = None,
    sort: str | None = None,
    better: Mapping[str, Better] | None = None,
) -> RunList:
    """List the runs of a folder, one entry each.

    An entry has the state of a run, its step, last and best values, and its
    configuration. It is made of `run.json`, `summary.json` and the few rows after it.
    A run that is damaged has a `problem`, and is no error.

    Args:
      root: Folder of all projects, a project, or a run, also by its path below `runs`;
        or its address, such as `gs://bucket/runs`, or that of a mirror.
      where: Condition that the runs meet, such as `"lr > 1e-3 and width == 512"`; see
        `RunList.where`. Default all runs.
      sort: Name of the value by which they are sorted, such as `"val/loss"`, the best
        first; see `RunList.sorted`. Default the order of their names.
      better: `"min"` or `"max"` by key, for keys whose direction their name does not
        tell, as for `compare`.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: `where` is not a condition, or a direction is unknown.
      KeyError: A name is unknown; the error names similar ones.
      OSError: A bucket cannot be reached.
    """
    path = Path(place_of(root)).expanduser()
    paths = [path] if is_run(path) else runs_below(path)
    if not paths and not is_remote(path) and not path.is_dir():
        raise RunNotFoundError(
            f"There is no folder {root}.",
            "Give the folder of all projects, such as runs, a project or a run.",
        )
    parts = real_path(path).parts
    named = [((*parts, *f.relative_to(path).parts)[-2:], f) for f in paths]
    runs = list_entries(str(root), [((n[0], n[-1]), found) for n, found in named])
    for key in better or ():
        value_of(f"last({key})", runs.names, "better")  # raises for an unknown key
    runs = runs.directed(better) if better else runs
    runs = runs if where is None else runs.where(where)
    return runs if sort is None else runs.sorted(sort)


def list_entries(
    root: str,
    paths: Sequence[tuple[tuple[str, str], Path | LocalCopy]],
    kept: Mapping[Path, RunEntry] | None = None,
    loaded: Sequence[Run | None] | None = None,
) -> RunList:
    """Return the list of given runs.

    Args:
      root: Folder of the runs, as it is shown.
      paths: Runs, each after the names of the folder of its project and of its own.
      kept: Entries of runs that need not be read again.
      loaded: Each run if it was loaded already, else None.
    """
    reader = EntryReader(time.time())
    entries: list[RunEntry] = []
    for (names, path), run in zip(paths, loaded or [None] * len(paths)):
        known = kept.get(path) if kept and isinstance(path, Path) else None
        entries.append(known or reader.read(path, names, run))
    entries = _grouped(entries)
    return RunList(root, entries, Names.of(entries))


def _grouped(entries: Sequence[RunEntry], seed: str = "seed") -> list[RunEntry]:
    """Return the entries with the names of their groups."""
    by_project: dict[str, list[RunEntry]] = {}
    for entry in entries:
        by_project.setdefault(entry.project, []).append(entry)
    groups: dict[str, str] = {}
    for project, members in by_project.items():
        configs = [{n: str(v) for n, v in e.hparams.items()} for e in members]
        ids = [entry.id for entry in members]
        for name, runs in seed_groups(ids, configs, seed).items():
            is_id = [name] == runs
            groups |= dict.fromkeys(runs, name if is_id else f"{project}: {name}")
    return [
        entry
        if entry.group == (group := groups[entry.id])
        else dataclasses.replace(entry, group=group)
        for entry in entries
    ]


def _with_best(entry: RunEntry, better: Mapping[str, Better]) -> RunEntry:
    """Return an entry with its best values by given directions."""
    given: dict[str, Better] = {
        key: d for key, d in better.items() if direction(key, entry.better) != d
    }
    best = dict(entry.best)
    if not given.keys() & entry.last.keys():
        return entry
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        run = Run.load(entry.path, errors="skip")
    for key, d in given.items():
        best.pop(key, None)
        if key in run:
            one = result(key, entry.name, run[key], d)
            if math.isfinite(one.best):
                best[key] = Value(one.best, int(one.best_x))
    return dataclasses.replace(entry, best=best, better={**entry.better, **given})


def _value_text(order: Order, entry: RunEntry) -> str:
    """Return the value by which a run is sorted as text."""
    value = order.get(entry)
    if order.column in ("created", "updated") and value is not None:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M")
    if order.column == "time_left" and value is not None:
        return duration(value)
    return _text(value)


def _order(value: Any) -> tuple[bool, Any]:
    """Return a key by which numbers come before texts."""
    is_number = isinstance(value, int | float)
    return (not is_number, value if is_number else str(value))


def _is_long(runs: RunList, name: str) -> bool:
    return any(len(str(entry.hparams.get(name))) > 24 for entry in runs)


def _number(value: float | None) -> str:
    return "–" if value is None else format_number(value)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_ERROR else f"{text[: _MAX_ERROR - 1]}…"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return format_number(value) if math.isfinite(value) else str(value)
    return "–" if value is None else str(value)
