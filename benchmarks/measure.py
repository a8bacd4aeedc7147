"""Time functions in turns, and report ratios to a floor.

A case has a floor and contenders. All of them run in every round, in an order that
changes from round to round; a ratio is that of two times of one round. The floor runs
twice in a round, which is the row "A/A": differences below its spread are noise.
"""

from __future__ import annotations

import fnmatch
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

AGAIN = "A/A"
_PACKAGES = (
    "jax",
    "numpy",
    "flax",
    "clu",
    "google-metrax",
    "calibrax",
    "torch",
    "torchmetrics",
    "torcheval",
    "wandb",
    "tensorboardX",
    "orjson",
)
_SHORTEST = 2e-3  # seconds; a shorter function is called several times in a row
_LONG = 5.0


class Row(NamedTuple):
    """One contender of one case.

    Attributes:
      case: What is measured.
      contender: Who does it.
      floor: Whose time the ratio refers to.
      us: Median time of a call in microseconds; None if nothing was timed.
      ratio: Median of the ratios to the floor, each within a round.
      low: Lower quartile of the ratios.
      high: Upper quartile of the ratios.
      figures: Counts that need no clock, such as bytes or executables.
    """

    case: str
    contender: str
    floor: str = ""
    us: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    figures: dict[str, float] = {}


class Bench:
    """Collects the rows of one group of cases.

    Args:
      rounds: Rounds of each case.
      only: Pattern of the cases to run, such as `"accuracy*"`. Default: all.
    """

    def __init__(self, rounds: int, only: str = "*") -> None:
        """Begin without rows."""
        self.rounds = rounds
        self.rows: list[Row] = []
        self._only = only

    def wants(self, case: str) -> bool:
        """Return True if a case is to be run."""
        return fnmatch.fnmatch(case, self._only)

    def compare(
        self,
        case: str,
        functions: dict[str, Callable[[], object]],
        figures: dict[str, dict[str, float]] | None = None,
        rounds: int | None = None,
    ) -> list[Row]:
        """Time functions in turns and print their rows; the first one is the floor.

        Args:
          case: Name of the case.
          functions: Functions by contender. A call does the work once, and returns
            after it is done.
          figures: Counts by contender, shown beside the times.
          rounds: Rounds, if not those of the group.
        """
        calls = {name: _timed(function) for name, function in functions.items()}
        return self.collect(case, calls, figures, rounds)

    def collect(
        self,
        case: str,
        readings: dict[str, Callable[[], float]],
        figures: dict[str, dict[str, float]] | None = None,
        rounds: int | None = None,
    ) -> list[Row]:
        """Compare like `compare` what functions measure themselves.

        A contender that takes more than five seconds takes part in three rounds.

        Args:
          case: Name of the case.
          readings: Functions by contender that return the seconds of one call, such as
            those that prepare each call first or start a process.
          figures: Counts by contender, shown beside the times.
          rounds: Rounds, if not those of the group.
        """
        floor = next(iter(readings))
        runs = {floor: readings[floor], AGAIN: readings[floor], **readings}
        times: dict[str, list[float]] = {name: [] for name in runs}
        order, shuffle = list(runs), random.Random(0).shuffle
        for _ in range(rounds or self.rounds):
            shuffle(order)
            for name in order:
                if name in (floor, AGAIN) or not _is_slow(times[name]):
                    times[name].append(runs[name]())
        rows = []
        for name, seconds in times.items():
            ratios = sorted(t / f for t, f in zip(seconds, times[floor]))
            low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
            ratio, us = statistics.median(ratios), 1e6 * statistics.median(seconds)
            counts = (figures or {}).get(name, {})
            rows.append(Row(case, name, floor, us, ratio, low, high, counts))
        self.add(rows)
        return rows

    def add(self, rows: Iterable[Row]) -> None:
        """Keep and print rows."""
        for row in rows:
            self.rows.append(row)
            print(as_text(row), flush=True)


def prepared(
    prepare: Callable[[], Any], run: Callable[[Any], object], calls: int = 1
) -> Callable[[], float]:
    """Return a reading for `Bench.collect`: the median seconds of some calls.

    Args:
      prepare: Returns the argument of a call; it is not timed.
      run: Function to time; it returns after its work is done.
      calls: Calls of one reading.
    """

    def once() -> float:
        argument, start = prepare(), time.perf_counter()
        run(argument)
        return time.perf_counter() - start

    return lambda: statistics.median(once() for _ in range(calls))


def as_text(row: Row) -> str:
    """Return a row as a line of a Markdown table."""
    cells = [row.case, row.contender]
    if row.us is None:
        cells += ["", "", ""]
    else:
        quartiles = f"{row.low:.3g} to {row.high:.3g}"
        cells += [f"{row.us:,.1f}", f"{row.ratio:.3g}", quartiles]
    cells += [", ".join(f"{name} {value:,.6g}" for name, value in row.figures.items())]
    return "| " + " | ".join(cells) + " |"


HEADING = "| case | contender | us | ratio | quartiles | figures |\n" + "|---" * 6 + "|"


def save(rows: list[Row], path: Path) -> None:
    """Write rows and the environment as JSON, one row a line."""
    lines = ",\n  ".join(json.dumps(_rounded(row)) for row in rows)
    head = json.dumps(environment())
    text = f'{{"environment": {head},\n "rows": [\n  {lines}\n]}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def environment() -> dict[str, object]:
    """Return what the times depend on."""
    from importlib.metadata import PackageNotFoundError, version

    import jax

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "load": round(os.getloadavg()[0], 1),
        "packages": found,
    }


def _rounded(row: Row) -> dict[str, object]:
    found = {k: v for k, v in row._asdict().items() if v not in (None, {}, "")}
    return {
        k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in found.items()
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _is_slow(seconds: list[float]) -> bool:
    return len(seconds) >= 3 and min(seconds) > _LONG


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    """Warm up a function, and return one that returns the seconds of a call."""
    run()
    seconds = _seconds(run, 1)
    if seconds < _SHORTEST:
        seconds = _seconds(run, 3)
    calls = max(1, round(_SHORTEST / max(seconds, 1e-9)))
    return lambda: _seconds(run, calls)


def _seconds(run: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls
