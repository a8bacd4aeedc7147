"""Where the time of a run went: its goodput, from the ledger of events."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jaxmetrics.record import EVENTS_JSONL, scan_lines

# While several of these went on, the time is the first one's.
_FIRST = ("compile", "restore", "checkpoint", "evaluation", "profile", "init")
# Sums over many steps, not one stretch of time.
_SUMS = frozenset({"data_wait", "logging"})
# Moments, whatever else they say.
_SIGNS = frozenset({"start", "step", "close"})
_SECOND = 1_000_000  # whole microseconds, so that all adds up
_LONGEST = 1e10  # seconds of one event, beyond which they are damage


def goodput(path: str | os.PathLike[str]) -> dict[str, float]:
    """The share of a run's time in which it made progress, and where the rest went.

    The time of a run goes from its first event to its last, over all attempts. Its
    categories add up to it:

    - `step`: updates whose results were kept; its share is the goodput.
    - `rewind`: updates that a later attempt did again, from its checkpoint on.
    - `idle`: from the last sign of an attempt to the beginning of the next.
    - `init`: from the beginning of an attempt to its first update.
    - `compile`, `restore`, `checkpoint`, `evaluation`, `profile`, `data_wait`,
      `logging`, and events of yours that have seconds: what was measured.
    - `other`: after the last update of an attempt.

    When an attempt is killed, what it did after its last sign counts as idle. Before
    its first sign, updates are taken to be as long as those after it.

    Args:
      path: A run directory, or its `events.jsonl`.

    Returns:
      `{"goodput": ratio, "<category>": seconds}`, without categories that took none.
      The ratio is nan for a run of no length.

    Raises:
      FileNotFoundError: There are no events.
    """
    file = Path(path)
    file = file / EVENTS_JSONL if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(
            f"goodput() found no {file}. Give the directory of a run, such as "
            f"runs/<project>/<run_name>."
        )
    return goodput_of(line.row for line in scan_lines(file) if line.row is not None)


def goodput_of(events: Iterable[Mapping[str, object]]) -> dict[str, float]:
    """`goodput` of the rows of an events file; rows that are no events are left out."""
    pieces = _pieces(list(_parsed(events)))
    typical = [p.rest / p.steps for p in pieces if p.steps and p.rest and not p.first]
    spent: dict[str, int] = {}
    for piece in pieces:
        left = piece.rest
        if piece.steps and piece.first and typical:
            expected = round(statistics.median(typical) * piece.steps)
            _add(spent, "init", max(0, left - expected))
            left = min(left, expected)
        lost = round(left * piece.lost / piece.steps) if piece.steps else 0
        _add(spent, "rewind", lost)
        _add(spent, piece.what, left - lost)
        for category, length in piece.measured.items():
            _add(spent, category, length)
    total = sum(spent.values())
    ratio = spent.get("step", 0) / total if total else math.nan
    largest_first = sorted(spent.items(), key=lambda item: -item[1])
    return {"goodput": ratio} | {n: us / _SECOND for n, us in largest_first if us}


@dataclass
class _Event:
    """An event, in microseconds; it began `length` before `time`."""

    name: str
    time: int
    length: int
    step: int | None


@dataclass
class _Piece:
    """The time between two signs of progress.

    Attributes:
      what: What its time is that nothing else was measured in.
      rest: That time.
      measured: Time by category.
      begin: The last update before it.
      end: The last update in it.
      lost: Updates in it that were done again later.
      first: Whether an attempt began with it.
    """

    what: str
    rest: int
    measured: dict[str, int]
    begin: int
    end: int
    lost: int = 0
    first: bool = False

    @property
    def steps(self) -> int:
        return self.end - self.begin


def _parsed(events: Iterable[Mapping[str, object]]) -> Iterator[_Event]:
    latest: int | None = None
    for row in events:
        name, seconds, time = row.get("event"), row.get("seconds"), _time(row)
        if not isinstance(name, str) or time is None:
            continue
        latest = time if latest is None else max(time, latest)  # clocks may go back
        length = 0
        if isinstance(seconds, int | float) and 0 < seconds < _LONGEST:
            length = round(seconds * _SECOND)
        step = row.get("restored_step") if name == "start" else row.get("step")
        number = step if isinstance(step, int) and not isinstance(step, bool) else None
        yield _Event(name, latest, length, number)


def _time(row: Mapping[str, object]) -> int | None:
    try:
        moment = datetime.fromisoformat(str(row.get("time")))
        return round(moment.timestamp() * _SECOND)
    except (ValueError, OverflowError, OSError):
        return None


def _pieces(events: list[_Event]) -> list[_Piece]:
    """The time from the first event to the last, cut at each sign of progress."""
    pieces: list[_Piece] = []
    pending: list[_Event] = []
    reached, fresh = 0, True

    def close(event: _Event, step: int, what: str | None = None) -> None:
        nonlocal reached, fresh, pending
        begin = pending[0].time if pending else event.time
        if what is None:
            what = "step" if step > reached else "init" if fresh else "other"
        measured = _measured(pending[1:] + [event], begin, event.time)
        rest = event.time - begin - sum(measured.values())
        pieces.append(_Piece(what, rest, measured, reached, max(step, reached)))
        pieces[-1].first = fresh and step > reached
        for told in pending:
            if told.name in _SUMS:
                _take_from(pieces, told)
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
                piece.lost = max(piece.lost, piece.end - max(event.step, piece.begin))
            reached = event.step
    if pending:
        close(pending[-1], reached)
    return pieces


def _measured(events: list[_Event], begin: int, end: int) -> dict[str, int]:
    """What is known of the time from `begin` to `end`, by category."""
    stretches: dict[str, list[tuple[int, int]]] = {}
    for event in events:
        if event.length and event.name not in _SIGNS | _SUMS:
            stretch = (max(begin, event.time - event.length), event.time)
            stretches.setdefault(event.name, []).append(stretch)
    measured: dict[str, int] = {}
    seen: list[tuple[int, int]] = []
    covered = 0
    for name in sorted(stretches, key=lambda name: (name not in _FIRST, _rank(name))):
        seen += stretches[name]
        before, covered = covered, _length(seen)
        measured[name] = covered - before
    return measured


def _take_from(pieces: list[_Piece], event: _Event) -> None:
    """Count what was summed up over steps as theirs, the last steps first."""
    left = event.length
    for piece in reversed(pieces):
        if piece.what == "step":
            taken = min(left, piece.rest)
            piece.rest -= taken
            left -= taken
            _add(piece.measured, event.name, taken)
        if piece.what == "idle" or not left:
            return


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else 0


def _length(stretches: list[tuple[int, int]]) -> int:
    """How much time they cover together."""
    total, reached = 0, -math.inf
    for begin, end in sorted(stretches):
        if end > reached:
            total += end - int(max(begin, reached))
            reached = end
    return total


def _add(spent: dict[str, int], category: str, microseconds: int) -> None:
    spent[category] = spent.get(category, 0) + microseconds
