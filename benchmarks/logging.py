"""Logging from the training thread: twenty device scalars, by many loggers.

The floor hands one object, the same dict of twenty scalars, to a `queue.SimpleQueue`
that a thread reads. Time is that of the caller, while the threads of all loggers work.
Beside a step the caches are cold: each call follows a step of 10 ms that uses one core,
as the core beside an accelerator is.

    python -m benchmarks logging [--only "log beside*"] [--rounds 30]
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ENVIRONMENT = {"WANDB_SILENT": "true"}

SCALARS = 20
_STEPS, _IN_A_ROW = 20, 10
Log = Callable[[int, dict[str, Any]], object]


def measure(bench: Any) -> None:
    """Time calls beside a step, calls in a row, whole loops, and the lines of files."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        loggers = contenders(Path(folder), stack)
        if bench.wants("log beside a step"):
            beside_a_step(bench, loggers)
        if bench.wants("log ten in a row"):
            in_a_row(bench, loggers)
        if bench.wants("loop of 10 ms steps"):
            loops(bench, loggers)
        if bench.wants("line of a file"):
            lines(bench, Path(folder))


def beside_a_step(bench: Any, loggers: dict[str, Log]) -> None:
    """Time one call after each step of 10 ms; a round is the median of some."""
    import jax
    import jax.numpy as jnp

    step, state, numbers = ten_milliseconds(), jnp.ones(()), _numbers()

    def once(log: Log) -> float:
        nonlocal state
        times = []
        for _ in range(_STEPS):
            state, values = step(state)
            jax.block_until_ready((state, values))
            number, start = next(numbers), time.perf_counter()
            log(number, values)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    _compare(bench, "log beside a step", loggers, once)


def in_a_row(bench: Any, loggers: dict[str, Log]) -> None:
    """Time ten calls in a row, with warm caches; all is written in between."""
    import jax
    import jax.numpy as jnp

    give = jax.jit(lambda x: {f"value_{i}": x + i for i in range(SCALARS)})
    values, numbers = jax.block_until_ready(give(jnp.ones(()))), _numbers()

    def once(log: Log) -> float:
        start = time.perf_counter()
        for _ in range(_IN_A_ROW):
            log(next(numbers), values)
        seconds = (time.perf_counter() - start) / _IN_A_ROW
        time.sleep(0.05)  # the threads of the loggers write
        return seconds

    _compare(bench, "log ten in a row", loggers, once)


def loops(bench: Any, loggers: dict[str, Log]) -> None:
    """Time a step of a loop that logs, to one that does not."""
    import jax
    import jax.numpy as jnp

    step, numbers = ten_milliseconds(), _numbers()

    def once(log: Log) -> float:
        state, start = jnp.ones(()), time.perf_counter()
        for _ in range(_STEPS):
            state, values = step(state)
            log(next(numbers), values)
        jax.block_until_ready(state)
        return (time.perf_counter() - start) / _STEPS

    names = "log_step, all writers", "log_step, all writers, keywords"
    chosen = {"no logging": lambda n, x: None} | {name: loggers[name] for name in names}
    _compare(bench, "loop of 10 ms steps", chosen, once)


