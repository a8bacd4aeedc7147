"""Live view of a run as lines of text."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmetrics._other_names import explains_reading
from jaxmetrics.record import (
    EPOCHS_JSON,
    EVENTS_JSONL,
    METRICS_JSONL,
    RUN_JSON,
    Block,
    RunJsonError,
    duration,
    escape,
    one_or_many,
    read_epochs,
    read_run_json,
    read_summary,
    require_texts,
)
from jaxmetrics.runs.live._state import Events, Metrics
from jaxmetrics.runs.live._terminal import cut, plain, table_lines
from jaxmetrics.runs.reading import (
    Follower,
    State,
    StateReader,
    at_home,
    ended,
    importance,
    local_copy,
    place_of,
    rows_of_epochs,
    scope_of,
    telemetry_file,
)


@dataclass(frozen=True)
class View:
    """State of a run at one time, as `Tail.read` returns it.

    Attributes:
      name: Name of the run.
      metrics: Records so far.
      events: Events so far.
      changed: Time of the last change of the metrics, in seconds since the epoch; None
        if there are none.
      file: Name of the file of the metrics.
      unit: What steps count: `"step"` or `"epoch"`.
      state: State of the run, as `RunEntry.state`; None of files that are no run of a
        `TrainingLogger`.
      error: Type and message of the exception that ended the run; None without one.
    """

    name: str
    metrics: Metrics
    events: Events
    changed: float | None
    file: str = METRICS_JSONL
    unit: str = "step"
    state: State | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the same as plain values, for JSON."""
        metrics, events = self.metrics, self.events
        return {
            "run": self.name,
            "unit": self.unit,
            "step": metrics.step,
            "seconds": None if math.isnan(metrics.seconds) else metrics.seconds,
            "tokens": metrics.tokens,
            "records": metrics.records,
            "attempt": events.attempt,
            "closed": events.closed,
            "state": self.state,
            "error": self.error,
            "alarms": events.alarms,
            "damaged_lines": metrics.damaged,
            "more_keys": len(metrics.more_keys),
            "metrics": {key: one.to_dict() for key, one in metrics.series.items()},
        }


class Tail:
    """Follower of a run that is live, finished or killed.

    Each `read` takes in only what was added since the last one, and memory does not
    grow with the run. Damaged lines are skipped and counted.

    Args:
      path: Run directory, whose files need not exist yet; or a file of metrics, or the
        folder of an `EpochTracker` or of `TrainingTelemetry`. Or the address of a run,
        or of its copy in a mirror, of which each `read` takes in the new pieces.
      keys: Globs of the keys to keep, such as `["train/*", "perf/mfu"]`. Default all.
      name: Name to show. Default `<project>/<run_name>`, from the folders.

    Raises:
      TypeError: An argument is of another type, or unknown.
    """

    @explains_reading
    def __init__(
        self,
        path: str | os.PathLike[str],
        keys: str | Sequence[str] = ("*",),
        name: str | None = None,
    ) -> None:
        """Prepare; the first `read` reads the files."""
        require_texts("Tail", keys=keys, name=() if name is None else name)
        path = at_home(place_of(path))
        self._copy = local_copy(path)
        path = Path(path if self._copy is None else self._copy.folder)
        is_file = path.is_file()
        self._keys: tuple[str, ...] = one_or_many(keys)
        self._name = name or "/".join(path.resolve().parts[-2:])
        name = METRICS_JSONL
        if not any((path / file).is_file() for file in (METRICS_JSONL, RUN_JSON)):
            name = telemetry_file(path) or METRICS_JSONL
        self._metrics_file = Follower(path if is_file else path / name)
        self._events_file = None if is_file else Follower(path / EVENTS_JSONL)
        self._epochs_file = path / EPOCHS_JSON
        self._epochs_changed: float | None = None
        self._metrics, self._events = Metrics(self._keys), Events()

    def read(self) -> View:
        """Read the added lines, and return the state of the run.

        Raises:
          OSError: A file cannot be read, or is not a regular file.
        """
        if self._copy is not None:
            self._copy.refresh()
        if not self._metrics_file.path.exists() and self._epochs_file.is_file():
            return self._read_epochs()
        if self._metrics_file.restarted():
            self._metrics = Metrics(self._keys)
        for block in self._metrics_file.read():
            if isinstance(block, Block):
                self._metrics.add(block.rows, block.number)
            else:
                self._metrics.skip(block.number, str(block.reason))
        if self._events_file is not None:
            self._read_events(self._events_file)
        try:
            changed = self._metrics_file.path.stat().st_mtime
        except FileNotFoundError:
            changed = None
        file = self._metrics_file.path.name
        state, error = self._read_state(changed)
        return View(
            *(self._name, self._metrics, self._events, changed, file),
            state=state,
            error=error,
        )

    def _read_state(self, changed: float | None) -> tuple[State | None, str | None]:
        """Return the state of the run, and the error that ended it."""
        file, folder = self._events_file, self._metrics_file.path.parent
        if file is None or not (file.path.exists() or (folder / RUN_JSON).exists()):
            return None, None
        scope = None
        if self._copy is None:
            with contextlib.suppress(OSError, RunJsonError):
                scope = scope_of(read_run_json(folder, follow_links=True) or {})
        reader = StateReader(time.time())
        state = reader.state(folder, self._events.closed, changed, scope)
        state, error = ended(state, self._events.ending)
        is_diverged = self._metrics.is_diverged()
        if is_diverged is None:  # the training loss is not among the keys
            is_diverged = read_summary(folder).get("state") == "diverged"
        return "diverged" if is_diverged else state, error

    def _read_epochs(self) -> View:
        """Read the file of an `EpochTracker`, which is replaced after each epoch."""
        changed = self._epochs_file.stat().st_mtime
        epochs = None
        if changed != self._epochs_changed:
            epochs = read_epochs(self._epochs_file.parent, follow_links=True)
        if epochs is not None:
            self._metrics, self._epochs_changed = Metrics(self._keys), changed
            self._metrics.add(list(rows_of_epochs(epochs)))
        file = self._epochs_file.name
        return View(self._name, self._metrics, self._events, changed, file, "epoch")

    def _read_events(self, file: Follower) -> None:
        if file.restarted():
            self._events = Events()
        for block in file.read():
            if isinstance(block, Block):
                self._events.add(block.rows)


