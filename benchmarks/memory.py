"""Bytes of states, and memory over a million updates; nothing is timed.

JAXMETRICS_UPDATES=20000 python -m benchmarks memory
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

UPDATES = int(os.environ.get("JAXMETRICS_UPDATES", 1_000_000))
CHUNK, ROWS = 1000, 64


def measure(bench: Any) -> None:
    """Add the bytes of states, and memory before and after many updates."""
    from benchmarks.measure import Row

    if bench.wants("bytes of state"):
        for name, state in states().items():
            bench.add([Row("bytes of state", name, figures=size(state))])
    for name, run in loops().items():
        case = f"{UPDATES:,} updates, {name}"
        if bench.wants(case):
            bench.add([Row(case, "jaxmetrics", figures=grown(run()))])


def states() -> dict[str, Any]:
    """Return states by name."""
    import jaxmetrics as jm
    from benchmarks import twenty

    ours = twenty.collection()
    found = {f"Collection of 20, {name}": ours[name] for name in ours}
    found["Collection of 20"] = ours
    found |= {f"{name}, {x.metrics}": x.start for name, x in twenty.peers().items()}
    return found | {
        "R2": jm.R2(),
        "F1 of 1,000 classes": jm.F1(classes=1000),
        "AUROC": jm.AUROC(),
        "ExpectedCalibrationError": jm.ExpectedCalibrationError(),
        "Histogram of 64 bins": jm.Histogram(bins=64, low=-4, high=4),
        "Quantiles": jm.Quantiles(),
        "DistinctCount": jm.DistinctCount(),
    }


def size(state: Any) -> dict[str, float]:
    """Return the leaves of a state and their bytes."""
    import jax

    leaves = jax.tree.leaves(state)
    return {"bytes": sum(x.nbytes for x in leaves), "leaves": len(leaves)}


def loops() -> dict[str, Callable[[], Iterator[None]]]:
    """Return generators by name: each yields after its first chunk and at its end."""
    import jax
    import jax.numpy as jnp

    from benchmarks import twenty

    def outputs() -> dict[str, Any]:
        keys = jax.random.split(jax.random.key(0))
        logits = jax.random.normal(keys[0], (ROWS, 10))
        labels = jax.random.randint(keys[1], (ROWS,), 0, 10, jnp.int32)
        return {"logits": logits, "labels": labels, "loss": logits[:, 0] ** 2}

    def in_chunks() -> Iterator[None]:
        one = twenty.jaxmetrics().update
        batch, state = outputs(), jax.tree.map(jnp.array, twenty.collection(10))

        def chunk(state: Any, batch: Any) -> Any:
            return jax.lax.fori_loop(0, CHUNK, lambda _, s: one(s, batch), state)

        step = jax.jit(chunk, donate_argnums=0)
        for i in range(UPDATES // CHUNK):
            state = jax.block_until_ready(step(state, batch))
            if i == 0:
                yield
        yield

    def one_by_one() -> Iterator[None]:
        import jaxmetrics as jm

        step = jax.jit(lambda s, x: s.update(values=x), donate_argnums=0)
        state, values = jax.tree.map(jnp.array, jm.Mean()), outputs()["loss"]
        for i in range(UPDATES):
            state = step(state, values)
            if i == CHUNK:
                jax.block_until_ready(state)
                yield
        jax.block_until_ready(state)
        yield

    return {"20 metrics in chunks": in_chunks, "Mean, a call each": one_by_one}


def grown(loop: Iterator[None]) -> dict[str, float]:
    """Return the memory in the end, and how much it grew since the first chunk."""
    import jax

    found: list[tuple[float, int, int]] = []
    for _ in loop:
        live = jax.live_arrays()
        found.append((resident(), len(live), sum(x.nbytes for x in live)))
    (first, arrays, live), (last, more_arrays, more_live) = found
    return {
        "MiB resident": last,
        "MiB grown": last - first,
        "arrays grown": more_arrays - arrays,
        "bytes of arrays grown": more_live - live,
    }


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
