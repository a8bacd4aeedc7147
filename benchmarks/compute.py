"""Compute and reduction at log time of twenty metrics, on one and on eight devices.

The floor joins the arrays of the state into one in jit and fetches it. Each call gets
arrays that were not fetched before. Other libraries have fewer metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DEVICES, CALLS = 8, 10
ENVIRONMENT = {
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
    "NPROC": "32",
}


def measure(bench: Any) -> None:
    """Time compute, and the reduction of deferred metrics."""
    if bench.wants("compute of 20 metrics"):
        computed(bench, "compute of 20 metrics")
    if bench.wants("reduction of 20 metrics, 8 devices"):
        reduced(bench, "reduction of 20 metrics, 8 devices")


def computed(bench: Any, case: str) -> None:
    """Time compute of each library, to values on the host."""
    import importlib.util

    from benchmarks import step, twenty
    from benchmarks.jitted import launches
    from benchmarks.measure import prepared

    states, batch = step.placed()
    functions, figures = {}, {"one array": {}}
    for name, (library, start) in states.items():
        state = step.updated(library.update, start, batch)
        functions.setdefault("one array", (in_one_array(), state))
        functions[name] = library.compute, state
        figures[name] = {"metrics": library.metrics}
    readings = {}
    for name, (function, state) in functions.items():
        readings[name] = prepared(copies(state), function, CALLS)
        readings[name]()
        figures[name]["launches"] = launches(lambda f=function, s=state: f(s))
    if importlib.util.find_spec("torchmetrics"):
        metrics = twenty.torchmetrics(step.outputs_of(batch))
        figures["torchmetrics"] = {"metrics": len(metrics)}
        readings["torchmetrics"] = prepared(
            lambda: None, lambda _: metrics.compute(), CALLS
        )
    bench.collect(case, readings, figures)


def reduced(bench: Any, case: str) -> None:
    """Time the reduction of a deferred Collection, and its compute."""
    import jax

    from benchmarks import step
    from benchmarks.jitted import launches
    from benchmarks.measure import prepared

    states, batch = step.sharded()
    library, start = states["jaxmetrics, deferred"]
    state = step.updated(library.update, start, batch)
    total = jax.jit(lambda state: jax.tree.map(lambda x: x.sum(0), state.state))
    functions = {
        "sum of shards in jit": lambda state: jax.block_until_ready(total(state)),
        "reduce": lambda state: jax.block_until_ready(state.reduce()),
        "reduce and compute": lambda state: state.compute(),
    }
    readings, figures = {}, {}
    for name, function in functions.items():
        readings[name] = prepared(copies(state), function, CALLS)
        readings[name]()
        figures[name] = {"launches": launches(lambda f=function: f(state))}
    bench.collect(case, readings, figures)


def in_one_array() -> Callable[[Any], Any]:
    """Return a function that fetches all leaves of a state as one array."""
    import jax
    import numpy as np

    from benchmarks.jitted import as_one

    join = jax.jit(as_one)
    return lambda state: np.asarray(join(jax.tree.leaves(state)))


def copies(state: Any) -> Callable[[], Any]:
    """Return a function that returns a copy of a state, ready and never fetched."""
    import jax

    copy = jax.jit(lambda tree: jax.tree.map(jax.numpy.copy, tree))
    return lambda: jax.block_until_ready(copy(state))
