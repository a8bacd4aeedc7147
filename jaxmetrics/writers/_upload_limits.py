"""What may be sent to a service: bytes in all, rows a minute, different keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

_THIN_FROM = 0.8
_FOR_ALARMS = 0.01

FOR_SUMMARY = 4096
"""Bytes that are kept for the summary at the end."""


class ByteBudget:
    """Bytes that may be sent, charged before they are.

    From 80 % of the limit on every second row of a split is refused. The last 4 KiB
    are for a summary, and the last 1 % before them for alarms.

    Args:
      limit: Bytes in all; None for no limit.
      used: Bytes sent before.
    """

    def __init__(self, limit: float | None, used: int = 0) -> None:
        self.limit = limit
        self.used = used
        self._sent: dict[str, bool] = {}  # whether the last row of a split was

    def refusal(
        self, size: int, split: str, *, alarm: bool = False
    ) -> Literal["thin", "full"] | None:
        """Why a row of `size` bytes may not be sent; None, and it is charged.

        Returns:
          `"thin"` for every second row of a split, `"full"` when there is no room.
        """
        if self.limit is not None:
            if self.used >= _THIN_FROM * self.limit and not alarm:
                self._sent[split] = not self._sent.get(split, True)
                if not self._sent[split]:
                    return "thin"
            kept = FOR_SUMMARY + (0 if alarm else _FOR_ALARMS * self.limit)
            if self.used + size > self.limit - kept:
                return "full"
        self.used += size
        return None


class TokenBucket:
    """A mean rate, with bursts; it starts full.

    Args:
      capacity: How many may come at once.
      seconds: How long an empty bucket takes to fill.
      clock: Monotonic seconds.
    """

    def __init__(
        self, capacity: int, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._capacity = capacity
        self._rate = capacity / seconds
        self._clock = clock
        self._tokens = float(capacity)
        self._filled = clock()

    def take(self) -> bool:
        """Whether one more may come now."""
        now = self._clock()
        gained = max(now - self._filled, 0.0) * self._rate
        self._tokens = min(self._tokens + gained, self._capacity)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Keys:
    """Keys that a service takes: up to a number of different ones.

    Args:
      capacity: How many different ones.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: set[str] = set()

    def fault(self, key: object) -> str | None:
        """What is wrong with a key, or None when it may be used."""
        if key in self._known:
            return None
        if not isinstance(key, str):
            return "keys are strings"
        if not 1 <= len(key) <= 256 or key.startswith("_"):
            return "keys have 1 to 256 characters and do not begin with '_'"
        if len(self._known) >= self._capacity:
            return f"there are {self._capacity:,} different keys already"
        self._known.add(key)
        return None
