"""Benchmark logging: time in the training thread, and time of the files.

Interleaved rounds and medians. `log_step` is timed in the training loop: twenty device
scalars, with the writers working in the background. For comparison, the same scalars
are passed to W&B (offline), to tensorboardX, and as clu does it: fetched and written by
a pool of one thread, with tensorboardX in place of TensorFlow's writer.

    python benchmarks/writers.py [--rounds 30]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# The matrices are so small that XLA uses one core. The other is free for the host, as
# if an accelerator ran the step.
os.environ.setdefault("WANDB_SILENT", "true")

import jax
import jax.numpy as jnp
import numpy as np

import jaxmetrics as jm
from jaxmetrics import writers
from jaxmetrics.record import AppendFile, dumps

SCALARS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=20, help="steps per round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("one call, in the training thread, with a step of 10 ms")
        calls(Path(folder), options.rounds, options.steps)
        print("\nten consecutive calls, all records written in between")
        consecutive_calls(Path(folder), 2 * options.rounds)
        print("\nthe loop with all writers, relative to the loop without")
        loops(Path(folder), options.rounds, options.steps)
        print("\nfiles")
        files(Path(folder), options.rounds)


def calls(folder: Path, rounds: int, steps: int) -> None:
    """Print the microseconds of a call, by logging library."""
    step = ten_milliseconds()
    state = jnp.ones(())
    with contextlib.ExitStack() as stack:
        variants = dict(logging_calls(folder, stack))
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        number = 0
        for _ in range(rounds):
            for name, call in variants.items():
                times = []
                for _ in range(steps):
                    number += 1
                    state, values = step(state)
                    jax.block_until_ready(state)
                    start = time.perf_counter()
                    call(number, values)
                    times.append(time.perf_counter() - start)
                seconds[name].append(statistics.median(times))
    baseline = seconds["log_step, JSONL"]
    print(f"{'':44s} {'us':>8s} {'x log_step':>11s}   [quartiles]")
    for name, times in seconds.items():
        report(name, [1e6 * t for t in times], [t / b for t, b in zip(times, baseline)])


def consecutive_calls(folder: Path, rounds: int) -> None:
    """Print the microseconds per call of consecutive calls, with warm caches."""
    give = jax.jit(lambda x: {f"value_{i}": x + i for i in range(SCALARS)})
    values = give(jnp.ones(()))
    kinds = {
        "log_step, no writer": None,
        "log_step, JSONL": [],
        "log_step, JSONL and TensorBoard": [writers.TensorBoard()],
        "log_step, all writers": all_writers(),
    }
    print(f"{'':44s} {'us':>8s}   [quartiles]")
    for name, which in kinds.items():
        microseconds = []
        number = 0
        options = {"root": folder, "writers": which}
        if which is None:
            options = {"root": None}
        with jm.TrainingLogger(console=False, **options) as logger:
            for _ in range(rounds):
                start = time.perf_counter()
                for _ in range(10):
                    number += 1
                    logger.log_step(number, **values)
                microseconds.append((time.perf_counter() - start) / 10 * 1e6)
                logger.flush()
        low, middle, high = statistics.quantiles(microseconds, n=4)
        print(f"{name:44s} {middle:8.2f}   [{low:.2f}, {high:.2f}]")


def logging_calls(
    folder: Path, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Callable[[int, dict], None]]]:
    """Yield names, and functions that log the twenty scalars of a step."""

    def logger(
        name: str, *which: writers.Writer, root: Path | None = folder
    ) -> jm.TrainingLogger:
        new = jm.TrainingLogger("bench", name, root, writers=which, console=False)
        return stack.enter_context(new)

    nothing = logger("none", root=None)
    yield "log_step, no writer", lambda n, v: nothing.log_step(n, **v)
    lines = logger("jsonl")
    yield "log_step, JSONL", lambda n, v: lines.log_step(n, **v)
    every = logger("all", *all_writers())
    yield "log_step, all writers", lambda n, v: every.log_step(n, **v)

    metrics = jm.Collection(**{f"value_{i}": jm.Mean() for i in range(SCALARS)})
    whole = logger("collection")
    update = jax.jit(lambda m, x: m.update(values=x))
    state = jax.block_until_ready(update(metrics.empty(), jnp.ones(8)))
    yield "log_step of a Collection of 20", lambda n, v: whole.log_step(n, state)

    import wandb

    run = wandb.init(mode="offline", dir=str(folder), reinit="create_new")
    stack.callback(run.finish)
    yield "wandb, offline", lambda n, v: run.log(v)

    from tensorboardX import SummaryWriter

    board = stack.enter_context(SummaryWriter(str(folder / "board")))

    def summarise(number: int, values: dict) -> None:
        for name, value in values.items():
            board.add_scalar(name, float(value), number)

    yield "tensorboardX", summarise

    from clu.asynclib import Pool

    pool = Pool(max_workers=1)
    stack.callback(pool.join)
    yield "as clu does: a thread pool", pool(summarise)


def all_writers() -> list[writers.Writer]:
    """Return one writer of each kind, with the intervals of a logger."""
    return [
        writers.Console(every=25, file=open(os.devnull, "w")),
        writers.CSV(),
        writers.TensorBoard(),
        writers.WandB(mode="offline", every=50),
    ]


def loops(folder: Path, rounds: int, steps: int) -> None:
    """Print steps per second with all writers, relative to a loop without logging."""
    step = ten_milliseconds()

    def run(log: Callable[[int, dict], None], first: int) -> float:
        state = jnp.ones(())
        start = time.perf_counter()
        for number in range(first, first + steps):
            state, values = step(state)
            log(number, values)
        jax.block_until_ready(state)
        return (time.perf_counter() - start) / steps

    options = {"root": folder, "run_name": "loop", "writers": all_writers()}
    with jm.TrainingLogger(**options) as logger:
        variants = {
            "no log": lambda n, v: None,
            "no log again (A/A)": lambda n, v: None,
            "all writers": lambda n, v: logger.log_step(n, **v),
        }
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for log in variants.values():
            run(log, 1)
        for number in range(rounds):
            for name, log in variants.items():
                seconds[name].append(run(log, (number + 1) * steps + 1))
    baseline = seconds["no log"]
    print(f"{'':44s} {'ms':>8s} {'steps/s, x':>11s}   [quartiles]")
    for name, times in seconds.items():
        report(name, [1e3 * t for t in times], [b / t for t, b in zip(times, baseline)])


def ten_milliseconds() -> Callable:
    """Return a compiled step of about 10 ms that returns twenty scalars."""
    matrix = jnp.asarray(np.random.default_rng(0).normal(0, 0.05, (96, 96)))

    def of(rounds: int) -> Callable:
        @jax.jit
        def step(state):
            x = jax.lax.fori_loop(0, rounds, lambda _, x: jnp.tanh(x @ matrix), matrix)
            total = state + x.sum()
            return total, {f"value_{i}": total + i for i in range(SCALARS)}

        jax.block_until_ready(step(jnp.ones(())))
        return step

    start = time.perf_counter()
    probe = of(400)
    start = time.perf_counter()
    jax.block_until_ready(probe(jnp.ones(())))
    return of(max(1, round(400 * 0.01 / (time.perf_counter() - start))))


def files(folder: Path, rounds: int) -> None:
    """Print the time of lines and events, relative to the minimum work."""
    records = 2000
    values = {f"train/value_{i}": 0.1 * i for i in range(SCALARS)}
    row = {"step": 1, "split": "train", "time": 1.5, **values}
    line = dumps(row).encode() + b"\n"
    plain = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    lines = AppendFile(folder / "lines.jsonl")
    standard = os.open(folder / "json", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    from jaxmetrics.record import Record

    record = Record(1, "train", values, 1.5)
    compare(
        {
            "os.write of a line": lambda: os.write(plain, line),
            "json.dumps and os.write": lambda: os.write(
                standard, json.dumps(row).encode() + b"\n"
            ),
            "JSONL writer: record, dumps, write": lambda: lines.write_line(
                dumps(record.line())
            ),
        },
        rounds,
        records,
    )
    import google_crc32c
    from tensorboardX.crc32c import _crc32c as pure

    from jaxmetrics.writers._event_file import EventFile

    (folder / "events").mkdir()
    event = os.urandom(900)  # the size of twenty scalars
    compiled = EventFile(folder / "events", 1.0, google_crc32c.value)
    slow = EventFile(folder / "events", 2.0, pure)
    compare(
        {
            "TensorBoard event, compiled CRC-32C": lambda: compiled.write(event),
            "TensorBoard event, CRC-32C in Python": lambda: slow.write(event),
        },
        max(3, rounds // 3),
        200,
    )


def compare(variants: dict[str, Callable], rounds: int, times: int) -> None:
    """Print the microseconds of each call, and the ratio to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, call in variants.items():
            start = time.perf_counter()
            for _ in range(times):
                call()
            seconds[name].append((time.perf_counter() - start) / times)
    first = next(iter(seconds.values()))
    print(f"{'':44s} {'us':>8s} {'x first':>11s}   [quartiles]")
    for name, own in seconds.items():
        report(name, [1e6 * t for t in own], [t / f for t, f in zip(own, first)])


def report(name: str, amounts: list[float], ratios: list[float]) -> None:
    low, middle, high = statistics.quantiles(ratios, n=4)
    amount = statistics.median(amounts)
    print(f"{name:44s} {amount:8.2f} {middle:11.3f}   [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
