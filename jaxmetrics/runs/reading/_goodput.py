"""Split the time of a run into productive steps and overhead, from its event ledger.

**Time.** Within an attempt events are placed by `elapsed`, the seconds since the ledger
was opened, because the time of day may be set meanwhile. The gap between two attempts,
and events of older files, which have no `elapsed`, are measured by the time of day.

**Pieces.** Each event of the ledger has the time at which it ended. Events of kind
`start`, `step`, `restore` and `close` are signs of progress: they say which update had
been done. The time between two consecutive signs is a *piece*, and the pieces of a run
add up to its length. A piece that ends with a higher step than before is `step` time;
any other is `init` before the first update of an attempt and `other` after it; from the
last event of an attempt to the next `start` it is `idle`. For example:

    second  0   start
    second  5   init, seconds=5             measured; ends no piece
    second 15   step 1                      piece  0-15: 5 s init, 10 s step
    second 45   step 4                      piece 15-45: 30 s step
    second 90   start, restored_step=3      piece 45-90: 45 s idle

The last `start` shows that one of the three updates of the second piece has to be
repeated, so a third of its step time becomes `rewind`.

**Measured time.** Events with `seconds`, such as `compile` or `checkpoint`, lie within
a piece and are subtracted from it; what remains is its `rest`. They may overlap, as a
compilation during an evaluation does, but each second belongs to one category: first
those of `_PRECEDENCE`, in that order, then all others; each counts only what the
earlier ones have not covered. Events of `_SUMS`, and merged ones, which `repeated`
marks, are totals of many short waits, which have no position. They are taken out of the
step time before them, last piece first.

All times are whole microseconds, so that the categories add up exactly.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jaxmetrics.record import EVENTS_JSONL, scan_lines
from jaxmetrics.runs.reading._copy import at_home, local_copy
from jaxmetrics.runs.reading._find import place_of

# Of overlapping measurements, the first of these counts.
_PRECEDENCE = ("compile", "restore", "checkpoint", "evaluation", "profile", "init")
_SUMS = frozenset({"data_wait", "logging"})
# Their `seconds`, if they have any, are not a duration to subtract.
_SIGNS = frozenset({"start", "step", "close"})
_SECOND = 1_000_000  # microseconds
_MAX_SECONDS = 1e10  # a longer event is damage


def goodput(path: str | os.PathLike[str]) -> dict[str, float]:
    """Return the share of a run's time that made progress, and the time by category.

    The time of a run goes from its first event to its last, over all attempts. The
    categories add up to it:

    - `step`: updates whose results were kept. Their share is the goodput.
    - `rewind`: updates that a later attempt repeated, starting from its checkpoint.
    - `idle`: from the last sign of progress of an attempt to the start of the next.
    - `init`: from the start of an attempt to its first update.
    - `compile`, `restore`, `checkpoint`, `evaluation`, `profile`, `data_wait`,
      `logging`, and user events that have `seconds`: measured time.
    - `other`: after the last update of an attempt.

    After a kill, work since the last sign of progress counts as idle. The first piece
    of an attempt holds startup and updates; its updates are assumed to be as long as
    later ones.

    Args:
      path: Run directory, its address or that of its copy in a mirror; or its
        `events.jsonl`.

    Returns:
      `{"goodput": ratio, "<category>": seconds}`, longest category first, without
      empty categories. The ratio is in [0, 1], and nan for a run of no length.

    Raises:
      FileNotFoundError: There are no events.
    """
    path = at_home(place_of(path))
    copy = local_copy(path)
    file = Path(path if copy is None else copy.folder)
    file = file / EVENTS_JSONL if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(
            f"goodput() found no {file}. Give the directory of a run, such as "
            f"runs/<project>/<run_name>."
        )
    rows = (line.row for line in scan_lines(file))
    return goodput_of_events(row for row in rows if row is not None)


def goodput_of_events(events: Iterable[Mapping[str, object]]) -> dict[str, float]:
    """Return the `goodput` of rows of an events file; rows that are not events count 0.

    Args:
      events: Rows in the order of the file.
    """
    pieces = _pieces(list(_parsed(events)))
    step_lengths = [
        piece.rest / piece.steps
        for piece in pieces
        if piece.steps and piece.rest and not piece.first
    ]
    spent: dict[str, int] = {}
    for piece in pieces:
        rest = piece.rest
        if piece.steps and piece.first and step_lengths:
            expected = round(statistics.median(step_lengths) * piece.steps)
            _add(spent, "init", max(0, rest - expected))
            rest = min(rest, expected)
        rewound = round(rest * piece.repeated / piece.steps) if piece.steps else 0
        _add(spent, "rewind", rewound)
        _add(spent, piece.category, rest - rewound)
        for category, length in piece.measured.items():
            _add(spent, category, length)
    total = sum(spent.values())
    ratio = spent.get("step", 0) / total if total else math.nan
    longest_first = sorted(spent.items(), key=lambda item: -item[1])
    return {"goodput": ratio} | {n: us / _SECOND for n, us in longest_first if us}


@dataclass
class _Event:
    """An event, in microseconds; it began `length` before `time`, unless `is_sum`."""

    name: str
    time: int
    length: int
    step: int | None
    is_sum: bool = False


@dataclass
class _Piece:
    """The time between two signs of progress.

    Attributes:
      category: Category of the time in which nothing was measured.
      rest: That time.
      measured: Measured time by category.
      begin: Last update before the piece.
      end: Last update in the piece.
      repeated: Number of updates of the piece that were repeated later.
      first: Whether it holds the first updates of an attempt.
    """

    category: str
    rest: int
    measured: dict[str, int]
    begin: int
    end: int
    repeated: int = 0
    first: bool = False

    @property
    def steps(self) -> int:
        return self.end - self.begin


def _parsed(events: Iterable[Mapping[str, object]]) -> Iterator[_Event]:
    timeline = _Timeline()
    for row in events:
        name, seconds, time = row.get("event"), row.get("seconds"), _time(row)
        if not isinstance(name, str) or time is None:
            continue
        now = timeline.place(row, time)
        length = 0
        if isinstance(seconds, int | float) and 0 < seconds < _MAX_SECONDS:
            length = round(seconds * _SECOND)
        step = row.get("restored_step") if name == "start" else row.get("step")
        if not isinstance(step, int) or isinstance(step, bool):
            step = None
        yield _Event(name, now, length, step, name in _SUMS or "repeated" in row)


class _Timeline:
    """Place events on one axis, in microseconds; a clock that is set moves nothing."""

    def __init__(self) -> None:
        self._now = 0
        self._clock: int | None = None  # time of day of the event before
        self._attempt: object = None
        self._elapsed: int | None = None  # the highest of the attempt

    def place(self, row: Mapping[str, object], time: int) -> int:
        """Return the place of the next event, whose time of day is `time`."""
        elapsed, attempt = _elapsed(row), row.get("attempt")
        is_start = row.get("event") == "start" or attempt != self._attempt
        if elapsed is None or self._elapsed is None or is_start:
            self._now += max(0, time - (time if self._clock is None else self._clock))
            self._elapsed = elapsed
        elif elapsed > self._elapsed:
            self._now += elapsed - self._elapsed
            self._elapsed = elapsed
        # Without `elapsed` a clock that went back stands still until it has caught up.
        if elapsed is not None or self._clock is None or time > self._clock:
            self._clock = time
        self._attempt = attempt
        return self._now


def _elapsed(row: Mapping[str, object]) -> int | None:
    seconds = row.get("elapsed")
    if not isinstance(seconds, int | float) or not 0 <= seconds < _MAX_SECONDS:
        return None
    return round(seconds * _SECOND)


def _time(row: Mapping[str, object]) -> int | None:
    try:
        moment = datetime.fromisoformat(str(row.get("time")))
        return round(moment.timestamp() * _SECOND)
    except (ValueError, OverflowError, OSError):
        return None


def _pieces(events: list[_Event]) -> list[_Piece]:
    """Cut the time from the first event to the last at each sign of progress.

    `pending` holds the last sign and the events since. `reached` is the last update
    done, which a restore sets back; `fresh` is True until the first update of an
    attempt.
    """
    pieces: list[_Piece] = []
    pending: list[_Event] = []
    reached, fresh = 0, True

    def close(event: _Event, step: int, category: str | None = None) -> None:
        """End the current piece at an event after which `step` updates were done."""
        nonlocal reached, fresh, pending
        begin = pending[0].time if pending else event.time
        if category is None:
            category = "step" if step > reached else "init" if fresh else "other"
        measured = _measured(pending[1:] + [event], begin)
        rest = event.time - begin - sum(measured.values())
        pieces.append(_Piece(category, rest, measured, reached, max(step, reached)))
        pieces[-1].first = fresh and step > reached
        for earlier in pending:
            if earlier.is_sum:
                _take_from_steps(pieces, earlier)
        fresh = fresh and step <= reached
        reached, pending = max(step, reached), [event]

    for event in events:
        if event.name == "start":
            if pending:
                close(pending[-1], reached)
                close(event, reached, "idle")
            pending, fresh = [event], True
        elif event.name in ("step", "close") and event.step is not None:
            close(event, event.step)
        elif event.name == "restore" and event.step is not None:
            close(event, reached)
        else:
            pending.append(event)
        if event.name in ("start", "restore") and event.step is not None:
            for piece in pieces:
                repeated = piece.end - max(event.step, piece.begin)
                piece.repeated = max(piece.repeated, repeated)
            reached = event.step
    if pending:
        close(pending[-1], reached)
    return pieces


def _measured(events: list[_Event], begin: int) -> dict[str, int]:
    """Return the measured time since `begin` by category.

    Overlapping time counts for the first category in the order of precedence: with an
    evaluation over [0, 20] and a compilation over [15, 20] the result is
    `{"compile": 5, "evaluation": 15}`, since 5 of the 20 seconds are covered already.
    """
    intervals: dict[str, list[tuple[int, int]]] = {}
    for event in events:
        if event.length and not event.is_sum and event.name not in _SIGNS:
            interval = (max(begin, event.time - event.length), event.time)
            intervals.setdefault(event.name, []).append(interval)
    measured: dict[str, int] = {}
    seen: list[tuple[int, int]] = []
    covered = 0
    for name in sorted(intervals, key=_rank):
        seen += intervals[name]
        before, covered = covered, _union_length(seen)
        measured[name] = covered - before
    return measured


def _take_from_steps(pieces: list[_Piece], event: _Event) -> None:
    """Move a total of waits out of the step time before it, last steps first.

    It stops at the start of the attempt: the waits happened after it.
    """
    left = event.length
    for piece in reversed(pieces):
        if piece.category == "step":
            taken = min(left, piece.rest)
            piece.rest -= taken
            left -= taken
            _add(piece.measured, event.name, taken)
        if piece.category == "idle" or not left:
            return


def _rank(name: str) -> int:
    return _PRECEDENCE.index(name) if name in _PRECEDENCE else len(_PRECEDENCE)


def _union_length(intervals: list[tuple[int, int]]) -> int:
    """Return the length of the union of intervals."""
    total, reached = 0, -math.inf
    for begin, end in sorted(intervals):
        if end > reached:
            total += end - int(max(begin, reached))
            reached = end
    return total


def _add(spent: dict[str, int], category: str, microseconds: int) -> None:
    spent[category] = spent.get(category, 0) + microseconds
