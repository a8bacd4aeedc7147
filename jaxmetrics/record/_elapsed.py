"""Training seconds, cumulative over the attempts of a run."""

from __future__ import annotations

from collections.abc import Callable


class Elapsed:
    """Counts on from `seconds`; never goes back, whatever its clock does.

    Args:
      clock: Seconds of any origin.
      seconds: What earlier attempts took.
    """

    def __init__(self, clock: Callable[[], float], seconds: float = 0.0) -> None:
        self._clock = clock
        self.reset(seconds)

    def reset(self, seconds: float) -> None:
        """Continue from `seconds`."""
        self._base = self._now = seconds
        self._start = self._clock()

    def __call__(self) -> float:
        """The seconds so far, to the microsecond."""
        return round(self.exact(), 6)

    def exact(self) -> float:
        """The seconds so far, as the clock has them."""
        now = self._base + self._clock() - self._start
        if now > self._now:
            self._now = now
        return self._now
