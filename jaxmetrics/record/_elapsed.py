"""Training seconds, cumulative over the attempts of a run."""

from __future__ import annotations

from collections.abc import Callable


class Elapsed:
    """Stopwatch that starts at `seconds` and never goes back, even if its clock does.

    Args:
      clock: Returns the time in seconds, of any origin.
      seconds: Training seconds of earlier attempts. Default 0.
    """

    def __init__(self, clock: Callable[[], float], seconds: float = 0.0) -> None:
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
        now = self._base + self._clock() - self._start
        if now > self._now:
            self._now = now
        return self._now
