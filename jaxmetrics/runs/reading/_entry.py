"""One run of a list: its state, its progress and its values, from few small reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxmetrics.record import (
    EVALUATION_SPLITS,
    EVENTS_JSONL,
    METRICS_JSONL,
    NO_DIRECTIONS,
    RUN_JSON,
    Better,
    RunEvents,
    RunJsonError,
    RunValues,
    Value,
    direction,
    dumps,
    flatten,
    hparams_of,
    is_diverged,
    read_progress,
    read_recent,
    read_run_json,
    recorded_directions,
    redact,
    spellings,
)
from jaxmetrics.runs.reading._copy import LocalCopy, local_copy
from jaxmetrics.runs.reading._quantities import Series, evaluation, is_train_loss
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._state import (
    State,
    StateReader,
    ended,
    last_event,
    scope_of,
)

_MAX_BYTES = 2**28  # of a record that are read
_FEW_BYTES = 2**22  # likewise, if the run is in memory
_LAST_VALUES = 200  # the most that `recent_level` uses
_TOTAL_STEPS = (
    *("total_steps", "num_steps", "max_steps", "train_steps", "num_train_steps"),
    *("training_steps", "steps"),
)
# Names of many other things, which count at the top or in one of these groups only.
_ANY_STEPS = ("num_steps", "max_steps", "steps")
_TRAINING_GROUPS = frozenset(
    ("train", "training", "trainer", "loop", "run", "config", "cfg", "hparams", "args")
)
_EVALUATION_GROUPS = frozenset(("evaluation", *EVALUATION_SPLITS))
_NO_SERIES: Series = (np.zeros(0), np.zeros(0))


class Chosen(NamedTuple):
    """The value by which a run is judged.

    It is the best loss of the evaluation, or of its first metric of known direction, or
    else the level of the training loss at its end, since the best training loss is that
    of one lucky batch.

    Attributes:
      key: Its key.
      better: Whether lower or higher values are better.
      last: Last value; None if it is unknown.
      best: Best finite value; None without one.
      best_step: Step of the best value.
      by: `"best"` or `"recent"`: which value judges.
      value: That value; None if it is unknown.
    """

    key: str
    better: Better
    last: float | None
    best: float | None
    best_step: int | None
    by: Literal["best", "recent"]
    value: float | None


@dataclass(frozen=True)
class RunEntry:
    """A run of a list.

    Attributes:
      id: `<project>/<run>`, the names of its folders.
      path: Path or address of the run.
      project: Name of the project.
      name: Name of the run.
      state: `"running"`: its lock is held on this machine, or, for a run of which this
        machine cannot see the lock, its record was changed in the last 5 minutes;
        `"closed"`; `"crashed"`: neither, or an exception ended it; or `"diverged"`: the
        last training loss is not finite. None if no logger wrote the run, as epochs or
        a file of metrics.
      step: Last training step, or the last step at all; None without a record.
      total_steps: Steps that the run is to have, by its configuration; None if unknown.
      elapsed: Training seconds over all attempts.
      created: Time at which the run was created, in seconds since the epoch.
      updated: Time of the last change of its record, likewise.
      attempts: Number of attempts.
      alarms: Number of alarms.
      error: Type and message of the exception that ended the run; None without one.
      chosen_by: The value by which the run is judged; None without one.
      last: Last value by key.
      best: Best finite value and its step by key, for keys of known direction.
      recent: Level of the training loss at its end, by key: the median of the last 5 %
        of the steps, of at least 10 and at most 200 records. None of a run that was
        recorded by an earlier version and has an evaluation.
      hparams: Configuration by dotted name; lists are JSON texts.
      group: Name of the group; equal for runs of a project that differ in their seed.
      problem: Description of what could not be read; None if there is nothing.
      better: Direction by key, of metrics that declare one which the key does not tell.
    """

    id: str
    path: str
    project: str
    name: str
    state: State | None = "crashed"
    step: int | None = None
    total_steps: int | None = None
    elapsed: float | None = None
    created: float | None = None
    updated: float | None = None
    attempts: int = 0
    alarms: int = 0
    error: str | None = None
    chosen_by: Chosen | None = None
    last: Mapping[str, float] = field(default_factory=dict, repr=False)
    best: Mapping[str, Value] = field(default_factory=dict, repr=False)
    recent: Mapping[str, float] = field(default_factory=dict, repr=False)
    hparams: Mapping[str, Any] = field(default_factory=dict, repr=False)
    group: str = ""
    problem: str | None = None
    better: Mapping[str, Better] = field(default_factory=dict, repr=False)

    @property
    def progress(self) -> float | None:
        """Share of the total steps that is done, in [0, 1]; None if unknown."""
        if self.step is None or not self.total_steps:
            return None
        return min(max(self.step / self.total_steps, 0.0), 1.0)

    @property
    def time_left(self) -> float | None:
        """Training seconds to the last step at the mean speed so far; None if unknown.

        Only a running run has time left.
        """
        if not self.progress or self.elapsed is None or self.state != "running":
            return None
        return self.elapsed * (1 / self.progress - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry in plain values, for JSON."""
        chosen = self.chosen_by
        names = (
            *("id", "project", "name", "state", "step", "total_steps", "progress"),
            *("elapsed", "time_left", "created", "updated", "attempts", "alarms"),
            *("error", "group", "problem"),
        )
        return {name: getattr(self, name) for name in names} | {
            "chosen_by": None if chosen is None else chosen._asdict(),
            "last": dict(self.last),
            "best": {key: value._asdict() for key, value in self.best.items()},
            "better": dict(self.better),
            "recent": dict(self.recent),
            "hparams": dict(self.hparams),
        }