def tail_lines(
    view: View, now: float, width: int = 80, height: int | None = None
) -> list[str]:
    """Return lines for a terminal: a heading, and a line for each key, losses first.

    The sparklines cover the same steps, so that what happened together is in one
    column. Each is scaled from its minimum to its maximum, and a falling loss by its
    logarithm.

    Control characters in names and texts are escaped.

    Args:
      view: State from `Tail.read`.
      now: Current time in seconds, on the clock of `view.changed`.
      width: Maximum length of a line, in characters.
      height: Maximum number of lines; None for all keys.
    """
    heading = [*_heading(view, now), ""]
    rows = sorted(view.metrics.series.items(), key=lambda row: importance(row[0]))
    hidden = len(view.metrics.more_keys)
    room = len(rows) if height is None else max(height - len(heading) - 2, 1)
    if room < len(rows):
        room = max(room - 1, 1)
        hidden += len(rows) - room
    footer = [f"and {hidden:,} more keys"] if hidden else []
    if view.metrics.records and not rows and tuple(view.metrics.keys) != ("*",):
        globs = ", ".join(plain(key) for key in view.metrics.keys)
        footer = [f"the run has no key {globs}"]
    table = []
    if rows:
        names = [(plain(key),) for key, _ in rows[:room]]
        table = list(table_lines(("",), names, rows[:room], width))
    return [cut(line, width).rstrip() for line in [*heading, *table, *footer]]


def _heading(view: View, now: float) -> Iterator[str]:
    metrics, events = view.metrics, view.events
    parts = []
    if metrics.step is not None:
        parts.append(f"{view.unit} {metrics.step:,}")
    if math.isfinite(metrics.seconds):
        parts.append(f"{duration(metrics.seconds, fraction=True)} of training")
    if view.state is not None:
        parts.append(view.state)
    if events.closed or (view.state == "crashed" and metrics.records):
        parts += [] if view.state is not None else ["closed"]
    elif metrics.records and view.changed is not None:
        age = max(now - view.changed, 0.0)
        parts.append(f"last record {duration(age, fraction=True)} ago")
    else:
        missing = f"no {view.file}" if view.changed is None else "no record"
        parts.append(f"{missing} yet")
    if events.attempt is not None and events.attempt > 1:
        parts.append(f"attempt {events.attempt:,}")
    if metrics.tokens is not None:  # the last, which a narrow terminal cuts
        parts.append(f"{metrics.tokens:,} tokens")
    yield f"{escape(view.name)}: {' · '.join(parts)}"
    if view.error is not None:
        yield f"ended by {plain(view.error)}"
    if events.alarms:
        alarm = events.alarm
        message = alarm.get("message") or alarm.get("kind") or alarm.get("event")
        count = "1 alarm" if events.alarms == 1 else f"{events.alarms:,} alarms"
        step = alarm.get("step")
        step = f"{step:,}" if type(step) is int else plain(step)
        yield f"{count}, the last at step {step}: {plain(message)}"
    for number, reason in metrics.damage:
        yield f"line {number:,} was skipped: {plain(reason)}"
    if metrics.damaged > len(metrics.damage):
        yield f"{metrics.damaged:,} lines were skipped"
