"""The aggregator: time of a thousand observations, and of merging between processes.

The floor is a loop that creates one object for each observation of a sample and updates
one dictionary entry for each object. The exchange between processes is
`get_metrics_for_logging` of 1,000 metrics: 500 sums, 250 means, and 250 distributions
of 2,000 values each.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxmetrics as jm
from benchmarks.measure import prepared

LOOP_SAMPLES = 50_000
PROCESSES, MERGE_ROUNDS = (1, 2, 4), 3
MERGE = "merge of 1,000 metrics"
KINDS = jm.AggregationType


def measure(bench: Any) -> None:
    """Time a thousand observations of each kind, and merging between processes."""
    for case, loop, batched, count in contenders():
        if bench.wants(case):
            readings = {
                "loop": functools.partial(seconds, loop, LOOP_SAMPLES),
                "aggregator": functools.partial(seconds, batched, count),
            }
            bench.collect(case, readings)
    if bench.wants(MERGE):
        names = {f"processes: {count}": count for count in PROCESSES}
        figures = {name: {"kB/process": pod(n)[1]} for name, n in names.items()}
        readings = {
            name: lambda count=count: pod(count)[0] for name, count in names.items()
        }
        bench.collect(MERGE, readings, figures, min(bench.rounds, MERGE_ROUNDS))


def seconds(run: Callable[[int], int], samples: int) -> float:
    """Return the seconds of a thousand observations."""
    began = time.perf_counter()
    observations = run(samples)
    return 1000 * (time.perf_counter() - began) / observations


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


Values = np.ndarray | list[str]


def loop_of(metrics: dict[str, KINDS], values: Values) -> Callable[[int], int]:
    """Return the floor: one object and one update per metric and sample."""

    def run(count: int) -> int:
        states: dict[tuple[str, str], State] = {}
        chosen = values[:count]
        for value in chosen if isinstance(chosen, list) else chosen.tolist():
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
    metrics: dict[str, KINDS], values: Values, batch: int
) -> Callable[[int], int]:
    """Return the same totals, updated with `batch` values at a time."""

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
    """Yield name, floor, aggregator, and number of samples for the aggregator."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 8192, 1 << 22)
    losses = rng.lognormal(size=1 << 22)
    few = np.array(["en", "sv", "de", "fr"])[lengths[: 1 << 18] % 4]
    many = np.array([f"category {i:03d}" for i in range(100)])[lengths[: 1 << 18] % 100]
    default = {"tokens_seen": KINDS.SUM, "seq_len": KINDS.DISTRIBUTION}
    category = {"language": KINDS.CATEGORICAL_COUNT}
    samples = len(lengths)
    for batch in (1024, 65536):
        for name, metrics, values in (
            ("SUM", {"tokens": KINDS.SUM}, lengths),
            ("MEAN", {"loss": KINDS.MEAN}, losses),
            ("MAX", {"longest": KINDS.MAX}, lengths),
            ("DISTRIBUTION", {"seq_len": KINDS.DISTRIBUTION}, lengths),
            ("tokens_seen and seq_len", default, lengths),
            ("4 integers as categories", category, lengths % 4),
            ("4 strings as categories", category, few),
            ("100 strings as categories", category, many),
            ("list of 4 strings", category, few.tolist()),
            ("list of 100 strings", category, many.tolist()),
        ):
            batched = batched_of(metrics, values, batch)
            label = f"{name}, {batch:,} per call"
            yield label, loop_of(metrics, values), batched, len(values)
    lists = listed(default, lengths)
    yield "lists of 96 Observation", loop_of(default, lengths), lists, samples


def pod(count: int) -> tuple[float, float]:
    """Return seconds of a merge, and kilobytes that each process sends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.aggregator"]
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
    merge, kilobytes = map(float, outputs[0].split())
    return merge, kilobytes


def worker(rank: int, count: int, port: int) -> None:
    import jax

    if count > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
    rng = np.random.default_rng(rank)
    aggregator, sizes = jm.MetricsAggregator(), [0]
    for i in range(250):
        aggregator.update(f"d{i}", KINDS.SUM, samples=1, tokens=rng.integers(1, 99, 64))
        aggregator.update(f"d{i}", KINDS.MEAN, loss=rng.random(64))
        lengths = rng.integers(1, 8192, 2000)
        aggregator.update(f"d{i}", KINDS.DISTRIBUTION, seq_len=lengths)
    module: Any = sys.modules[jm.MetricsAggregator.__module__]
    exchange = module.exchange

    def measured(tag: str, payload: bytes, *rest: Any) -> Any:
        sizes.append(len(payload))
        return exchange(tag, payload, *rest)

    module.exchange = measured
    merge = prepared(lambda: None, lambda _: aggregator.get_metrics_for_logging(), 10)
    aggregator.get_metrics_for_logging()
    found = merge()
    if rank == 0:
        print(found, sizes[-1] / 1e3)


if __name__ == "__main__":
    worker(*map(int, sys.argv[1:]))