class _Recorded(NamedTuple):
    """Facts of a run that are read from its files other than `run.json`.

    Attributes:
      values: Last and best values.
      step: As in `RunEntry`.
      elapsed: As in `RunEntry`.
      summary: `summary.json`; empty if it does not fit the record.
      damaged: Number of damaged lines of the record.
    """

    values: RunValues
    step: int | None = None
    elapsed: float | None = None
    summary: Mapping[str, Any] = MappingProxyType({})
    damaged: int = 0


class EntryReader:
    """Reader of the runs of one list.

    Args:
      now: Seconds since the epoch.
    """

    def __init__(self, now: float) -> None:
        """Read which files are locked on this machine."""
        self._states = StateReader(now)
        self._chosen: dict[tuple[Any, ...], tuple[str, Better] | None] = {}
        self._without_secrets: set[tuple[Any, ...]] = set()

    def read(
        self, path: Path | LocalCopy, names: tuple[str, str], run: Run | None = None
    ) -> RunEntry:
        """Return the entry of a run, without its group.

        What cannot be read is its `problem`; nothing is raised.

        Args:
          path: Path or address of the run, or its copy on this disk.
          names: Names of the folder of its project, and of its own.
          run: The run, if it was read already. A long record without a summary is then
            not read again.
        """
        try:
            is_copy = isinstance(path, LocalCopy)
            # Most runs are on this disk.
            record = None if is_copy else _stat(os.path.join(path, METRICS_JSONL))
            copy = local_copy(path) if record is None else None
            if copy is None:
                return self._read(Path(path), str(path), names, record, run)
            record = _stat(os.path.join(copy.folder, METRICS_JSONL))
            return self._read(
                copy.folder, copy.address, names, record, run, is_copy=True
            )
        except (OSError, ValueError, ImportError) as error:
            return RunEntry(
                *("/".join(names), str(path), *names), problem=_message(error)
            )

    def _read(
        self,
        folder: Path,
        address: str,
        names: tuple[str, str],
        record: os.stat_result | None,
        loaded: Run | None,
        is_copy: bool = False,
    ) -> RunEntry:
        problems: list[str] = []
        run: dict[str, Any] = {}
        try:
            run = read_run_json(folder, follow_links=True) or {}
        except RunJsonError as error:
            problems.append(f"{RUN_JSON}: {error.reason}")
        except OSError as error:
            problems.append(_message(error))
        better = recorded_directions(run)
        values, step, elapsed, summary, damaged = _Recorded(RunValues())
        try:
            if record is None:
                read = _of_other_files(folder, loaded)
            else:
                read = self._of_record(folder, better, loaded)
            values, step, elapsed, summary, damaged = read
        except (OSError, ValueError) as error:
            problems.append(_message(error))
        if damaged:
            lines = "line is" if damaged == 1 else "lines are"
            problems.append(f"{damaged:,} {lines} damaged in {METRICS_JSONL}")
        events, is_closed = RunEvents.from_summary(summary), summary.get("closed")
        event = last_event(folder) if is_closed is None or is_copy else {}
        if is_closed is None:
            is_closed = event.get("event") == "close"
        if is_copy:  # whose files are as old as the copy
            updated = _seconds(event.get("time"))
        else:
            file = record or _stat(os.path.join(folder, RUN_JSON))
            updated = None if file is None else file.st_mtime
        hparams = self._hparams(hparams_of(run))
        last = values.last_values()
        attempts, listed = run.get("attempts") or [], run.get("created")
        scope = None if is_copy else scope_of(run)
        state = self._states.state(folder, is_closed, updated, scope)
        with contextlib.suppress(OSError):
            events.read(folder)
        state, error = ended(state, events.ending)
        has_events = os.path.exists(os.path.join(folder, EVENTS_JSONL))
        is_logged = bool(run or summary or problems) or has_events
        return RunEntry(
            *("/".join(names), address),
            *(run.get("project", names[0]), run.get("run_name", names[1])),
            state="diverged" if is_diverged(values) else state if is_logged else None,
            step=step,
            elapsed=elapsed,
            total_steps=_total_steps(hparams),
            created=_seconds(listed),
            updated=updated,
            attempts=max(len(attempts), 1 if last else 0),
            alarms=events.alarms,
            error=error,
            chosen_by=self._chosen_by(values, last),
            last=last,
            best=values.best_values(),
            better=dict(values.better),
            recent=values.recent_values(),
            hparams=hparams,
            problem="; ".join(problems) or None,
        )

    def _of_record(
        self, folder: Path, better: Mapping[str, Better], run: Run | None
    ) -> _Recorded:
        """Return what the summary and the record of a run tell.

        Args:
          folder: Folder of the run.
          better: Directions that the run recorded, by key.
          run: The run, if it was read already.

        Raises:
          ValueError: Too much of the record is in no summary.
          OSError: The record cannot be read.
        """
        if run is not None:
            try:
                progress = read_progress(folder, _FEW_BYTES, better=better)
            except ValueError:
                return _of_run(run, better)
        else:
            progress = read_progress(folder, _MAX_BYTES, better=better)
        index, values, summary, damaged = progress
        if values.has_unknown and run is not None:
            values = _of_run(run, better).values
        elif values.has_unknown:
            with contextlib.suppress(ValueError):  # a record that is too long
                progress = read_progress(folder, _MAX_BYTES, whole=True, better=better)
                values = progress.values
        if values.lacks_recent and self._is_by_recent(values):
            read_recent(folder, progress)
        steps, seconds = index.last()
        step = steps.get("train", max(steps.values(), default=None))
        return _Recorded(values, step, seconds if steps else None, summary, damaged)

    def _hparams(self, hparams: Mapping[str, Any]) -> dict[str, Any]:
        """Return a flat configuration, without secrets in a file edited by hand.

        Names and texts make a secret, not numbers, and runs of a sweep have the same.
        """
        flat = _flat(hparams)
        texts = tuple(
            (n, v if isinstance(v, str) else type(v)) for n, v in flat.items()
        )
        if texts not in self._without_secrets:
            redacted = _flat(redact(hparams))
            if redacted != flat:
                return redacted
            self._without_secrets.add(texts)
        return flat

    def _is_by_recent(self, values: RunValues) -> bool:
        """Return whether a run is judged by the level of its training loss."""
        choice = self._choice(values.last_values(), values.better)
        return choice is not None and is_train_loss(choice[0])

    def _choice(
        self, last: Mapping[str, float], better: Mapping[str, Better]
    ) -> tuple[str, Better] | None:
        same = (*last, *sorted(better.items()))
        if same not in self._chosen:  # as runs of a sweep have them
            self._chosen[same] = _choose(last, better)
        return self._chosen[same]

    def _chosen_by(self, values: RunValues, last: Mapping[str, float]) -> Chosen | None:
        if (choice := self._choice(last, values.better)) is None:
            return None
        key, better = choice
        best = values.best(key)
        value, step = (None, None) if best is None else best
        if is_train_loss(key):
            level = values.recent(key)
            return Chosen(key, better, last.get(key), value, step, "recent", level)
        return Chosen(key, better, last.get(key), value, step, "best", value)


