"""What twenty metrics cost in a train step, beside the bare step and clu in jit.

Interleaved runs, medians, and an A/A row (the bare step against another compilation
of itself): differences smaller than that row's mean nothing. A step compiled with
metrics may even be faster than the bare one, since XLA compiles the training part
differently; so "update alone" is given too.

    python benchmarks/step.py [--rounds 40] [--devices 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=10, help="steps a round")
    parser.add_argument("--devices", type=int, default=1, help="emulated CPU devices")
    options = parser.parse_args()
    flag = f"--xla_force_host_platform_device_count={options.devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    contenders = make_contenders()
    for run in contenders.values():
        run(3)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run(options.steps)
            times[name].append((time.perf_counter() - start) / options.steps)
    bare = times["bare step"]
    print(f"{'':34s} {'ms a step':>10s} {'x bare':>7s}   [quartiles]")
    for name, taken in times.items():
        ratios = sorted(t / b for t, b in zip(taken, bare))
        low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
        ms, ratio = statistics.median(taken) * 1e3, statistics.median(ratios)
        print(f"{name:34s} {ms:10.3f} {ratio:7.3f}   [{low:.3f}, {high:.3f}]")


def make_contenders() -> dict:
    """A function for each contender that runs some steps and waits for the last."""
    import flax.struct
    import jax
    import jax.numpy as jnp
    import numpy as np
    from clu import metrics as clu_metrics
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    import jaxmetrics as jm

    mesh = Mesh(np.array(jax.devices()), ("data",))
    rng = np.random.default_rng(0)
    width, classes, rows = 512, 256, 512
    weights = {
        name: rng.normal(0, 0.05, shape).astype(np.float32)
        for name, shape in dict(
            a=(width, 4 * width), b=(4 * width, width), out=(width, classes)
        ).items()
    }
    batch = dict(
        x=rng.normal(size=(rows, width)).astype(np.float32),
        labels=rng.integers(0, classes, rows).astype(np.int32),
    )
    batch = jax.device_put(batch, NamedSharding(mesh, P("data")))

    def train(w, b):
        def loss_of(w):
            hidden = b["x"] + jax.nn.gelu(b["x"] @ w["a"]) @ w["b"]
            logits = hidden @ w["out"]
            mine = jnp.take_along_axis(logits, b["labels"][:, None], -1)[:, 0]
            each = jax.nn.logsumexp(logits, -1) - mine
            return each.mean(), (each, logits)

        (_, (each, logits)), grads = jax.value_and_grad(loss_of, has_aux=True)(w)
        new = jax.tree.map(lambda p, g: p - 1e-3 * g, w, grads)
        return new, dict(loss=each, logits=logits, labels=b["labels"])

    ours = jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        balanced=jm.Accuracy(average="macro", classes=classes),
        confusion=jm.ConfusionMatrix(classes),
        entropy=jm.CrossEntropy(),
        perplexity=jm.Perplexity(),
        smallest=jm.Min("loss"),
        largest=jm.Max("loss"),
        spread=jm.Std("loss"),
        variance=jm.Variance("loss", ddof=1),
        last=jm.Last("loss"),
        examples=jm.Count("loss"),
        total=jm.Sum("loss"),
        **{f"top{k}": jm.TopKAccuracy(k=k) for k in range(2, 9)},
    )
    assert len(ours) == 20

    def hit(k):
        @flax.struct.dataclass
        class Hit(clu_metrics.Average):
            @classmethod
            def from_model_output(cls, *, logits, labels, **_):
                mine = jnp.take_along_axis(logits, labels[:, None], -1)
                rank = (logits > mine).sum(-1)
                return super().from_model_output((rank < k).astype(jnp.float32))

        return Hit

    theirs = clu_metrics.Collection.create(
        loss=clu_metrics.Average.from_output("loss"),
        spread=clu_metrics.Std.from_output("loss"),
        last=clu_metrics.LastValue.from_output("loss"),
        **{f"mean{i}": clu_metrics.Average.from_output("loss") for i in range(9)},
        **{f"top{k}": hit(k) for k in range(1, 9)},
    )

    def placed_weights():
        replicated = NamedSharding(mesh, P())
        return jax.tree.map(lambda x: jax.device_put(x.copy(), replicated), weights)

    def bare():
        step = jax.jit(lambda w, b: train(w, b)[0], donate_argnums=0)
        state = placed_weights()

        def run(n):
            nonlocal state
            for _ in range(n):
                state = step(state, batch)
            jax.block_until_ready(state)

        return run

    def with_metrics(start, update):
        def step(w, metrics, b):
            w, outputs = train(w, b)
            return w, update(metrics, outputs)

        step = jax.jit(step, donate_argnums=(0, 1))
        state, metrics = placed_weights(), start

        def run(n):
            nonlocal state, metrics
            for _ in range(n):
                state, metrics = step(state, metrics, batch)
            jax.block_until_ready((state, metrics))

        return run

    def alone(start, update):
        _, outputs = jax.jit(train)(placed_weights(), batch)
        step = jax.jit(update, donate_argnums=0)
        metrics = start

        def run(n):
            nonlocal metrics
            for _ in range(n):
                metrics = step(metrics, outputs)
            jax.block_until_ready(metrics)

        return run

    def update_ours(metrics, outputs):
        return metrics.update(**outputs)

    def update_theirs(metrics, outputs):
        return metrics.merge(metrics.single_from_model_output(**outputs))

    replicated = NamedSharding(mesh, P())

    def their_start():
        return jax.device_put(theirs.empty(), replicated)

    return {
        "bare step": bare(),
        "bare step again (A/A)": bare(),
        "20 metrics, placed": with_metrics(ours.place(mesh), update_ours),
        "20 metrics, deferred": with_metrics(ours.deferred(mesh), update_ours),
        "clu, 20 simpler metrics, in jit": with_metrics(their_start(), update_theirs),
        "update alone, placed": alone(ours.place(mesh), update_ours),
        "update alone, deferred": alone(ours.deferred(mesh), update_ours),
        "update alone, clu": alone(their_start(), update_theirs),
    }


if __name__ == "__main__":
    main()
