"""How long steps take on each process, told to all of them."""

from __future__ import annotations

import math
import socket
import statistics
from dataclasses import dataclass
from typing import Any

from jaxmetrics.processes import exchange
from jaxmetrics.record import dumps, loads


@dataclass(frozen=True)
class HostTimes:
    """Recent seconds a step, by process.

    In synchronous training all processes show the step time of the slowest, because
    they wait for it: what the slow one is short of shows in its data wait.

    Attributes:
      names: Names of their machines.
      step_seconds: Means of recent steps, nan where none was timed.
      data_wait_seconds: Of these, waiting for data.
    """

    names: tuple[str, ...]
    step_seconds: tuple[float, ...]
    data_wait_seconds: tuple[float, ...]

    @property
    def slowest(self) -> int:
        """The process with the longest steps."""
        return _largest(self.step_seconds)

    @property
    def slowest_host(self) -> str:
        """The name of its machine."""
        return self.names[self.slowest]

    @property
    def hungriest(self) -> int:
        """The process that waits longest for data."""
        return _largest(self.data_wait_seconds)

    @property
    def hungriest_host(self) -> str:
        """The name of its machine."""
        return self.names[self.hungriest]

    def metrics(self) -> dict[str, float]:
        """What a record holds of it; empty for one process, or before any timed step.

        `perf/slowest_host` and `perf/hungriest_host` are indices of processes,
        `perf/host_spread` the longest step time as a multiple of the median.
        """
        known = [s for s in self.step_seconds if not math.isnan(s)]
        if len(self.names) == 1 or not known:
            return {}
        found = {
            "perf/slowest_host": self.slowest,
            "perf/slowest_host_step_seconds": self.step_seconds[self.slowest],
            "perf/hungriest_host": self.hungriest,
            "perf/hungriest_host_data_wait_seconds": (
                self.data_wait_seconds[self.hungriest]
            ),
        }
        if middle := statistics.median(known):
            found["perf/host_spread"] = max(known) / middle
        return found


def exchanged(step: float | None, data_wait: float | None, timeout: float) -> HostTimes:
    """The times of all processes, each of which calls it with its own."""
    mine = dumps({"times": [socket.gethostname(), step, data_wait]}).encode()
    told = exchange("performance", mine, timeout)
    rows: list[Any] = [loads(said) for _, said in sorted(told.items())]
    names, steps, waits = zip(*(row["times"] for row in rows))
    return HostTimes(names, tuple(map(_seconds, steps)), tuple(map(_seconds, waits)))


def _seconds(told: float | None) -> float:
    return math.nan if told is None else float(told)


def _largest(seconds: tuple[float, ...]) -> int:
    known = [-1.0 if math.isnan(each) else each for each in seconds]
    return known.index(max(known))
