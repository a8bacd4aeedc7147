"""What the statistics of gradients, updates and parameters cost in a train step.

Interleaved runs and medians, as in step.py, with an A/A row: differences smaller than
that row's mean nothing. `collect(every=200)` is measured in its idle steps, and in a
step that collects (every=1); what it costs a step on average is the first, and a
200th of the difference. Computed in every step, the statistics are also compared with
a program that does no more than read the same arrays once.

    python benchmarks/telemetry.py [--rounds 20] [--devices 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

EVERY = 200
Run = Callable[[int], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2, help="steps a round")
    parser.add_argument("--devices", type=int, default=1, help="emulated CPU devices")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rows", type=int, default=256, help="rows of a batch")
    options = parser.parse_args()
    flag = f"--xla_force_host_platform_device_count={options.devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    contenders = make_contenders(options.width, options.rows)
    for run in contenders.values():
        run(2)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run(options.steps)
            times[name].append((time.perf_counter() - start) / options.steps)
    print(f"{'':38s} {'ms':>9s} {'ratio':>7s}   [quartiles]")
    for name, taken in times.items():
        base = times["read once" if "alone" in name else "bare step"]
        show(name, statistics.median(taken), [t / b for t, b in zip(taken, base)])
    idle, always = times[f"collect(every={EVERY}), idle"], times["collect(every=1)"]
    average = [i + (a - i) / EVERY for i, a in zip(idle, always)]
    ratios = [t / b for t, b in zip(average, times["bare step"])]
    show(f"collect(every={EVERY}), on average", statistics.median(average), ratios)


def show(name: str, seconds: float, ratios: list[float]) -> None:
    ratios = sorted(ratios)
    low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
    median = statistics.median(ratios)
    print(f"{name:38s} {seconds * 1e3:9.3f} {median:7.3f}   [{low:.3f}, {high:.3f}]")


def make_contenders(width: int, rows: int) -> dict[str, Run]:
    """A function for each contender that runs some steps and waits for the last."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    from jaxmetrics import telemetry

    layers = 4
    mesh = Mesh(np.array(jax.devices()), ("fsdp",))
    rng = np.random.default_rng(0)
    shapes = dict(up=(layers, width, 4 * width), down=(layers, 4 * width, width))
    specs = dict(up=P(None, None, "fsdp"), down=P(None, "fsdp"), head=P("fsdp"))
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

    x = rng.normal(size=(rows, width)).astype(np.float32)
    x = jax.device_put(x, NamedSharding(mesh, P("fsdp")))

    def loss_of(params, x):
        def layer(x, w):
            return x + jax.nn.gelu(x @ w["up"]) @ w["down"], None

        x, _ = jax.lax.scan(layer, x, params)
        return (x * x).mean()

    def contender(**collecting) -> Run:
        def step(params, state, count, x):
            grads = jax.grad(loss_of)(params, x)
            updates, state = optimizer.update(grads, state, params)
            params = optax.apply_updates(params, updates)
            trees = dict(grads=grads, updates=updates, params=params, opt_state=state)
            stats = (
                telemetry.collect(count, **trees, **collecting) if collecting else {}
            )
            return params, state, count + 1, stats

        step = jax.jit(step, donate_argnums=(0, 1, 2))
        params = weights()
        state = params, jax.jit(optimizer.init)(params), jnp.int32(1)
        stats = {}

        def run(n: int) -> None:
            nonlocal state, stats
            for _ in range(n):
                *state, stats = step(*state, x)
            jax.block_until_ready((state, stats))

        return run

    def alone(measure) -> Run:
        trees = weights(), weights(), weights()
        measure = jax.jit(measure)

        def run(n: int) -> None:
            for _ in range(n):
                jax.block_until_ready(measure(*trees))

        return run

    def every_statistic(grads, updates, params):
        return telemetry.norms(grads, updates, params, groups)

    def read(*trees):
        return [leaf.sum() for leaf in jax.tree.leaves(trees)]

    return {
        "bare step": contender(),
        "bare step again (A/A)": contender(),
        f"collect(every={EVERY}), idle": contender(groups=groups, every=EVERY * 10**6),
        "collect(every=1)": contender(groups=groups, every=1),
        "read once": alone(read),
        "read once again, alone (A/A)": alone(read),
        "all norms, alone, x read once": alone(every_statistic),
        "grad_norm alone, x read once": alone(lambda g, u, p: telemetry.grad_norm(g)),
    }


if __name__ == "__main__":
    main()
