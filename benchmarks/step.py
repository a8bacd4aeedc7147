"""A train step with twenty metrics, over the step without metrics.

The step takes about 10 ms. Other libraries have fewer metrics; the figures tell how
many, how many programs a step launches, and how many are compiled after the first step.
The time of a step resolves no ratio near 1, since further outputs change how XLA
compiles the rest of it: the cases "update alone" time the update itself, over the step.

    python -m benchmarks step [--only "step, scan*"]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CORES = 1

MICROBATCHES = 8

BARE = "without metrics"
Update = Callable[[Any, Any], Any]
Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def measure(bench: Any) -> None:
    """Time the step in two forms, and the update alone."""
    if bench.wants("step"):
        compare(bench, "step", one_update, *placed())
    if bench.wants("step, scan of 8 microbatches"):
        compare(bench, "step, scan of 8 microbatches", microbatches, *placed())
    if bench.wants("update alone"):
        alone(bench, "update alone", *placed())


def placed() -> tuple[dict[str, tuple[Any, Any]], Any]:
    """Return libraries with states on one device, by name, and the batch."""
    import jax

    from benchmarks import classifier, twenty

    ours = {"jaxmetrics": twenty.jaxmetrics(), "jaxmetrics, eleven": twenty.eleven()}
    libraries = {**ours, **twenty.peers()}
    device = jax.devices()[0]
    states = {
        name: (library, jax.device_put(library.start, device))
        for name, library in libraries.items()
    }
    return states, jax.device_put(classifier.batch(), device)


def sharded() -> tuple[dict[str, tuple[Any, Any]], Any]:
    """Return the same for a batch that is sharded over all devices."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    from benchmarks import classifier, twenty

    mesh = Mesh(np.array(jax.devices()), ("data",))
    ours, everywhere = twenty.jaxmetrics(), NamedSharding(mesh, P())
    states = {
        "jaxmetrics, deferred": (ours, ours.start.deferred(mesh)),
        "jaxmetrics, placed": (ours, ours.start.place(mesh)),
    }
    for name, library in twenty.peers().items():
        states[name] = library, jax.device_put(library.start, everywhere)
    return states, jax.device_put(classifier.batch(), NamedSharding(mesh, P("data")))


def one_update(update: Update | None) -> Step:
    """Return a step that updates once, or without metrics."""
    from benchmarks.classifier import train

    def step(weights: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        weights, outputs = train(weights, batch)
        return weights, state if update is None else update(state, outputs)

    return step


def microbatches(update: Update | None) -> Step:
    """Return a step that scans over parts of the batch, with the metrics as carry."""
    import jax

    one = one_update(update)

    def step(weights: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        parts = jax.tree.map(lambda x: x.reshape(MICROBATCHES, -1, *x.shape[1:]), batch)
        carry, _ = jax.lax.scan(
            lambda carry, part: (one(*carry, part), None), (weights, state), parts
        )
        return carry

    return step


def compare(
    bench: Any,
    case: str,
    form: Callable[[Update | None], Step],
    states: dict[str, tuple[Any, Any]],
    batch: Any,
) -> None:
    """Time a step of each library over the one without metrics."""
    runs = {BARE: stepping(form(None), (), batch)}
    figures = {BARE: counts(runs[BARE])}
    for name, (library, start) in states.items():
        if form is microbatches:  # a carry keeps its types, those of an update
            start = updated(library.update, start, batch)
        runs[name] = stepping(form(library.update), start, batch)
        figures[name] = {"metrics": library.metrics} | counts(runs[name])
    bench.compare(case, runs, figures)


def alone(
    bench: Any, case: str, states: dict[str, tuple[Any, Any]], batch: Any
) -> None:
    """Time updates without the step, over the step without metrics."""
    from benchmarks.jitted import updating

    runs = {BARE: stepping(one_update(None), (), batch)}
    figures = {}
    for name, (library, start) in states.items():
        start = updated(library.update, start, batch)
        runs[name], memory = updating(library.update, start, outputs_of(batch))
        figures[name] = {"metrics": library.metrics} | memory
    bench.compare(case, runs, figures)


def stepping(step: Step, start: Any, batch: Any) -> Callable[[], object]:
    """Return a function that runs one jitted step with donated state, and waits."""
    import jax

    compiled = jax.jit(step, donate_argnums=(0, 1))
    state = weights_beside(batch), jax.tree.map(jax.numpy.copy, start)

    def run() -> object:
        nonlocal state
        state = compiled(*state, batch)
        return jax.block_until_ready(state)

    return run


def counts(run: Callable[[], object]) -> dict[str, float]:
    """Return what a step launches, and what is compiled after the first."""
    from benchmarks.jitted import Compilations, launches

    run()
    with Compilations() as compilations:
        run(), run()
    return {"launches": launches(run), "late compilations": compilations.count}


def updated(update: Update, start: Any, batch: Any) -> Any:
    """Return a state after one update."""
    import jax

    return jax.jit(update)(start, outputs_of(batch))


def outputs_of(batch: Any) -> Any:
    """Return the outputs of a step."""
    import jax

    from benchmarks.classifier import train

    return jax.jit(train)(weights_beside(batch), batch)[1]


def weights_beside(batch: Any) -> Any:
    """Return weights on the devices of a batch."""
    import jax
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    from benchmarks.classifier import weights

    sharding = batch["x"].sharding
    if isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, P())
    return jax.device_put(weights(), sharding)
