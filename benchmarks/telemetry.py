"""Benchmark statistics of gradients, updates and parameters in a train step.

Interleaved runs and medians, as in step.py, with an A/A row: differences smaller than
its spread are noise. On a busy machine, a cost of a few percent of the step is below
the noise. The optimizer is therefore also run alone, where the same cost is a large
fraction. The average below the table is what `collect` adds there in a step without
statistics, plus the time of the statistics divided by the 200 steps between them. The
statistics are also compared with a program that reads the same arrays once.

The cost depends on the number of parameters, the time of the step also on the tokens of
its batch, so the ratio falls as the batch grows (--rows).

    python benchmarks/telemetry.py [--rounds 15] [--devices 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

EVERY = 200
NEVER = 10**9
Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--repeats", type=int, default=5, help="repeats of partial steps"
    )
    parser.add_argument("--devices", type=int, default=1, help="emulated CPU devices")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rows", type=int, default=2048, help="tokens per batch")
    options = parser.parse_args()
    flag = f"--xla_force_host_platform_device_count={options.devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    steps, alone = make_variants(options.width, options.rows)
    variants = steps | alone
    for run in variants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, run in variants.items():
            repeats = options.repeats if name in alone else 1
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            times[name].append((time.perf_counter() - start) / repeats)
    print(f"{'':38s} {'ms':>9s} {'x step':>12s}   {'[quartiles]':18s} x read once")
    step_times, read = times["step"], times["arrays read once"]
    for name, seconds in times.items():
        low, middle, high = statistics.quantiles(
            [t / b for t, b in zip(seconds, step_times)]
        )
        text = f"{statistics.median(seconds) * 1e3:9.3f} {middle:12.4f}"
        text = f"{name:38s} {text}   [{low:.4f}, {high:.4f}]"
        once = statistics.median(t / r for t, r in zip(seconds, read))
        print(text + f"   {once:8.2f}" * (name in alone))
    for trees in ("all", "no updates"):
        idle = zip(times[f"optimizer, collect idle, {trees}"], times["optimizer"])
        added = statistics.median((i - o) / b for (i, o), b in zip(idle, step_times))
        norms = statistics.median(n / b for n, b in zip(times["all norms"], step_times))
        print(f"collect(every={EVERY}), {trees}:", end=" ")
        print(f"{added:+.4f} in a step without statistics,", end=" ")
        print(f"{added + norms / EVERY:+.4f} of the step on average")


def make_variants(width: int, rows: int) -> tuple[dict[str, Run], dict[str, Run]]:
    """Return functions that run a whole step, and those that run a part, by name."""
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

    x = rng.normal(size=(rows, width)).astype(np.float32)
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

    steps = {
        "step": stepping(gradient, x),
        "step again (A/A)": stepping(gradient, x),
        f"collect(every={EVERY}), idle": stepping(gradient, x, NEVER),
        "collect(every=1)": stepping(gradient, x, 1),
    }
    grads = weights()
    alone = {
        "optimizer": stepping(constant_grads, grads),
        "optimizer again (A/A)": stepping(constant_grads, grads),
        "optimizer, collect idle, all": stepping(constant_grads, grads, NEVER),
        "optimizer, collect idle, no updates": stepping(
            constant_grads, grads, NEVER, updates_too=False
        ),
        "arrays read once": measuring(read),
        "all norms": measuring(all_norms),
        "grad_norm": measuring(lambda g, u, p: telemetry.grad_norm(g)),
    }
    return steps, alone


if __name__ == "__main__":
    main()
