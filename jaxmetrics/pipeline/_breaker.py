"""A circuit breaker: stop calling a writer that keeps failing."""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Allow attempts until several in a row fail, then pause them for a while.

    After the pause one attempt is allowed as a probe: its success ends the pauses, its
    failure starts another one, twice as long.

    Args:
      clock: Monotonic seconds.
      failures: Consecutive failures after which attempts pause.
      pause: Seconds of the first pause.
      max_pause: Maximum seconds of a pause.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        failures: int = 3,
        pause: float = 30.0,
        max_pause: float = 600.0,
    ) -> None:
        self._clock = clock
        self._max_failures = failures
        self._first_pause = self._pause = pause
        self._max_pause = max_pause
        self._failures = 0
        self._paused_until = 0.0

    def allows(self) -> bool:
        """Return whether an attempt may be made now."""
        is_closed = self._failures < self._max_failures
        return is_closed or self._clock() >= self._paused_until

    def retry(self) -> None:
        """End the pause now; the next attempt is the probe."""
        self._paused_until = self._clock()

    def succeeded(self) -> bool:
        """Note a success; return whether it ended a pause."""
        was_open = self._failures >= self._max_failures
        self._failures, self._pause = 0, self._first_pause
        return was_open

    def failed(self) -> bool:
        """Note a failure; return whether it started the first pause."""
        self._failures += 1
        if self._failures >= self._max_failures:
            self._paused_until = self._clock() + self._pause
            self._pause = min(2 * self._pause, self._max_pause)
        return self._failures == self._max_failures
