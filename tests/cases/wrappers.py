"""Rows of the wrappers in `jaxmetrics.core`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from support.case import Case, values

import jaxmetrics as jm

GROUPS = 3
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
            "identity in bits": "merging compares the pending value with the best",
            "deferred": "the value of a shard is not the value of the batch",
        },
    ),
)
