"""Cost of calls outside jit, beside clu and beside a jitted function of one's own.

Each row is the median of its rounds, and the ratio the median of the ratios to its
baseline within a round; all rows take turns.

    python benchmarks/eager.py [--rounds 300]
"""

from __future__ import annotations

import argparse
import statistics
import time

import clu.metrics
import jax
import jax.numpy as jnp
import numpy as np

import jaxmetrics as jm

ROWS, CLASSES, MEANS = 64, 10, 5


def outputs():
    rng = np.random.default_rng(0)
    return dict(
        logits=jnp.asarray(rng.normal(size=(ROWS, CLASSES)), jnp.float32),
        labels=jnp.asarray(rng.integers(0, CLASSES, ROWS), jnp.int32),
        loss=jnp.asarray(rng.random(ROWS), jnp.float32),
    )


def loop_of(accuracy, mean):
    """Return a step of clu's usual loop: jitted outputs, a merge on the host."""
    means = {f"mean_{i}": mean("loss") for i in range(MEANS)}
    metrics = clu.metrics.Collection.create(accuracy=accuracy, **means)
    of_batch, batch = jax.jit(metrics.single_from_model_output), outputs()
    state = metrics.empty().merge(of_batch(**batch))
    return lambda: state.merge(of_batch(**batch))


def rows():
    """Return functions by name, each with the name of its baseline."""
    batch = outputs()
    loss = batch["loss"]
    average = clu.metrics.Average.from_model_output(loss)
    mean = jm.Mean("loss").update(loss=loss)
    collection = jm.Collection(
        accuracy=jm.Accuracy(), f1=jm.F1(classes=CLASSES), spread=jm.Std("loss")
    ).update(**batch)
    update = jax.jit(lambda metrics, batch: metrics.update(**batch))
    clu_accuracy, clu_mean = clu.metrics.Accuracy, clu.metrics.Average.from_output
    return {
        "Mean, jitted update": (lambda: update(mean, dict(loss=loss)), None),
        "Mean, update": (lambda: mean.update(loss=loss), "Mean, jitted update"),
        "Collection, jitted update": (lambda: update(collection, batch), None),
        "Collection, update": (
            lambda: collection.update(**batch),
            "Collection, jitted update",
        ),
        "clu Average, merge": (lambda: average.merge(average), None),
        "Mean, merge": (lambda: mean.merge(mean), "clu Average, merge"),
        "clu Average, batch and merge": (
            lambda: average.merge(clu.metrics.Average.from_model_output(loss)),
            None,
        ),
        "Mean, update, beside it": (
            lambda: mean.update(loss=loss),
            "clu Average, batch and merge",
        ),
        "clu loop of six": (loop_of(clu_accuracy, clu_mean), None),
        "clu loop of six of ours": (loop_of(jm.Accuracy, jm.Mean), "clu loop of six"),
    }


def seconds(function):
    start = time.perf_counter()
    jax.block_until_ready(jax.tree.leaves(function()))
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    functions = rows()
    for function, _ in functions.values():
        seconds(function), seconds(function)
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, (function, _) in functions.items():
            times[name].append(seconds(function))
    for name, (_, baseline) in functions.items():
        line = f"{name:30s} {1e6 * statistics.median(times[name]):8.1f} us"
        if baseline:
            pairs = zip(times[name], times[baseline])
            line += f"   {statistics.median(a / b for a, b in pairs):.2f} x {baseline}"
        print(line)


if __name__ == "__main__":
    main()
