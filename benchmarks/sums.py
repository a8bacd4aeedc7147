"""Benchmark the sum of one batch, and sums by cell, against plain float32.

One core, interleaved runs, medians and minima; `jnp.sum` is the limit, as it only
reads the values.

    taskset -c 0 python benchmarks/sums.py [--rounds 60]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

SIZES = (1_024, 16_384, 65_536, 1_000_000, 1 << 20)
CELLS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    flag = "--xla_cpu_multi_thread_eigen=false"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    head = ("median us", "min us", "ratio", "compile s")
    print(f"{'':30s} " + " ".join(f"{name:>10s}" for name in head))
    for size in SIZES:
        for rows in (sums_of(size), cells_of(size)):
            compare(size, rows, options.rounds)


def compare(size: int, rows: dict, rounds: int) -> None:
    """Print the times of functions, called in turn; ratios are to the first."""
    import jax

    compiled, seconds = {}, {}
    for name, (function, operands) in rows.items():
        start = time.process_time()
        compiled[name] = jax.jit(function).lower(*operands).compile(), operands
        seconds[name] = time.process_time() - start
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, (function, operands) in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(function(*operands))
            times[name].append(time.perf_counter() - start)
    limit = statistics.median(next(iter(times.values())))
    for name, taken in times.items():
        median = statistics.median(taken)
        print(
            f"{size:>10,d} {name:19s} {median * 1e6:10.0f} {min(taken) * 1e6:10.0f} "
            f"{median / limit:10.2f} {seconds[name]:10.2f}"
        )


def sums_of(size: int) -> dict:
    """Return functions that sum values, with their operands."""
    import jax.numpy as jnp
    import numpy as np

    import jaxmetrics as jm

    values = jnp.asarray(np.random.default_rng(0).normal(size=size).astype(np.float32))
    return {
        "jnp.sum": (lambda x: x.sum(), (values,)),
        "jm.total": (lambda x: jm.total(x).pair(), (values,)),
    }


def cells_of(size: int) -> dict:
    """Return functions that sum weights by cell, with their operands."""
    import jax.numpy as jnp
    import numpy as np

    import jaxmetrics as jm

    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.random(size, np.float32))
    index = jnp.asarray(rng.integers(0, CELLS, size).astype(np.int32))

    def scatter(index, weights):
        return jnp.zeros(CELLS, jnp.float32).at[index].add(weights, mode="drop")

    def counted(index, weights):
        return jm.count_at(index, (CELLS,), None, weights).pair()

    operands = (index, weights)
    return {"float32 scatter": (scatter, operands), "jm.count_at": (counted, operands)}


if __name__ == "__main__":
    main()
