"""Sketches over a masked mean, exact sums over `jnp.sum`, counts over a scatter.

On a CPU sketches scatter, on a TPU they multiply one-hot rows, so results on one do not
carry over to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CORES = 1
VALUES, CELLS = 100_000, 15
SIZES = (1024, 65_536, 1_000_000)


def measure(bench: Any) -> None:
    """Time updates of sketches, and the parts that sums are made of."""
    from benchmarks.jitted import update_of, updating

    case = f"sketch of {VALUES:,} values"
    if bench.wants(case):
        runs, figures = {}, {}
        for name, (metric, outputs) in sketches().items():
            runs[name], figures[name] = updating(update_of, metric, outputs)
        bench.compare(case, runs, figures)
    for size in SIZES:
        for case, functions in sums(size).items():
            if bench.wants(case):
                runs = {name: called(*parts) for name, parts in functions.items()}
                bench.compare(case, runs)


def sketches() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return metrics with their batches; the first one is the floor."""
    import jax
    import numpy as np

    import jaxmetrics as jm

    rng = np.random.default_rng(0)
    arrays = {
        "values": rng.lognormal(0, 2, VALUES).astype(np.float32),
        "tokens": np.minimum(rng.zipf(1.3, VALUES), 2**17 - 1).astype(np.int32),
        "ids": np.arange(VALUES, dtype=np.int32),
        "rows": rng.normal(size=(VALUES // 16, 16)).astype(np.float32),
        "mask": rng.random(VALUES) < 0.9,
    }
    arrays = jax.device_put(arrays)
    mask = arrays["mask"]
    batch = {"values": arrays["values"], "mask": mask}
    of_tokens = {"values": arrays["tokens"], "mask": mask}
    log_bins = jm.Histogram(low=1e-4, high=1e4, scale="log")
    return {
        "Mean": (jm.Mean(), batch),
        "Histogram, 64 bins": (log_bins, batch),
        "Quantiles": (jm.Quantiles(), batch),
        "DistinctCount": (jm.DistinctCount(), batch),
        "CountMin": (jm.CountMin(), of_tokens),
        "TopItems, 17 bits": (jm.TopItems(bits=17), of_tokens),
        "TopItems, 32 bits": (jm.TopItems(), of_tokens),
        "Reservoir": (jm.Reservoir(), batch | {"ids": arrays["ids"]}),
        "Moments": (jm.Moments(), batch),
        "Covariance, 16 columns": (
            jm.Covariance(size=16),
            {"values": arrays["rows"], "mask": mask[: VALUES // 16]},
        ),
    }


def sums(size: int) -> dict[str, dict[str, tuple[Callable[..., Any], Any]]]:
    """Return functions and operands by case; the first one is the floor."""
    import jax.numpy as jnp
    import numpy as np

    import jaxmetrics as jm

    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.normal(size=size).astype(np.float32))
    weights = jnp.asarray(rng.random(size, np.float32))
    index = jnp.asarray(rng.integers(0, CELLS, size).astype(np.int32))

    def scatter(index: Any, weights: Any) -> Any:
        return jnp.zeros(CELLS, jnp.float32).at[index].add(weights, mode="drop")

    def counted(index: Any, weights: Any) -> Any:
        return jm.count_at(index, (CELLS,), None, weights).pair()

    return {
        f"sum of {size:,}": {
            "jnp.sum": (lambda x: x.sum(), (values,)),
            "jm.total": (lambda x: jm.total(x).pair(), (values,)),
        },
        f"weighted count of {size:,} in {CELLS} cells": {
            "float32 scatter": (scatter, (index, weights)),
            "jm.count_at": (counted, (index, weights)),
        },
    }


def called(function: Callable[..., Any], operands: Any) -> Callable[[], object]:
    """Return a function that runs another in jit, and waits."""
    import jax

    jitted = jax.jit(function)
    return lambda: jax.block_until_ready(jitted(*operands))
