"""Rows of metrics around metrics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from support.case import Case, values

import jaxmetrics as jm

GROUPS = 3
WINDOW = 16  # more updates than any law makes: none is forgotten


def with_valid(draw):
    """The outputs of `draw` with a mask of their own."""

    def outputs(rng, rows):
        return dict(draw(rng, rows), valid=rng.random(rows) < 0.6)

    return outputs


def with_domain(draw):
    """The outputs of `draw` with a group for each row, some of them strange."""

    def outputs(rng, rows):
        domain = rng.integers(-1, GROUPS + 1, rows).astype(np.int32)
        return dict(draw(rng, rows), domain=domain)

    return outputs


def in_one_array(groups):
    """The groups' values side by side: the laws read one array."""
    found = list(groups.values())
    xp = jnp if any(isinstance(x, jax.Array) for x in found) else np
    return xp.stack([xp.asarray(x) for x in found], -1)


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
            in_one_array, groups=jm.ByGroup(jm.Mean(), by="domain", groups=GROUPS)
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
            "commutativity": "the right one's updates are the newer",
            "empty batch": "an update without rows takes a place in the window",
        },
    ),
    Case(
        "best mean",
        jm.BestOf(jm.Mean()),
        values,
        lambda values: values.mean(),
        by_value=True,
        without={
            "split": "the best of several updates is not the value of them together",
            "identity in bits": "merging settles the value of an update",
            "deferred": "a shard's value is not the batch's",
        },
    ),
)
