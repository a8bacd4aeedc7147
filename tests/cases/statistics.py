"""Rows of the statistics family."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from support.case import Case, values, weighted, weights_like

import jaxmetrics as jm

LINEAR = dict(low=-1.0, high=5.0, bins=12)
LOG = dict(low=0.1, high=100.0, bins=9)


class NormOfRows(jm.GlobalNorm):
    """`GlobalNorm` with a mask of rows, which the laws need and it ignores."""

    def observe(self, *, values, mask=None):
        if mask is not None:
            mask = jnp.expand_dims(jnp.asarray(mask), -1)
            values = jnp.where(mask, values, 0)
        return super().observe(values=values)


def as_one_array(histogram):
    """Join below, counts, above and nonfinite: the laws compare one array."""
    xp = jnp if isinstance(histogram["counts"], jax.Array) else np
    below, above, nonfinite = (
        xp.asarray(histogram[name][..., None])
        for name in ("below", "above", "nonfinite")
    )
    return xp.concatenate([below, histogram["counts"], above, nonfinite], -1)


def mean_then_stderr(mean):
    """Join the mean and its standard error into one array."""
    xp = jnp if isinstance(mean["mean"], jax.Array) else np
    return xp.stack([mean["mean"], mean["stderr"]], axis=-1)


def _weighted_mean_and_stderr(values, weights):
    weights = weights_like(weights, values)
    mean = np.average(values, weights=weights)
    variance = np.average((values - mean) ** 2, weights=weights)
    n = weights.sum() ** 2 / (weights**2).sum()
    return np.array([mean, np.sqrt(variance / (n - 1))])


def with_nonfinite(draw):
    """Return a draw function that replaces some values by NaN and infinities."""

    def outputs(rng, rows):
        finite = draw(rng, rows)["values"]
        nonfinite = rng.choice([np.nan, np.inf, -np.inf], finite.shape)
        mixed = np.where(rng.random(finite.shape) < 0.2, nonfinite, finite)
        return dict(values=mixed.astype(np.float32))

    return outputs


def integers(rng, rows):
    return dict(values=rng.integers(-(2**31), 2**31, (rows, 3)).astype(np.int32))


def on_edges(rng, rows):
    return dict(values=(values(rng, rows)["values"] * 2).round() / 2)


def over_decades(rng, rows):
    decades = rng.integers(-2, 4, (rows, 3))
    return dict(values=(rng.choice([1.0, 2.0], (rows, 3)) * 10.0**decades))


def _counts(values, edges, weights=None):
    share = np.ones(values.shape, int)
    share = share if weights is None else weights_like(weights, values)
    finite = np.isfinite(values)
    below, above = (
        share[finite & outside].sum()
        for outside in (values < edges[0], values > edges[-1])
    )
    counts = np.histogram(values[finite], edges, weights=share[finite])[0]
    return np.array([below, *counts, above, share[~finite].sum()])


def _mean(values, weights):
    return np.average(values, weights=weights_like(weights, values))


def _variance(values, weights):
    squares = (values - _mean(values, weights)) ** 2
    return _mean(squares, weights)


def positive(rng, rows):
    return dict(values=rng.lognormal(0, 1, (rows, 3)).astype(np.float32))


def _geometric(values, weights):
    return scipy.stats.gmean(values, axis=None, weights=weights_like(weights, values))


def _harmonic(values, weights):
    return scipy.stats.hmean(values, axis=None, weights=weights_like(weights, values))


_ORDER_MATTERS = {
    "commutativity": "the right operand wins",
    "permutation": "the later row wins",
    "empty batch": "the values of the other devices of a deferred state age",
}

CASES = (
    Case(
        "standard error of the mean",
        jm.StandardError(),
        values,
        lambda values: scipy.stats.sem(values, axis=None),
    ),
    Case(
        "mean with its standard error",
        jm.Compose(mean_then_stderr, mean=jm.Mean(stderr=True)),
        values,
        lambda values: np.array([values.mean(), scipy.stats.sem(values, axis=None)]),
    ),
    Case(
        "weighted mean with its standard error",
        jm.Compose(mean_then_stderr, mean=jm.Mean(weighted=True, stderr=True)),
        weighted(values),
        _weighted_mean_and_stderr,
    ),
    Case(
        "geometric mean",
        jm.GeometricMean(weighted=True),
        weighted(positive),
        _geometric,
    ),
    Case(
        "harmonic mean", jm.HarmonicMean(weighted=True), weighted(positive), _harmonic
    ),
    Case("mean", jm.Mean(), values, lambda values: values.mean()),
    Case("mean weighted", jm.Mean(weighted=True), weighted(values), _mean),
    Case(
        "sum",
        jm.Sum(),
        values,
        lambda values: values.sum(),
        empty=0.0,
    ),
    Case(
        "sum weighted",
        jm.Sum(weighted=True),
        weighted(values),
        lambda values, weights: (values * weights_like(weights, values)).sum(),
        empty=0.0,
    ),
    Case(
        "count",
        jm.Count(),
        values,
        lambda values: values.size,
        exact=True,
        empty=0,
    ),
    Case("min", jm.Min(), values, lambda values: values.min(), exact=True),
    Case("max", jm.Max(), values, lambda values: values.max(), exact=True),
    Case(
        "min of integers", jm.Min(), integers, lambda values: values.min(), exact=True
    ),
    Case(
        "max of integers", jm.Max(), integers, lambda values: values.max(), exact=True
    ),
    Case(
        "last",
        jm.Last(),
        values,
        lambda values: values[-1, -1],
        exact=True,
        by_value=True,  # an age tells how the data were split
        without=_ORDER_MATTERS,
    ),
    Case(
        "last of integers",
        jm.Last(),
        integers,
        lambda values: values[-1, -1],
        exact=True,
        by_value=True,  # an age tells how the data were split
        without=_ORDER_MATTERS,
    ),
    Case("variance", jm.Variance(), values, lambda values: values.var()),
    Case(
        "variance, ddof 1",
        jm.Variance(ddof=1),
        values,
        lambda values: values.var(ddof=1),
    ),
    Case("variance weighted", jm.Variance(weighted=True), weighted(values), _variance),
    Case("std", jm.Std(), values, lambda values: values.std()),
    Case("std, ddof 1", jm.Std(ddof=1), values, lambda values: values.std(ddof=1)),
    Case(
        "std weighted",
        jm.Std(weighted=True),
        weighted(values),
        lambda values, weights: np.sqrt(_variance(values, weights)),
    ),
    Case(
        "histogram",
        jm.Compose(as_one_array, histogram=jm.Histogram(**LINEAR)),
        with_nonfinite(on_edges),
        lambda values: _counts(values, np.linspace(-1, 5, 13)),
        exact=True,
        empty=0,
    ),
    Case(
        "histogram in decades",
        jm.Compose(as_one_array, histogram=jm.Histogram(scale="log", **LOG)),
        with_nonfinite(over_decades),
        lambda values: _counts(values, np.geomspace(0.1, 100, 10)),
        exact=True,
        empty=0,
    ),
    Case(
        "histogram weighted",
        jm.Compose(as_one_array, histogram=jm.Histogram(weighted=True, **LINEAR)),
        weighted(with_nonfinite(on_edges)),
        lambda values, weights: _counts(values, np.linspace(-1, 5, 13), weights),
        empty=0.0,
    ),
    Case(
        "non-finite count",
        jm.NonFiniteCount(),
        with_nonfinite(values),
        lambda values: (~np.isfinite(values)).sum(),
        exact=True,
        empty=0,
    ),
    Case(
        "global norm",
        NormOfRows(),
        values,
        lambda values: np.linalg.norm(values.ravel()),
        empty=0.0,
    ),
)
