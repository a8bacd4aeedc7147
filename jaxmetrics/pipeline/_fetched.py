"""What is known of rows once they have left the device."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from jaxmetrics.pipeline._row import Row
from jaxmetrics.record import Media, Record, number

_LOG = logging.getLogger("jaxmetrics")


class Fetched:
    """Keeps the last value of each key, and the faults that nobody has heard of yet.

    Attributes:
      faults: What is wrong with values that were logged.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._latest: dict[str, tuple[int, float | int]] = {}
        self.faults: list[str] = []
        self._left_out: set[str] = set()
        self._cuts: dict[str, int] = {}

    def note(self, row: Row, record: Record) -> None:
        """Take in a row that was just fetched, on any thread."""
        with self._lock:
            self.faults += row.faults
            for name in row.arrays:
                if name not in self._left_out:
                    self._left_out.add(name)
                    _LOG.warning(
                        "%s is an array, so that rows leave it out. Log its parts as "
                        "scalars to have them in the record.",
                        name,
                    )
            for limit, names in row.cuts.items():
                if limit not in self._cuts:
                    _LOG.warning(
                        "%s is the first to be cut or left out as of %s; others are "
                        "counted in events.jsonl.",
                        names[0],
                        limit,
                    )
                self._cuts[limit] = self._cuts.get(limit, 0) + len(names)
            if isinstance(record, Media):
                return
            # Writers may fetch rows out of order, each at its own pace.
            for name, value in record.values.items():
                if record.step >= self._latest.get(name, (0, 0))[0]:
                    self._latest[name] = (record.step, value)

    def latest(self) -> dict[str, float | int]:
        """The last value by key."""
        with self._lock:
            return {name: value for name, (_, value) in self._latest.items()}

    def cuts(self) -> dict[str, int]:
        """How many values were cut or left out, by the limit."""
        with self._lock:
            return dict(self._cuts)

    def take_faults(self) -> list[str]:
        """The faults since the last call."""
        with self._lock:
            faults, self.faults = self.faults, []
        return faults

    def restore(self, latest: Mapping[str, Any]) -> None:
        """Go back to an earlier `latest()`, as it was or as JSON made it."""
        with self._lock:
            self._latest = {name: (0, number(value)) for name, value in latest.items()}
            self.faults.clear()


def best_fn(name: str) -> Callable[[Mapping[str, float]], float]:
    """What picks the value `name` from the metrics of a checkpoint."""

    def best(metrics: Mapping[str, float]) -> float:
        if name not in metrics:
            raise KeyError(
                f"best_fn({name!r}) got metrics {sorted(metrics)}. Save those of "
                f"logger.latest(), after logging {name!r}."
            )
        return float(metrics[name])

    return best
