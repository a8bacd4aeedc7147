"""Benchmark the fused loss against optax's cross entropy plus a separate entropy.

Forward and backward pass: time on this machine (interleaved rounds, medians) and memory
as reported by the compiler. With `--tpu`: memory and bytes accessed on one v5p chip,
estimated by the TPU compiler; nothing runs (`make bench-tpu` installs what it needs).

    python benchmarks/losses.py [--rounds 7] [--tpu]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

SIZES = {"32k classes, 1,024 tokens": (1024, 32_000), "128k, 256": (256, 128_000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tpu", action="store_true", help="compile for a v5p")
    options = parser.parse_args()
    if options.tpu:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    print(f"{'':38s} {'ms':>8s} {'x fused':>8s} {'MiB temporary':>22s}")
    for name, (tokens, classes) in SIZES.items():
        compiled = {
            loss.__name__: compile_(loss, tokens, classes, options.tpu)
            for loss in (fused, separate)
        }
        seconds = {}
        if not options.tpu:
            seconds = measure(compiled, tokens, classes, options.rounds)
        for loss_name, program in compiled.items():
            temporary = program.memory_analysis().temp_size_in_bytes / 2**20
            if options.tpu:
                megabytes = program.cost_analysis()["bytes accessed"] / 1e6
                print(f"{name:28s} {loss_name:9s} {megabytes:.0f} MB accessed", end=" ")
                print(f"{temporary:22.1f}")
                continue
            own = seconds[loss_name]
            ratios = [t / f for t, f in zip(own, seconds["fused"])]
            ms, ratio = 1e3 * statistics.median(own), statistics.median(ratios)
            print(f"{name:28s} {loss_name:9s} {ms:8.1f} {ratio:8.2f} {temporary:22.1f}")


def fused(logits, labels):
    from jaxmetrics.losses import cross_entropy_with_entropy_loss

    ce, entropy, total = cross_entropy_with_entropy_loss(logits, labels, pad_id=0)
    return total, (ce, entropy)


def separate(logits, labels):
    import jax
    import jax.numpy as jnp
    import optax

    logits = logits.astype(jnp.float32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    log_p = jax.nn.log_softmax(logits)
    entropies = -(jnp.exp(log_p) * log_p).sum(-1)
    counts = labels != 0
    ce = jnp.where(counts, losses, 0).sum() / counts.sum()
    entropy = jnp.where(counts, entropies, 0).sum() / counts.sum()
    return ce - 0.001 * entropy, (ce, entropy)


def compile_(loss, tokens: int, classes: int, tpu: bool):
    import jax
    import jax.numpy as jnp

    sharding = None
    if tpu:
        import numpy as np
        from jax.experimental import topologies

        topology = topologies.get_topology_desc(
            platform="tpu", topology_name="v5p:2x2x1"
        )
        mesh = jax.sharding.Mesh(np.array(topology.devices[:1]), ("data",))
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return (
        jax.jit(jax.value_and_grad(loss, has_aux=True))
        .lower(
            jax.ShapeDtypeStruct((tokens, classes), jnp.bfloat16, sharding=sharding),
            jax.ShapeDtypeStruct((tokens,), jnp.int32, sharding=sharding),
        )
        .compile()
    )


def measure(compiled, tokens: int, classes: int, rounds: int) -> dict:
    """Return the seconds of each round, by program."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(0))
    logits = jax.random.normal(keys[0], (tokens, classes), jnp.bfloat16)
    labels = jax.random.randint(keys[1], (tokens,), 0, classes)
    seconds = {name: [] for name in compiled}
    for turn in range(rounds + 1):
        for name, program in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(program(logits, labels))
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
