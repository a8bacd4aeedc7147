"""Benchmark the aggregator: observations per second, and merging over processes.

The baseline is a loop that creates one object for each observation of a sample and
updates one dictionary entry for each object. The exchange between processes is
`get_metrics_for_logging` of 1,000 metrics: 500 sums, 250 means, and 250 distributions
of 2,000 values each.

    python benchmarks/aggregator.py [--rounds 5] [--processes 1 2 4]
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxmetrics as jm

KINDS = jm.AggregationType


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--worker", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker)
        return
    print(f"{'observations per second':34s} {'loop':>12s} {'batched':>14s} {'x':>6s}")
    for name, loop, batched, count in contenders():
        slow = rate(loop, 200_000, options.rounds)
        fast = rate(batched, count, options.rounds)
        print(f"{name:34s} {slow:12,.0f} {fast:14,.0f} {fast / slow:6.0f}")
    print(f"\n{'merge 1,000 metrics':34s} {'ms':>8s} {'kB/process':>14s}")
    for count in options.processes:
        milliseconds, kilobytes = pod(count)
        print(f"{f'{count} processes':34s} {milliseconds:8.1f} {kilobytes:14.0f}")


def rate(run: Callable[[int], Any], count: int, rounds: int) -> float:
    """Return observations per second, the median over rounds."""
    rates = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        observations = run(count)
        rates.append(observations / (time.perf_counter() - start))
    return statistics.median(rates[1:])


@dataclasses.dataclass(frozen=True)
class OneValue:
    dataset: str
    name: str
    value: Any
    kind: str


@dataclasses.dataclass
class State:
    value: Any
    count: int = 0


def add(state: State, observation: OneValue) -> None:
    state.value += observation.value
    state.count += 1


def maximum(state: State, observation: OneValue) -> None:
    state.value = max(state.value, observation.value)


def append(state: State, observation: OneValue) -> None:
    state.value.append(observation.value)


def count_category(state: State, observation: OneValue) -> None:
    state.value[observation.value] += 1


LOOPS = {
    KINDS.SUM: (add, int),
    KINDS.MEAN: (add, float),
    KINDS.MAX: (maximum, int),
    KINDS.DISTRIBUTION: (append, lambda: collections.deque(maxlen=1000)),
    KINDS.CATEGORICAL_COUNT: (count_category, collections.Counter),
}


def loop_of(metrics: dict[str, KINDS], values: np.ndarray) -> Callable[[int], int]:
    """Return the baseline: one object and one update per metric and sample."""

    def run(count: int) -> int:
        states: dict[tuple[str, str], State] = {}
        for value in values[:count].tolist():
            for name, kind in metrics.items():
                observation = OneValue("alpaca", name, value, kind)
                update, empty = LOOPS[kind]
                key = (observation.dataset, observation.name)
                if key not in states:
                    states[key] = State(empty())
                update(states[key], observation)
        return count * len(metrics)

    return run


def batched_of(
    metrics: dict[str, KINDS], values: np.ndarray, batch: int
) -> Callable[[int], int]:
    """Return the same totals, updated with arrays of `batch` values."""

    def run(count: int) -> int:
        aggregator = jm.MetricsAggregator()
        for start in range(0, count, batch):
            part = values[start : start + batch]
            for name, kind in metrics.items():
                aggregator.update("alpaca", kind, **{name: part})
        aggregator.get_metrics_for_logging()
        return count * len(metrics)

    return run


def listed(metrics: dict[str, KINDS], values: np.ndarray) -> Callable[[int], int]:
    """Return updates with lists of observations; creating them is not timed."""
    observations = [
        jm.Observation("alpaca", name, value, kind)
        for value in values[:100_000].tolist()
        for name, kind in metrics.items()
    ]

    def run(count: int) -> int:
        aggregator = jm.MetricsAggregator()
        for start in range(0, len(observations), 96):
            aggregator.update(observations[start : start + 96])
        aggregator.get_metrics_for_logging()
        return len(observations)

    return run


def contenders() -> Any:
    """Yield name, baseline, aggregator, and number of samples for the aggregator."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 8192, 1 << 22)
    losses = rng.lognormal(size=1 << 22)
    names = np.array(["en", "sv", "de", "fr"])[lengths[: 1 << 20] % 4]
    default = {"tokens_seen": KINDS.SUM, "seq_len": KINDS.DISTRIBUTION}
    samples = len(lengths)
    for batch in (1024, 65536):
        for name, metrics, values in (
            ("SUM", {"tokens": KINDS.SUM}, lengths),
            ("MEAN", {"loss": KINDS.MEAN}, losses),
            ("MAX", {"longest": KINDS.MAX}, lengths),
            ("DISTRIBUTION", {"seq_len": KINDS.DISTRIBUTION}, lengths),
            ("tokens_seen and seq_len", default, lengths),
            (
                "CATEGORICAL_COUNT, integers",
                {"l": KINDS.CATEGORICAL_COUNT},
                lengths % 4,
            ),
            ("CATEGORICAL_COUNT, strings", {"l": KINDS.CATEGORICAL_COUNT}, names),
        ):
            batched = batched_of(metrics, values, batch)
            label = f"{name}, {batch:,} per call"
            yield label, loop_of(metrics, values), batched, min(samples, len(values))
    lists = listed(default, lengths)
    yield "lists of 96 Observation", loop_of(default, lengths), lists, samples


def pod(count: int) -> tuple[float, float]:
    """Return milliseconds of a merge, and kilobytes that each process sends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--worker"]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(count), str(port)],
            stdout=subprocess.PIPE,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            text=True,
        )
        for rank in range(count)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in running]
    milliseconds, kilobytes = map(float, outputs[0].split())
    return milliseconds, kilobytes


def worker(rank: int, count: int, port: int) -> None:
    import jax

    from jaxmetrics import processes

    if count > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
    rng = np.random.default_rng(rank)
    aggregator, sizes = jm.MetricsAggregator(), [0]
    for i in range(250):
        aggregator.update(f"d{i}", KINDS.SUM, samples=1, tokens=rng.integers(1, 99, 64))
        aggregator.update(f"d{i}", KINDS.MEAN, loss=rng.random(64))
        lengths = rng.integers(1, 8192, 2000)
        aggregator.update(f"d{i}", KINDS.DISTRIBUTION, seq_len=lengths)
    exchange = processes.exchange

    def measured(tag: str, payload: bytes, *rest: Any) -> Any:
        sizes.append(len(payload))
        return exchange(tag, payload, *rest)

    processes.exchange = measured
    seconds = []
    for _ in range(11):
        start = time.perf_counter()
        aggregator.get_metrics_for_logging()
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        print(statistics.median(seconds[1:]) * 1e3, sizes[-1] / 1e3)


if __name__ == "__main__":
    main()
