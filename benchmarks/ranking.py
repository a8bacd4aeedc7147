"""Accuracy, size and cost of `AUROC` and `AveragePrecision` from histograms.

The first table has, for continuous scores of several distributions, scales and offsets
(in standard deviations, or in scales where there is none), the error against
scikit-learn and the distance of the bounds. Scores come in batches of 1,000, in random
order or ascending, which gives the same state. The second table compares an update with
that of 4,096 fixed bins of the logit, the state of earlier versions: medians of
interleaved rounds.

    python benchmarks/ranking.py [--scores 20000] [--rounds 30]
"""

from __future__ import annotations

import argparse
import statistics
import time

SCALES = (1e-3, 1.0, 1e4)
OFFSETS = (0, 1, 10, 100, -100)
BATCH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    print_accuracy(options.scores)
    print()
    print_cost(options.rounds)


def distributions(rng, count: int) -> dict:
    """Return labels and scores, shifted between both labels, by name."""
    labels = rng.integers(0, 2, count)
    shift = 0.7 * labels
    return labels, {
        "normal": rng.normal(size=count) + shift,
        "beta": rng.beta(2, 5, count) + 0.15 * shift,
        "gamma": rng.gamma(2, 1, count) * (1 + shift),
        "Gumbel": rng.gumbel(size=count) + shift,
        "lognormal": rng.lognormal(0, 1, count) * (1 + shift),
        "Student t, 2 df": rng.standard_t(2, count) + shift,
        "Cauchy": rng.standard_cauchy(count) + shift,
    }


def print_accuracy(count: int) -> None:
    """Print the largest error and width over scales, by distribution and offset."""
    import jax
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    import jaxmetrics as jm

    metrics = jm.Collection(roc=jm.AUROC(), pr=jm.AveragePrecision())
    step = jax.jit(
        lambda state, logits, labels: state.update(logits=logits, labels=labels)
    )
    labels, scores = distributions(np.random.default_rng(0), count)
    print(f"{'':20s} {'':>8s} {'AUROC':>18s} {'average precision':>20s}")
    print(f"{'':20s} {'offset':>8s}" + f" {'error':>9s} {'width':>9s}" * 2)
    for name, values in scores.items():
        for offset in (0,) if name == "Cauchy" else OFFSETS:
            worst = np.zeros(4)
            for scale in SCALES:
                heavy = name.startswith("Student")
                deviation = 1.0 if heavy else float(np.std(values))
                x = (scale * (values + offset * deviation)).astype(np.float32)
                state = metrics
                order = np.argsort(x) if scale == 1 else np.arange(count)
                for start in range(0, count, BATCH):
                    rows = order[start : start + BATCH]
                    state = step(state, x[rows], labels[rows])
                row = []
                for key, exact in (
                    ("roc", roc_auc_score(labels, x)),
                    ("pr", average_precision_score(labels, x)),
                ):
                    low, high = state[key].bounds()
                    assert low - 1e-12 <= exact <= high + 1e-12, (name, offset, scale)
                    row += [abs(state[key].compute() - exact), high - low]
                worst = np.maximum(worst, row)
            print(f"{name:20s} {offset:8d}" + "".join(f" {x:9.5f}" for x in worst))


def print_cost(rounds: int) -> None:
    """Print medians of updates per batch, and bytes of state."""
    import jax
    import numpy as np

    import jaxmetrics as jm

    print(f"{'':30s} {'us, fixed bins':>15s} {'us':>9s} {'ratio':>6s} {'bytes':>9s}")
    rng = np.random.default_rng(0)
    for name, classes, rows in (
        ("binary, 1,024 scores", None, 1024),
        ("binary, 16,384 scores", None, 16_384),
        ("binary, 262,144 scores", None, 262_144),
        ("10 classes, 1,024 rows", 10, 1024),
        ("10 classes, 16,384 rows", 10, 16_384),
    ):
        shape = (rows,) if classes is None else (rows, classes)
        logits = jax.device_put(rng.normal(size=(8, *shape)).astype(np.float32))
        top = 2 if classes is None else classes
        labels = jax.device_put(rng.integers(0, top, (8, rows)).astype(np.int32))
        task = "binary" if classes is None else "multiclass"
        runs = [
            _runner(metric, logits, labels)
            for metric in (
                _fixed_bins()(task, classes),
                jm.AUROC(task, "macro", classes),
            )
        ]
        times: list[list[float]] = [[], []]
        for run, _ in runs:
            run()
        for _ in range(rounds):
            for (run, _), seconds in zip(runs, times):
                start = time.perf_counter()
                run()
                seconds.append((time.perf_counter() - start) / 8 * 1e6)
        before, after = map(statistics.median, times)
        size = runs[1][1]
        print(f"{name:30s} {before:15.1f} {after:9.1f} {after / before:6.2f} {size:9d}")


def _runner(metric, logits, labels):
    """Return a function that runs 8 updates, and the bytes of the state."""
    import jax

    def update(state, logits, labels):
        return state.update(logits=logits, labels=labels)

    step = jax.jit(update, donate_argnums=0)
    state = jax.device_put(metric)
    size = sum(x.nbytes for x in jax.tree.leaves(state))
    batches = [(logits[i], labels[i]) for i in range(8)]

    def run():
        nonlocal state
        for batch in batches:
            state = step(state, *batch)
        jax.block_until_ready(state)

    return run, size


def _fixed_bins():
    """Return the metric of earlier versions: fixed bins of logits from -20 to 20."""
    import jax.numpy as jnp

    import jaxmetrics as jm
    from jaxmetrics.metrics.classification._score_histogram import class_log_odds

    class FixedBins(jm.Metric):
        "Counts of labels in 4,096 bins of the log odds."

        task: str = "binary"
        classes: int | None = None
        counts: jm.Array = jm.count_leaf("cells")

        @property
        def cells(self):
            """Shape of the counts."""
            return (*(() if self.classes is None else (self.classes,)), 2, 4098)

        def observe(self, *, logits, labels, mask=None):
            """Return the counts of a batch."""
            index = ()
            if self.task == "multiclass":
                numbers = jnp.arange(self.classes, dtype=jnp.int32)
                odds = class_log_odds(logits)
                positive = labels[..., None] == numbers
                index = (jnp.broadcast_to(numbers, odds.shape),)
            else:
                odds, positive = logits, labels == 1
            bins = jnp.clip(jnp.floor((odds + 20) * 102.4), -1, 4096).astype(jnp.int32)
            index = (*index, positive.astype(jnp.int32), bins + 1)
            return dict(counts=jm.count_at(index, self.cells, mask))

        def compute(self):
            """Return the counts."""
            return self.counts

    return FixedBins


if __name__ == "__main__":
    main()
