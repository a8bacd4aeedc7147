"""Step times of all processes, exchanged between them."""

from __future__ import annotations

import math
import socket
import statistics
from dataclasses import dataclass
from typing import Any

from jaxmetrics.processes import exchange
from jaxmetrics.record import dumps, loads, number


@dataclass(frozen=True)
class HostTimes:
    """Recent seconds per step of each process.

    In synchronous training all processes have the step time of the slowest one, because
    they wait for it. A process that is slow because of its input waits longer for data.

    Attributes:
      names: Host name of each process.
      step_seconds: Mean time of recent steps; NaN if none was timed.
      data_wait_seconds: Part of `step_seconds` spent waiting for data.
    """

    names: tuple[str, ...]
    step_seconds: tuple[float, ...]
    data_wait_seconds: tuple[float, ...]

    @property
    def slowest(self) -> int:
        """Index of the process with the longest steps."""
        return _argmax(self.step_seconds)

    @property
    def slowest_host(self) -> str:
        """Host name of the slowest process."""
        return self.names[self.slowest]

    @property
    def hungriest(self) -> int:
        """Index of the process that waits longest for data."""
        return _argmax(self.data_wait_seconds)

    @property
    def hungriest_host(self) -> str:
        """Host name of the process that waits longest for data."""
        return self.names[self.hungriest]

    def metrics(self) -> dict[str, float]:
        """Return values to log; empty for one process or before any timed step.

        `perf/slowest_host` and `perf/hungriest_host` are indices of processes,
        `perf/host_spread` is the longest step time divided by the median.
        """
        timed = [s for s in self.step_seconds if not math.isnan(s)]
        if len(self.names) == 1 or not timed:
            return {}
        values = {
            "perf/slowest_host": self.slowest,
            "perf/slowest_host_step_seconds": self.step_seconds[self.slowest],
            "perf/hungriest_host": self.hungriest,
            "perf/hungriest_host_data_wait_seconds": (
                self.data_wait_seconds[self.hungriest]
            ),
        }
        if median := statistics.median(timed):
            values["perf/host_spread"] = max(timed) / median
        return values


def exchange_times(
    step_seconds: float, data_wait_seconds: float, timeout: float
) -> HostTimes:
    """Exchange the times of this process with those of all others, which call it too.

    A time is NaN if no step was timed.

    Raises:
      MissingHostError: A process did not call it within `timeout` seconds.
    """
    times = {"times": [socket.gethostname(), step_seconds, data_wait_seconds]}
    payloads = exchange("performance", dumps(times).encode(), timeout)
    rows: list[Any] = [loads(payload) for _, payload in sorted(payloads.items())]
    names, steps, waits = zip(*(row["times"] for row in rows))
    return HostTimes(names, tuple(map(number, steps)), tuple(map(number, waits)))


def _argmax(seconds: tuple[float, ...]) -> int:
    """Return the index of the largest value; NaN counts as smallest."""
    known = [-1.0 if math.isnan(each) else each for each in seconds]
    return known.index(max(known))