def lines(bench: Any, folder: Path) -> None:
    """Time a line of twenty numbers with its write, in the thread that writes it."""
    import orjson

    from jaxmetrics.record import AppendFile, Record, dumps

    values = {f"train/value_{i}": 0.1 * i for i in range(SCALARS)}
    row = {"step": 1, "split": "train", "time": 1.5, **values}
    record, line = Record(1, "train", values, 1.5), orjson.dumps(row) + b"\n"
    files = [
        os.open(folder / f"line{i}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for i in range(3)
    ]
    own = AppendFile(folder / "lines.jsonl")
    runs = {
        "os.write of a line": lambda: os.write(files[0], line),
        "orjson.dumps, os.write": lambda: os.write(files[1], orjson.dumps(row) + b"\n"),
        "json.dumps, os.write": lambda: os.write(
            files[2], json.dumps(row).encode() + b"\n"
        ),
        "JSONL: record, dumps, write": lambda: own.write_line(dumps(record.line())),
    }
    bench.compare("line of a file", runs)


def contenders(folder: Path, stack: contextlib.ExitStack) -> dict[str, Log]:
    """Return functions that log the scalars of a step; the first is the floor."""
    import clu.asynclib
    import jax
    import jax.numpy as jnp
    import orjson
    import tensorboardX
    import wandb

    import jaxmetrics as jm
    from benchmarks.jitted import as_one

    def logger(name: str, writers: Any = (), root: Path | None = folder) -> Any:
        new = jm.TrainingLogger("bench", name, root, writers=writers, console=False)
        return stack.enter_context(new)

    def reader(objects: Any) -> None:
        while objects.get() is not None:
            pass

    handed: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=reader, args=(handed,), daemon=True).start()
    stack.callback(handed.put, None)

    metrics = jm.Collection(**{f"m{i}": jm.Mean(f"x{i}") for i in range(SCALARS)})
    update = jax.jit(lambda m, x: m.update(**{f"x{i}": x for i in range(SCALARS)}))
    state = jax.block_until_ready(update(metrics.empty(), jnp.ones(8)))
    one, launch = jnp.ones(3), jax.jit(lambda x: x + 1)
    leaves, stacked = jax.tree.leaves(state), jax.jit(as_one)

    run = wandb.init(mode="offline", dir=str(folder), reinit="create_new")
    stack.callback(run.finish)
    board = stack.enter_context(tensorboardX.SummaryWriter(str(folder / "board")))
    plain = [stack.enter_context((folder / f"{i}.jsonl").open("wb")) for i in range(2)]
    pool = clu.asynclib.Pool(max_workers=1)
    stack.callback(pool.join)

    def scalars(number: int, values: dict[str, Any]) -> None:
        for name, value in values.items():
            board.add_scalar(name, float(value), number)

    def line(number: int, values: dict[str, Any]) -> dict[str, Any]:
        return {"step": number} | {name: float(x) for name, x in values.items()}

    def with_json(number: int, values: dict[str, Any]) -> None:
        plain[0].write(json.dumps(line(number, values)).encode() + b"\n")
        plain[0].flush()

    def with_orjson(number: int, values: dict[str, Any]) -> None:
        plain[1].write(orjson.dumps(line(number, values)) + b"\n")
        plain[1].flush()

    nothing, jsonl = logger("none", root=None), logger("jsonl")
    every, keywords = logger("all", all_writers()), logger("keywords", all_writers())
    new, whole = logger("new", all_writers()), logger("collection")

    def unusual(number: int, values: dict[str, Any]) -> None:
        new.log_step(number, values, split="train")

    return {
        "SimpleQueue.put of the dict": lambda n, x: handed.put((n, x)),
        "SimpleQueue.put of a copy": lambda n, x: handed.put((n, dict(x))),
        "log_step, no writer": lambda n, x: nothing.log_step(n, x),
        "log_step, JSONL": lambda n, x: jsonl.log_step(n, x),
        "log_step, all writers": lambda n, x: every.log_step(n, x),
        "log_step, all writers, keywords": lambda n, x: keywords.log_step(n, **x),
        "log_step, all writers, with split=": unusual,
        "log_step of a Collection of 20": lambda n, x: whole.log_step(n, state),
        "launch of its 40 leaves into one": lambda n, x: stacked(leaves),
        "launch of one addition": lambda n, x: launch(one),
        "clu: submit to a pool of one thread": pool(scalars),
        "JSONL by hand, orjson": with_orjson,
        "JSONL by hand, json": with_json,
        "W&B offline": lambda n, x: run.log(x),
        "tensorboardX": scalars,
    }


def all_writers() -> list[Any]:
    """Return one writer of each kind, with the intervals of a logger."""
    from jaxmetrics import writers

    return [
        writers.Console(every=25, file=open(os.devnull, "w")),
        writers.CSV(),
        writers.TensorBoard(),
        writers.WandB(mode="offline", every=50),
    ]


def ten_milliseconds() -> Callable[[Any], Any]:
    """Return a compiled step of about 10 ms that returns twenty scalars.

    Its matrices are so small that XLA uses one core.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    matrix = jnp.asarray(np.random.default_rng(0).normal(0, 0.05, (96, 96)))

    def of(rounds: int) -> Callable[[Any], Any]:
        @jax.jit
        def step(state: Any) -> Any:
            x = jax.lax.fori_loop(0, rounds, lambda _, x: jnp.tanh(x @ matrix), matrix)
            total = state + x.sum()
            return total, {f"value_{i}": total + i for i in range(SCALARS)}

        jax.block_until_ready(step(jnp.ones(())))
        return step

    probe, times = of(400), []
    for _ in range(20):
        start = time.perf_counter()
        jax.block_until_ready(probe(jnp.ones(())))
        times.append(time.perf_counter() - start)
    return of(max(1, round(400 * 0.01 / statistics.median(times))))


def _compare(
    bench: Any, case: str, loggers: dict[str, Log], once: Callable[[Log], float]
) -> None:
    """Warm up loggers, time them in turns, one number a round, and add their rows."""
    for log in loggers.values():
        once(log)
    readings = {name: functools.partial(once, log) for name, log in loggers.items()}
    bench.collect(case, readings)


def _numbers() -> Iterator[int]:
    """Return steps that are higher than those of all cases before."""
    return iter(range(time.monotonic_ns() // 1000, 2**62))