def shown_state(entry: RunEntry) -> str | None:
    """Return the state in tables and conditions, `"damaged"` if there is a problem."""
    return entry.state if entry.problem is None else "damaged"


def _choose(
    keys: Iterable[str], recorded: Mapping[str, Better]
) -> tuple[str, Better] | None:
    """Return the key by which a run is judged, and its direction."""
    columns = dict.fromkeys(keys, _NO_SERIES)
    if (chosen := evaluation(columns, "step", recorded)) is not None:
        return chosen.key, chosen.better
    losses = (name for name in spellings("train/loss") if name in columns)
    if (key := next(losses, None)) is None or (
        better := direction(key, recorded)
    ) is None:
        return None
    return key, better


def _of_other_files(folder: Path, run: Run | None = None) -> _Recorded:
    """Return what the files of epochs or telemetry tell, which are read whole."""
    if run is None:
        try:
            run = Run.load(folder, errors="skip")
        except FileNotFoundError:
            return _Recorded(RunValues())
    return _of_run(run, NO_DIRECTIONS)


def _of_run(run: Run, better: Mapping[str, Better]) -> _Recorded:
    """Return the facts of a loaded run, from the values that determine them."""
    values = RunValues(better)
    for key in run:
        steps, column = run[key]
        finite = np.flatnonzero(np.isfinite(column))
        ends = [column[finite].argmin(), column[finite].argmax()] if len(finite) else []
        last = np.arange(max(len(column) - _LAST_VALUES, 0), len(column))
        for at in np.union1d([0, *finite[ends]], last).astype(np.int64).tolist():
            row = {"step": int(steps[at]), "split": "train", key: float(column[at])}
            values.add(row)
    seconds = run.seconds if run.seconds == run.seconds else None
    return _Recorded(values, run.last_step, seconds, damaged=len(run.bad))


