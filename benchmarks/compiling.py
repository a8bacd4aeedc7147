"""First step with 1, 20 and 100 metrics, traced and compiled, over the bare step.

Each time is that of a new process, after its imports. A hundred metrics are the twenty
and eighty means.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from typing import Any

CASE = "first step, cold"
MOST_ROUNDS = 7
CONTENDERS = ("without metrics", "1 metric", "20 metrics", "100 metrics")


def measure(bench: Any) -> None:
    """Time the first step of each contender in processes of their own."""
    if not bench.wants(CASE):
        return
    from benchmarks.twenty import peers

    libraries = peers()
    names = (*CONTENDERS, *libraries)
    figures = {name: {"metrics": lib.metrics} for name, lib in libraries.items()}
    readings = {name: functools.partial(in_a_process, name) for name in names}
    bench.collect(CASE, readings, figures, min(bench.rounds, MOST_ROUNDS))


def in_a_process(name: str) -> float:
    """Return the seconds of a contender in a new process."""
    command = [sys.executable, "-m", "benchmarks.compiling", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def first_step(name: str) -> float:
    """Return the seconds to trace and compile a step."""
    import jax

    import jaxmetrics as jm
    from benchmarks import classifier, step, twenty

    means = {f"mean{i}": jm.Mean("loss").on(mask=f"part{i}") for i in range(80)}
    ours = {
        "1 metric": jm.Collection(loss=jm.Mean("loss")),
        "20 metrics": twenty.collection(),
        "100 metrics": jm.Collection(**twenty.collection(), **means),
    }
    start: Any = ()
    update: Any = None
    if name in ours:
        start, update = ours[name], twenty.jaxmetrics().update
    elif name in twenty.peers():
        start, update = twenty.peers()[name].start, twenty.peers()[name].update
    arguments = jax.device_put((classifier.weights(), start, classifier.batch()))

    def with_parts(state: Any, outputs: Any) -> Any:
        losses = outputs["loss"]
        parts = {f"part{i}": losses > 0.1 * i for i in range(80)}
        return update(state, outputs | parts)

    function = step.one_update(with_parts if name == "100 metrics" else update)
    jax.block_until_ready(jax.jit(lambda x: x + 1)(1.0))
    began = time.perf_counter()
    jax.jit(function, donate_argnums=(0, 1)).lower(*arguments).compile()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(first_step(sys.argv[1]))
