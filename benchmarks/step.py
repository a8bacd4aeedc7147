"""Benchmark twenty metrics in a train step, against no metrics and clu in jit.

Interleaved runs, medians, and an A/A row (the step without metrics against another
compilation of itself): differences smaller than its spread are noise. A step with
metrics can even be faster, because XLA compiles the training part differently; the
rows "update alone" therefore time the update by itself.

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
    parser.add_argument("--steps", type=int, default=10, help="steps per round")
    parser.add_argument("--devices", type=int, default=1, help="emulated CPU devices")
    options = parser.parse_args()
    flag = f"--xla_force_host_platform_device_count={options.devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    variants = make_variants()
    for run in variants.values():
        run(3)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run(options.steps)
            times[name].append((time.perf_counter() - start) / options.steps)
    baseline = times["step without metrics"]
    print(f"{'':34s} {'ms/step':>10s} {'ratio':>7s}   [quartiles]")
    for name, seconds in times.items():
        ratios = sorted(t / b for t, b in zip(seconds, baseline))
        low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
        ms, ratio = statistics.median(seconds) * 1e3, statistics.median(ratios)
        print(f"{name:34s} {ms:10.3f} {ratio:7.3f}   [{low:.3f}, {high:.3f}]")


def make_variants() -> dict:
    """Return functions that run n steps and wait for the last, by variant."""
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
            label_logits = jnp.take_along_axis(logits, b["labels"][:, None], -1)[:, 0]
            losses = jax.nn.logsumexp(logits, -1) - label_logits
            return losses.mean(), (losses, logits)

        (_, (losses, logits)), grads = jax.value_and_grad(loss_of, has_aux=True)(w)
        new = jax.tree.map(lambda p, g: p - 1e-3 * g, w, grads)
        return new, dict(loss=losses, logits=logits, labels=b["labels"])

    metrics = jm.Collection(
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
    assert len(metrics) == 20

    def hit(k):
        @flax.struct.dataclass
        class Hit(clu_metrics.Average):
            @classmethod
            def from_model_output(cls, *, logits, labels, **_):
                label_logits = jnp.take_along_axis(logits, labels[:, None], -1)
                rank = (logits > label_logits).sum(-1)
                return super().from_model_output((rank < k).astype(jnp.float32))

        return Hit

    clu_collection = clu_metrics.Collection.create(
        loss=clu_metrics.Average.from_output("loss"),
        spread=clu_metrics.Std.from_output("loss"),
        last=clu_metrics.LastValue.from_output("loss"),
        **{f"mean{i}": clu_metrics.Average.from_output("loss") for i in range(9)},
        **{f"top{k}": hit(k) for k in range(1, 9)},
    )

    def placed_weights():
        replicated = NamedSharding(mesh, P())
        return jax.tree.map(lambda x: jax.device_put(x.copy(), replicated), weights)

    def without_metrics():
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

    def update(metrics, outputs):
        return metrics.update(**outputs)

    def update_clu(metrics, outputs):
        return metrics.merge(metrics.single_from_model_output(**outputs))

    replicated = NamedSharding(mesh, P())

    def clu_start():
        return jax.device_put(clu_collection.empty(), replicated)

    return {
        "step without metrics": without_metrics(),
        "the same step again (A/A)": without_metrics(),
        "20 metrics, placed": with_metrics(metrics.place(mesh), update),
        "20 metrics, deferred": with_metrics(metrics.deferred(mesh), update),
        "clu, 20 simpler metrics, in jit": with_metrics(clu_start(), update_clu),
        "update alone, placed": alone(metrics.place(mesh), update),
        "update alone, deferred": alone(metrics.deferred(mesh), update),
        "update alone, clu": alone(clu_start(), update_clu),
    }


if __name__ == "__main__":
    main()
