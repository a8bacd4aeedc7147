"""A live view of a run for a terminal: what is known of it, as lines of text."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmetrics.record import EVENTS_JSONL, METRICS_JSONL, Block, escape
from jaxmetrics.runs.live._follow import Follower
from jaxmetrics.runs.live._sparkline import sparkline
from jaxmetrics.runs.live._watched import Events, Metrics, Series
from jaxmetrics.runs.reading import duration

_LEAST_KEY, _MOST_BARS, _LONGEST_TEXT = 12, 60, 24


@dataclass(frozen=True)
class View:
    """What is known of a run at one time.

    Attributes:
      name: What it is called.
      metrics: Its metrics so far.
      events: Its events so far.
      changed: When its metrics last changed, in seconds; None without any.
    """

    name: str
    metrics: Metrics
    events: Events
    changed: float | None

    def told(self) -> dict[str, object]:
        """The same as data."""
        metrics, events = self.metrics, self.events
        return {
            "run": self.name,
            "step": metrics.step,
            "seconds": None if math.isnan(metrics.seconds) else metrics.seconds,
            "tokens": metrics.tokens,
            "records": metrics.records,
            "attempt": events.attempt,
            "closed": events.closed,
            "alarms": events.alarms,
            "damaged_lines": metrics.damaged,
            "metrics": {key: _told(of) for key, of in metrics.series.items()},
        }


class Tail:
    """Follows a run that is live, finished or killed.

    Each `read` takes in what was added since, so that a long run is read once, and
    what is kept does not grow with it. A damaged line is passed over, and counted.

    Args:
      path: A run directory, whose files need not be there yet, or a file of metrics.
      keys: Globs of the keys to keep: `["train/*", "perf/mfu"]`.
      name: What to call it; `<project>/<run_name>` by its folders if not given.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        keys: Sequence[str] = ("*",),
        name: str | None = None,
    ) -> None:
        """Read nothing yet."""
        path = Path(path)
        alone = path.is_file()
        self._keys = tuple(keys)
        self._name = name or "/".join(path.resolve().parts[-2:])
        self._metrics_file = Follower(path if alone else path / METRICS_JSONL)
        self._events_file = None if alone else Follower(path / EVENTS_JSONL)
        self._metrics, self._events = Metrics(self._keys), Events()

    def read(self) -> View:
        """Take in what was added.

        Raises:
          OSError: A file cannot be read, or is not a regular file.
        """
        if self._metrics_file.changed():
            self._metrics = Metrics(self._keys)
        for found in self._metrics_file.read():
            if isinstance(found, Block):
                self._metrics.add(found.number, found.rows)
            elif found.row is None:
                self._metrics.pass_over(found.number, str(found.reason))
            else:
                self._metrics.add(found.number, [found.row])
        if self._events_file is not None:
            self._read_events(self._events_file)
        try:
            changed = self._metrics_file.path.stat().st_mtime
        except FileNotFoundError:
            changed = None
        return View(self._name, self._metrics, self._events, changed)

    def _read_events(self, file: Follower) -> None:
        if file.changed():
            self._events = Events()
        for found in file.read():
            if isinstance(found, Block):
                self._events.add(found.rows)
            elif found.row is not None:
                self._events.add([found.row])


def tail_lines(
    view: View, now: float, width: int = 80, height: int | None = None
) -> list[str]:
    """What a terminal shows of a run: a line on it, and one for each key.

    No character of a name or a text reaches a terminal that it would obey.

    Args:
      view: What `Tail.read` returned.
      now: Seconds, on the clock of `view.changed`.
      width: The longest line, in characters.
      height: The most lines; None for all keys.
    """
    above = [*_head(view, now), ""]
    rows = list(view.metrics.series.items())
    more = len(view.metrics.more_keys)
    room = len(rows) if height is None else max(height - len(above) - 2, 1)
    if room < len(rows):
        room, more = max(room - 1, 1), more + len(rows) - max(room - 1, 1)
    below = [f"and {more:,} more keys"] if more else []
    table = list(_table(rows[:room], width)) if rows else []
    return [_cut(line, width).rstrip() for line in [*above, *table, *below]]


def _head(view: View, now: float) -> Iterator[str]:
    metrics, events = view.metrics, view.events
    parts = []
    if metrics.step is not None:
        parts.append(f"step {metrics.step:,}")
    if math.isfinite(metrics.seconds):
        parts.append(f"{duration(metrics.seconds)} of training")
    if metrics.tokens is not None:
        parts.append(f"{metrics.tokens:,} tokens")
    if events.attempt is not None and events.attempt > 1:
        parts.append(f"attempt {events.attempt:,}")
    if events.closed:
        parts.append("closed")
    elif metrics.records and view.changed is not None:
        parts.append(f"last record {duration(max(now - view.changed, 0.0))} ago")
    else:
        parts.append("no record yet")
    yield f"{escape(view.name)}: {' · '.join(parts)}"
    if events.alarms:
        alarm = events.alarm
        what = alarm.get("message") or alarm.get("kind") or alarm.get("event")
        count = "1 alarm" if events.alarms == 1 else f"{events.alarms:,} alarms"
        yield f"{count}, the last at step {_text(alarm.get('step'))}: {_text(what)}"
    for number, reason in metrics.damage:
        yield f"line {number:,} was passed over: {_text(reason)}"
    if metrics.damaged > len(metrics.damage):
        yield f"{metrics.damaged:,} lines were passed over"


def _table(rows: Sequence[tuple[str, Series]], width: int) -> Iterator[str]:
    names = ("last", "least", "greatest")
    cells = [(_text(key), *_values(of)) for key, of in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    widths[1:] = [max(w, len(n)) for w, n in zip(widths[1:], names)]
    widths[0] = min(widths[0], max(width - sum(widths[1:]) - 6, _LEAST_KEY))
    bars = min(width - sum(widths) - 8, _MOST_BARS)
    yield _row(("", *names), widths)
    for row, (_, of) in zip(cells, rows):
        line = _row((_cut(row[0], widths[0]), *row[1:]), widths)
        course = sparkline(of.course.means(bars)) if bars > 0 else ""
        yield f"{line}  {course}"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    right = "".join(f"  {c:>{w}}" for c, w in zip(cells[1:], widths[1:]))
    return f"{cells[0]:<{widths[0]}}{right}"


def _values(of: Series) -> tuple[str, str, str]:
    if isinstance(of.last, str):
        last = _cut(repr(escape(of.last)), _LONGEST_TEXT)
    else:
        last = f"{of.last:.5g}"
    if not of.count or of.count == of.nonfinite:
        return last, "", ""
    return last, f"{of.least:.5g}", f"{of.greatest:.5g}"


def _told(of: Series) -> dict[str, object]:
    finite = of.count > of.nonfinite
    return {
        "last": of.last,
        "last_step": of.step,
        "min": of.least if finite else None,
        "min_step": of.least_step,
        "max": of.greatest if finite else None,
        "max_step": of.greatest_step,
        "count": of.count,
        "nonfinite": of.nonfinite,
    }


def _text(value: object) -> str:
    return escape(str(value))


def _cut(text: str, width: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
