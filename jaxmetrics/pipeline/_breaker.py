"""A pause for a writer that keeps failing."""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Closed, it lets everything pass; after failures in a row it opens for a while.

    When the pause is over one attempt is let through: it closes the breaker, or opens
    it again for twice as long.

    Args:
      clock: Monotonic seconds.
      failures: How many in a row open it.
      pause: Seconds that it stays open at first.
      longest: Seconds that it stays open at most.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        failures: int = 3,
        pause: float = 30.0,
        longest: float = 600.0,
    ) -> None:
        self._clock = clock
        self._limit = failures
        self._first = self._pause = pause
        self._longest = longest
        self._failures = 0
        self._until = 0.0

    def allows(self) -> bool:
        """Whether an attempt may be made now."""
        return self._failures < self._limit or self._clock() >= self._until

    def succeeded(self) -> bool:
        """Close it; whether it was open."""
        was_open = self._failures >= self._limit
        self._failures, self._pause = 0, self._first
        return was_open

    def failed(self) -> bool:
        """Count a failure; whether it is the one that opens it."""
        self._failures += 1
        if self._failures >= self._limit:
            self._until = self._clock() + self._pause
            self._pause = min(2 * self._pause, self._longest)
        return self._failures == self._limit
