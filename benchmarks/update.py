"""Update of one metric in jit with donated state, beside hand-written forms and peers.

The floor is the jitted sum of the bytes that the update reads. A hand-written form has
the meaning of ours: ties go to the lower class, rows without a largest logit and labels
out of range are left out and counted, counts are exact and sums compensated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

CORES = 1

Outputs = dict[str, Any]


class Case(NamedTuple):
    """Inputs of an update, and who takes them.

    Attributes:
      outputs: The batch by name.
      metric: Our metric.
      by_hand: Hand-written `(state, outputs) -> state`, and its first state.
    """

    outputs: Outputs
    metric: Any
    by_hand: tuple[Callable[..., Any], Any] | None = None


def measure(bench: Any) -> None:
    """Time each case and add its rows."""
    from benchmarks import contenders, handwritten

    for name, build in cases().items():
        if not bench.wants(name):
            continue
        case = build()
        jitted = {"jaxmetrics": _updated(case.metric.empty(), case.outputs)}
        if case.by_hand is not None:
            function, state = case.by_hand
            jitted["by hand"] = _jitted(function, state, case.outputs)
        floor, _ = _jitted(handwritten.sum_of_bytes, 0.0, case.outputs)
        runs = {"sum of bytes": floor}
        runs |= {who: run for who, (run, _) in jitted.items()}
        runs |= contenders.updates(name, case.outputs)
        figures = {who: found for who, (_, found) in jitted.items()}
        bench.compare(name, runs, figures)


def cases() -> dict[str, Callable[[], Case]]:
    """Return builders of the cases by name."""
    import jax.numpy as jnp

    import jaxmetrics as jm
    from benchmarks import handwritten as hand

    found: dict[str, Callable[[], Case]] = {}

    def add(name: str, outputs: Any, metric: Any, by_hand: Any) -> None:
        found[name] = lambda: Case(outputs(), metric, by_hand)

    for rows, classes, dtype in (
        (100, 10, "float32"),
        (10_000, 10, "float32"),
        (100_000, 10, "float32"),
        (1_000_000, 10, "float32"),
        (10_000, 1000, "float32"),
        (100_000, 1000, "float32"),
        (1024, 32_000, "bfloat16"),
        (512, 131_072, "bfloat16"),
    ):
        size = f"{rows:,} x {classes:,}"
        batch = functools.partial(classified, rows, classes, dtype)
        add(f"accuracy {size}", batch, jm.Accuracy(), (hand.accuracy, hand.counts(3)))
        add(f"top-5 {size}", batch, jm.TopKAccuracy(k=5), (hand.top_5, hand.counts(3)))
        add(
            f"cross entropy {size}",
            batch,
            jm.CrossEntropy(),
            (hand.cross_entropy, (hand.pairs(), hand.counts(2))),
        )
        if classes > 1000:
            continue
        matrix, calibration = jm.ConfusionMatrix(classes), jm.ExpectedCalibrationError()
        add(f"F1 {size}", batch, jm.F1(classes=classes), hand.f1(classes))
        add(f"confusion {size}", batch, matrix, hand.confusion(classes))
        start = hand.pairs(15), hand.counts(30), hand.counts(1)
        add(f"calibration {size}", batch, calibration, (hand.calibration, start))
        six = jm.Collection(
            accuracy=jm.Accuracy(),
            top5=jm.TopKAccuracy(k=5),
            loss=jm.CrossEntropy(),
            perplexity=jm.Perplexity(),
            calibration=calibration,
            confusion=matrix,
        )
        add(f"these six {size}", batch, six, None)
    for rows in (100, 10_000, 100_000, 1_000_000):
        size = f"{rows:,}"
        pair = functools.partial(series, rows)
        values = functools.partial(one_series, rows)
        scores = functools.partial(binary, rows)
        total = hand.pairs(), hand.counts(1)
        add(f"mean {size}", values, jm.Mean(), (hand.mean, total))
        add(f"max {size}", values, jm.Max(), (hand.largest, jnp.float32(-jnp.inf)))
        moments = hand.counts(1), hand.pairs(), hand.pairs()
        add(f"std {size}", values, jm.Std(), (hand.std, moments))
        bins = jm.Histogram(bins=64, low=-4, high=4)
        add(f"histogram {size}", values, bins, (hand.histogram, hand.counts(67)))
        add(f"quantiles {size}", values, jm.Quantiles(), None)
        add(f"MSE {size}", pair, jm.MeanSquaredError(), (hand.mse, total))
        add(f"R2 {size}", pair, jm.R2(), None)
        add(f"AUROC {size}", scores, jm.AUROC(), None)
        add(f"binary accuracy {size}", scores, jm.Accuracy("binary"), None)
    return found


def classified(rows: int, classes: int, dtype: str) -> Outputs:
    """Return logits of a model that is right about half the time, and labels."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(0), 3)
    labels = jax.random.randint(keys[0], (rows,), 0, classes, jnp.int32)

    @jax.jit
    def made(key: Any, labels: Any) -> Any:
        logits = jax.random.normal(key, (rows, classes), dtype)
        return logits.at[jnp.arange(rows), labels].add(jnp.asarray(3, dtype))

    return jax.block_until_ready({"logits": made(keys[1], labels), "labels": labels})


def series(rows: int) -> Outputs:
    """Return predictions and targets that correlate."""
    import jax

    a, b = jax.random.normal(jax.random.key(1), (2, rows))
    return jax.block_until_ready({"preds": a, "targets": a + 0.5 * b})


def one_series(rows: int) -> Outputs:
    """Return values of a normal distribution."""
    return {"values": series(rows)["preds"]}


def binary(rows: int) -> Outputs:
    """Return logits and labels of two classes."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(2))
    labels = jax.random.randint(keys[0], (rows,), 0, 2, jnp.int32)
    logits = jax.random.normal(keys[1], (rows,)) + labels
    return jax.block_until_ready({"logits": logits, "labels": labels})


def _updated(
    metric: Any, outputs: Outputs
) -> tuple[Callable[[], object], dict[str, float]]:
    return _jitted(lambda state, outputs: state.update(**outputs), metric, outputs)


def _jitted(
    function: Callable[..., Any], state: Any, outputs: Outputs
) -> tuple[Callable[[], object], dict[str, float]]:
    """Return a function that updates once and waits, and the bytes of temporaries."""
    import jax
    import jax.numpy as jnp

    state = jax.tree.map(jnp.array, state)
    step = jax.jit(function, donate_argnums=0).lower(state, outputs).compile()
    memory = step.memory_analysis()

    def run() -> object:
        nonlocal state
        state = step(state, outputs)
        return jax.block_until_ready(state)

    return run, {"MB temporary": memory.temp_size_in_bytes / 1e6}