def _flat(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Return one value for each dotted name; lists are written as JSON."""
    flat: dict[str, Any] = {}
    for name, value in flatten(hparams, separator=".") if hparams else ():
        while name in flat:  # {"a": {"b": 1}, "a.b": 2} has two of one name
            name += "'"
        is_plain = value is None or isinstance(value, str | int | float)
        flat[name] = value if is_plain else dumps(value)
    return flat


def _total_steps(hparams: Mapping[str, Any]) -> int | None:
    """Return the number of steps by its usual names, the least nested one first."""
    for name in _TOTAL_STEPS:
        matches = [n for n in hparams if name == n or n.endswith(f".{name}")]
        matches = [match for match in matches if _is_of_training(match)]
        for match in sorted(matches, key=lambda n: n.count(".")):
            value = hparams[match]
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and 1 <= value < 2**63:
                return int(value)
    return None


def _is_of_training(name: str) -> bool:
    """Return whether a number of steps is that of the training, by its groups."""
    *groups, last = name.lower().split(".")
    words = [set(group.split("_")) for group in groups]
    if any(_EVALUATION_GROUPS & group for group in words):
        return False
    return last not in _ANY_STEPS or not words or bool(_TRAINING_GROUPS & words[-1])


def _seconds(time: object) -> float | None:
    """Return an ISO 8601 time in seconds since the epoch; None if it is not one."""
    with contextlib.suppress(ValueError, OverflowError):
        if isinstance(time, str):
            return datetime.fromisoformat(time).timestamp()
    return None


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):  # a name with a NUL
        return None


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = Path(str(error.filename)).name if error.filename else ""
        return f"{name}: {error.strerror}".removeprefix(": ")
    return str(error)
