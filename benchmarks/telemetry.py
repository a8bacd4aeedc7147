"""Statistics of gradients, updates and parameters in a train step.

Behind a whole step the cost of statistics is lost in noise, so the optimizer is also
run alone, where it is a large fraction, and all norms are compared with a program that
reads the same arrays once. The cost depends on the number of parameters, the time of
the step also on the tokens of its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LAYERS, WIDTH, ROWS, EVERY = 4, 256, 2048, 200
NEVER = 10**9
Run = Callable[[], object]


def measure(bench: Any) -> None:
    """Time whole steps, the optimizer alone, and norms alone."""
    wanted = [case for case in CASES if bench.wants(case)]
    found: dict[str, dict[str, float]] = {}
    for case, runs in cases().items() if wanted else ():
        if case in wanted:
            rows = bench.compare(case, runs)
            found[case] = {row.contender: row.us for row in rows}
    if len(found) == len(CASES):
        average(bench, *found.values())


def average(bench: Any, steps: dict, optimizers: dict, norms: dict) -> None:
    """Add the cost of `collect` on average, as a ratio to the step."""
    from benchmarks.measure import Row

    for trees in ("all", "no updates"):
        idle = optimizers[f"collect idle, {trees}"] - optimizers["optimizer"]
        cost = (idle + norms["all norms"] / EVERY) / steps["step"]
        case = f"collect(every={EVERY}), average of a step"
        bench.add([Row(case, trees, "step", figures={"ratio": cost})])


CASES = "train step with telemetry", "optimizer alone", "norms alone"


def cases() -> dict[str, dict[str, Run]]:
    """Return functions by case and contender; the first one is the floor."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    from jaxmetrics import telemetry

    mesh = Mesh(np.array(jax.devices()), ("fsdp",))
    rng = np.random.default_rng(0)
    shapes = dict(up=(LAYERS, WIDTH, 4 * WIDTH), down=(LAYERS, 4 * WIDTH, WIDTH))
    specs = dict(up=P(None, None, "fsdp"), down=P(None, "fsdp"))
    groups = {"layer": telemetry.Stacked("*"), "up": "up", "down": "down"}
    optimizer = optax.inject_hyperparams(optax.adamw)(learning_rate=1e-3)

    def weights() -> dict[str, jax.Array]:
        return {
            name: jax.device_put(
                rng.normal(0, 0.02, shape).astype(np.float32),
                NamedSharding(mesh, specs[name]),
            )
            for name, shape in shapes.items()
        }

    x = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    x = jax.device_put(x, NamedSharding(mesh, P("fsdp")))

    def gradient(params, x):
        def layer(x, w):
            return x + jax.nn.gelu(x @ w["up"]) @ w["down"], None

        def loss(params):
            last, _ = jax.lax.scan(layer, x, params)
            return (last * last).mean()

        return jax.grad(loss)(params)

    def stepping(gradient, inputs, every=None, updates_too=True) -> Run:
        def step(params, state, count, inputs):
            grads = gradient(params, inputs)
            updates, state = optimizer.update(grads, state, params)
            params = optax.apply_updates(params, updates)
            trees = dict(grads=grads, params=params, opt_state=state)
            trees |= dict(updates=updates) if updates_too else {}
            stats = {}
            if every is not None:
                stats = telemetry.collect(count, **trees, groups=groups, every=every)
            return params, state, count + 1, stats

        step = jax.jit(step, donate_argnums=(0, 1, 2))
        params = weights()
        state = params, jax.jit(optimizer.init)(params), jnp.int32(1)

        def run() -> None:
            nonlocal state
            *state, stats = step(*state, inputs)
            jax.block_until_ready((state, stats))

        return run

    def measuring(measure) -> Run:
        trees = weights(), weights(), weights()
        measure = jax.jit(measure)
        return lambda: jax.block_until_ready(measure(*trees))

    def constant_grads(params, grads):
        return grads

    def all_norms(grads, updates, params):
        return telemetry.norms(grads, updates, params, groups)

    def read(*trees):
        return [leaf.sum() for leaf in jax.tree.leaves(trees)]

    grads = weights()
    parts = {
        "optimizer": stepping(constant_grads, grads),
        "collect idle, all": stepping(constant_grads, grads, NEVER),
        "collect idle, no updates": stepping(
            constant_grads, grads, NEVER, updates_too=False
        ),
    }
    steps = {
        "step": stepping(gradient, x),
        "collect, idle": stepping(gradient, x, NEVER),
        "collect(every=1)": stepping(gradient, x, 1),
    }
    norms = {
        "arrays read once": measuring(read),
        "all norms": measuring(all_norms),
        "grad_norm": measuring(lambda g, u, p: telemetry.grad_norm(g)),
    }
    return dict(zip(CASES, (steps, parts, norms)))
