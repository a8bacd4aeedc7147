"""Rows of the wrappers in `jaxmetrics.core`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from sklearn.metrics import recall_score
from support.case import Case, multiclass, series, values

import jaxmetrics as jm

GROUPS = 3
SAMPLES = 4
WINDOW = 16  # more updates than any law makes, so that the window holds them all


def with_valid(draw):
    """Return a draw function that adds a mask `valid` of rows."""

    def outputs(rng, rows):
        return dict(draw(rng, rows), valid=rng.random(rows) < 0.6)

    return outputs


def with_domain(draw):
    """Return a draw function that adds a group for each row, some out of range."""

    def outputs(rng, rows):
        domain = rng.integers(-1, GROUPS + 1, rows).astype(np.int32)
        return dict(draw(rng, rows), domain=domain)

    return outputs


def as_one_array(groups):
    """Stack the groups' values: the laws compare one array."""
    by_group = list(groups.values())
    xp = jnp if any(isinstance(x, jax.Array) for x in by_group) else np
    return xp.stack([xp.asarray(x) for x in by_group], -1)


def with_ids(draw):
    """Return a draw function that adds the number of each row, from anywhere."""

    def outputs(rng, rows):
        ids = rng.integers(-(2**31), 2**31 - 1, rows).astype(np.int32)
        return dict(draw(rng, rows), ids=ids)

    return outputs


def outputs_of_heads(rng, rows):
    """Draw values of two heads, and labels of rows."""
    shape = (rows, 3)
    return dict(
        first=rng.normal(2, 3, shape).astype(np.float32),
        second=rng.normal(-1, 1, shape).astype(np.float32),
    )


def product(first, second):
    return first * second


def resampled(values, ids):
    """Return the four values of a bootstrap, from weights of triple32 in NumPy."""

    def mix(word):
        for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
            word = (word ^ (word >> np.uint32(shift))) * np.uint32(factor)
        return word ^ (word >> np.uint32(14))

    golden = np.uint32(0x9E3779B9)
    below = np.round(2**32 * scipy.stats.poisson(1).cdf(np.arange(12)))
    means = []
    for sample in range(1, SAMPLES + 1):
        with np.errstate(over="ignore"):
            number = np.uint32(sample) * golden
            word = mix(mix(ids.astype(np.uint32) + golden) + number)
        weights = (word[:, None] >= below).sum(-1)
        means.append(np.average(values.mean(-1), weights=weights))
    low, high = np.quantile(means, (0.025, 0.975))
    return np.array([values.mean(), low, high, np.std(means, ddof=1)])


def spread_over_mean(mean, spread):
    return spread / mean


CASES = (
    Case(
        "masked mean",
        jm.Masked(jm.Mean(), mask="valid"),
        with_valid(values),
        lambda values, valid: values[valid].mean(),
    ),
    Case(
        "mean by group",
        jm.Compose(
            as_one_array, groups=jm.ByGroup(jm.Mean(), by="domain", groups=GROUPS)
        ),
        with_domain(values),
        lambda values, domain: np.array(
            [values[domain == group].mean() for group in range(GROUPS)]
        ),
    ),
    Case(
        "composed",
        jm.Compose(spread_over_mean, mean=jm.Mean(), spread=jm.Std()),
        values,
        lambda values: values.std() / values.mean(),
    ),
    Case(
        "windowed mean",
        jm.Windowed(jm.Mean(), window=WINDOW),
        values,
        lambda values: values.mean(),
        by_value=True,
        without={
            "commutativity": "the updates of the right operand are the newer",
            "empty batch": "an update without rows counts as one of the window",
            "rank 0": "an update without rows counts as one of the window",
        },
    ),
    Case(
        "best mean",
        jm.BestOf(jm.Mean()),
        values,
        lambda values: values.mean(),
        by_value=True,
        without={
            "split": "the best of several updates is not the value of all the data",
            "identity in bits": "merging notes the pending value of an update",
            "empty batch": "an update without rows is one without a value",
            "deferred": "the value of a shard is not the value of the batch",
            "total reduced": "the value of a shard is not the value of the batch",
        },
    ),
    Case(
        "recall by name",
        jm.Compose(
            as_one_array, groups=jm.Classwise(jm.Recall(classes=5, average="none"))
        ),
        multiclass,
        lambda logits, labels: recall_score(
            labels, logits.argmax(-1), labels=range(5), average=None, zero_division=0
        ),
        exact=True,
    ),
    Case(
        "mean with extremes",
        jm.Compose(as_one_array, groups=jm.MinMax(jm.Mean())),
        values,
        lambda values: np.full(3, values.mean()),
        by_value=True,
        without={
            "split": "the extremes of several updates are not the value of all data",
            "identity in bits": "merging notes the pending value of an update",
            "empty batch": "an update without rows is one without a value",
            "deferred": "the value of a shard is not the value of the batch",
            "total reduced": "the value of a shard is not the value of the batch",
        },
    ),
    Case(
        "squared error of each output",
        jm.MultiOutput(jm.MeanSquaredError(), outputs=3),
        series,
        lambda preds, targets: ((preds - targets) ** 2).mean(0),
    ),
    Case(
        "bootstrapped mean",
        jm.Compose(
            as_one_array,
            groups=jm.Bootstrap(jm.Mean(weighted=True), samples=SAMPLES),
        ),
        with_ids(values),
        resampled,
    ),
    Case(
        "mean of a function",
        jm.FromFunction(product, jm.Mean()),
        outputs_of_heads,
        lambda first, second: (first * second).mean(),
    ),
)
