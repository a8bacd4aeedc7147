"""Limit the lines of an event file: merge events that repeat or come too often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Their order and their times are what goodput is computed from.
_ALWAYS_WRITTEN = frozenset({"start", "step", "restore", "close"})
_LONG_SECONDS = 0.05  # durations from here on have a place among the others
_BURST = 100
_SECONDS_PER_LINE = 36.0
_MAX_KINDS = 1000


@dataclass
class _Kind:
    """Events of one kind.

    Attributes:
      lines: Number of lines that may be written now; it grows by one every 36 seconds.
      refilled: Time at which it was last increased.
      last: Last event, written or waiting.
      count: Number of events that wait to be written as one.
      since: Time of the first of them.
      first_time: Timestamp of the first of them.
      last_time: Timestamp of the last of them.
      seconds: Sum of their durations.
    """

    lines: float = _BURST
    refilled: float = 0.0
    last: dict[str, Any] | None = None
    count: int = 0
    since: float = 0.0
    first_time: str = ""
    last_time: str = ""
    seconds: float = 0.0


class EventLimit:
    """Decide which events get a line, and merge the others.

    An event that equals the one before it, apart from its time, waits for at most 36
    seconds, and those that follow it are merged into one line. So are the events of a
    kind that has used up its lines: 100 at once, and one more every 36 seconds. A
    merged line has the fields of the last event, the sum of their `seconds`, and
    `repeated`, with their number and the times of the first and the last.

    Signs of progress and durations of 50 ms or more are never merged. The kind of an
    event is its name with its fields `kind` and `key`, as alarms have them.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, ...], _Kind] = {}

    def add(
        self,
        name: str,
        seconds: float | None,
        fields: dict[str, Any],
        timestamp: str,
        now: float,
    ) -> list[dict[str, Any]]:
        """Add an event, and return the events to write now.

        Args:
          name: Name of the event.
          seconds: Its duration, or None.
          fields: Its other fields.
          timestamp: Its time.
          now: Monotonic seconds.

        Returns:
          Events as mappings that begin with `event`.
        """
        event: dict[str, Any] = {"event": name}
        if seconds is not None:
            event["seconds"] = seconds
        event |= fields
        if name in _ALWAYS_WRITTEN or (seconds or 0.0) >= _LONG_SECONDS:
            return [*self.due(now), event]
        kind = self._kind(name, fields)
        kind.lines = min(_BURST, kind.lines + (now - kind.refilled) / _SECONDS_PER_LINE)
        kind.refilled = now
        written = self.due(now)
        if kind.lines >= 1 and event != kind.last:
            if kind.count:
                written.append(_merged(kind))
            kind.lines -= 1
            kind.last = event
            return [*written, event]
        if not kind.count:
            kind.since, kind.first_time, kind.seconds = now, timestamp, 0.0
        kind.count += 1
        kind.seconds += seconds or 0.0
        kind.last, kind.last_time = event, timestamp
        return written

    def due(self, now: float) -> list[dict[str, Any]]:
        """Return the merged events that have waited long enough.

        Args:
          now: Monotonic seconds. Infinity returns all of them.
        """
        waited = now - _SECONDS_PER_LINE
        kinds = [k for k in self._kinds.values() if k.count and k.since <= waited]
        return [_merged(kind) for kind in kinds]

    def _kind(self, name: str, fields: dict[str, Any]) -> _Kind:
        key = name, str(fields.get("kind")), str(fields.get("key"))
        if key not in self._kinds and len(self._kinds) >= _MAX_KINDS:
            key = ("",)
        return self._kinds.setdefault(key, _Kind())


def alarm_count(row: Mapping[str, object]) -> int:
    """Return the number of alarms that a row of an events file stands for; 0 if none.

    >>> alarm_count({"event": "alarm", "repeated": {"count": 3}}), alarm_count({})
    (3, 0)
    """
    if row.get("event") != "alarm":
        return 0
    repeated = row.get("repeated")
    count = repeated.get("count") if isinstance(repeated, dict) else None
    return count if isinstance(count, int) and 0 < count < 2**63 else 1


def _merged(kind: _Kind) -> dict[str, Any]:
    """Return one event for those that wait, and let none wait."""
    event, count = dict(kind.last or {}), kind.count
    kind.count, kind.lines = 0, max(kind.lines - 1, 0.0)
    if count > 1:
        if "seconds" in event:
            event["seconds"] = kind.seconds
        times = {"first": kind.first_time, "last": kind.last_time}
        event["repeated"] = {"count": count} | times
    return event
