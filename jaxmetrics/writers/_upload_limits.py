"""Limits of uploads: total bytes, rows per minute, number of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

_THINNING_SHARE = 0.8
_ALARM_SHARE = 0.01

SUMMARY_BYTES = 4096
"""Bytes reserved for the summary at the end."""


class ByteBudget:
    """Budget of bytes, charged before they are sent.

    From 80 % of the limit on, every second row of a split is refused. The last 4 KiB
    are reserved for a summary, and the last 1 % before them for alarms.

    Args:
      limit: Maximum of bytes in total; None for no limit.
      used: Bytes charged before. Default 0.
    """

    def __init__(self, limit: float | None, used: int = 0) -> None:
        self.limit = limit
        self.used = used
        self._sent: dict[str, bool] = {}  # by split, whether its last row was sent

    def refusal(
        self, size: int, split: str, *, alarm: bool = False
    ) -> Literal["thin", "full"] | None:
        """Charge a row, or return why it must not be sent.

        Args:
          size: Estimated bytes of the row.
          split: Split of the row.
          alarm: If true, the row is an alarm, which is not thinned. Default False.

        Returns:
          None if the row was charged, `"thin"` for every second row of a split, or
          `"full"` if the budget is used up.
        """
        if self.limit is not None:
            if self.used >= _THINNING_SHARE * self.limit and not alarm:
                self._sent[split] = not self._sent.get(split, True)
                if not self._sent[split]:
                    return "thin"
            reserved = SUMMARY_BYTES + (0 if alarm else _ALARM_SHARE * self.limit)
            if self.used + size > self.limit - reserved:
                return "full"
        self.used += size
        return None


class TokenBucket:
    """Rate limit with bursts. It starts full.

    Args:
      capacity: Maximum number of rows in a burst.
      seconds: Time in which an empty bucket fills.
      clock: Returns monotonic seconds.
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
        """Take one token; return False if there is none."""
        now = self._clock()
        gained = max(now - self._filled, 0.0) * self._rate
        self._tokens = min(self._tokens + gained, self._capacity)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Keys:
    """Set of accepted keys, limited in size.

    Args:
      capacity: Maximum number of different keys.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._accepted: set[str] = set()

    def fault(self, key: object) -> str | None:
        """Accept a key and return None, or return why it is refused."""
        if key in self._accepted:
            return None
        if not isinstance(key, str):
            return "keys are strings"
        if not 1 <= len(key) <= 256 or key.startswith("_"):
            return "keys have 1 to 256 characters and do not begin with '_'"
        if len(self._accepted) >= self._capacity:
            return f"there are {self._capacity:,} different keys already"
        self._accepted.add(key)
        return None
