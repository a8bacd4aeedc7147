"""Training seconds, cumulative over the attempts of a run."""

from __future__ import annotations

import time
from collections.abc import Callable

Seconds = Callable[[], float]
"""Function that returns the time in seconds."""


def duration_clock(clock: Seconds, monotonic: Seconds) -> Seconds:
    """Return the clock that measures durations.

    The time of day is set forward and back while a machine runs, so a difference of two
    timestamps is not a duration.

    Args:
      clock: Clock for timestamps, `time.time` unless the caller chose one.
      monotonic: Clock for durations, `time.monotonic` unless the caller chose one. If
        only `clock` was chosen, it serves both.
    """
    if clock is not time.time and monotonic is time.monotonic:
        return clock
    return monotonic


class Elapsed:
    """Stopwatch that starts at `seconds` and never goes back, even if its clock does.

    Args:
      clock: Returns the time in seconds, of any origin.
      seconds: Training seconds of earlier attempts. Default 0.
    """

    def __init__(self, clock: Seconds, seconds: float = 0.0) -> None:
        self._clock = clock
        self.reset(seconds)

    def reset(self, seconds: float) -> None:
        """Continue from `seconds`."""
        self._base = self._now = seconds
        self._start = self._clock()

    def __call__(self) -> float:
        """Return the training seconds so far, rounded to microseconds."""
        return round(self.exact(), 6)

    def exact(self) -> float:
        """Return the training seconds so far, not rounded."""
        return self.at(self._clock())

    def at(self, reading: float) -> float:
        """Return the training seconds, not rounded, at a reading of the clock."""
        now = self._base + reading - self._start
        if now > self._now:
            self._now = now
        return self._now
