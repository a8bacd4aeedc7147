"""Rows of the sketches family; references build the same sketch in plain NumPy."""

from __future__ import annotations

import collections
import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from support.case import NAN, Case, as_one_array, values, weighted, weights_like

import jaxmetrics as jm

Q = (0.0, 0.1, 0.5, 0.9, 1.0)
QUANTILES = dict(q=Q, relative_error=0.05, low=0.5, high=7.0)
QUERIES = (-3, 0, 2, 11)
K, BITS = 4, 4
PRECISION = 5
CAPACITY = 16


def with_nonfinite(rng, rows):
    finite = values(rng, rows)["values"]
    nonfinite = rng.choice(np.float32([np.nan, np.inf, -np.inf]), finite.shape)
    return dict(values=np.where(rng.random(finite.shape) < 0.1, nonfinite, finite))


def few_distinct(rng, rows):
    drawn = with_nonfinite(rng, rows)["values"]
    return dict(values=(drawn * 2).round() / 2)


def items(rng, rows):
    drawn = rng.geometric(0.25, (rows, 3)) - 4
    return dict(values=drawn.astype(np.int32))


def with_ids(rng, rows):
    drawn = few_distinct(rng, rows)
    ids = rng.permutation(drawn["values"].size).reshape(drawn["values"].shape)
    return dict(drawn, ids=ids.astype(np.int32))


def mean_and_covariance(sketch):
    xp = jnp if isinstance(sketch["mean"], jax.Array) else np
    mean, covariance = sketch["mean"], sketch["covariance"]
    return xp.concatenate([mean[..., None, :], covariance], -2)


def items_and_counts(top):
    xp = jnp if isinstance(top["counts"], jax.Array) else np
    items = (top["items"] + 1).astype(top["counts"].dtype)
    return xp.concatenate([items, top["counts"]], -1)


def values_and_ids(sample):
    values, ids = sample["values"], sample["ids"]
    xp = jnp if isinstance(values, jax.Array) else np
    ids = xp.where(ids < 0, xp.asarray(NAN, values.dtype), ids.astype(values.dtype))
    return xp.concatenate([values, ids], -1)


def _finite(values):
    return values[np.isfinite(values)]


def _quantiles(values, weights=None):
    if weights is not None:
        weights = weights_like(weights, values)[np.isfinite(values)]
    values = _finite(values)
    extremes = [values.min(), values.max()]
    quantiles = []
    for value in np.quantile(values, Q, method="inverted_cdf", weights=weights):
        size, parts = abs(value), 10  # 1 / (2 * 10 + 1) is within 0.05
        octave = 2.0 ** math.floor(math.log2(size)) if size else 1
        part = math.floor((size / octave - 1) * parts)
        low, high = (octave * (1 + (part + i) / parts) for i in (0, 1))
        middle = 2 * low * high / (low + high)
        middle = 0 if size < 0.5 else math.inf if size >= 8 else middle
        quantiles.append(np.clip(math.copysign(middle, value), *extremes))
    return np.array([*quantiles, *extremes])


def _mix(word):
    word = int(word)
    for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
        word = (word ^ word >> shift) * factor % 2**32
    return word ^ word >> 14


def _hash(word, salt):
    return _mix((word + (2 * salt + 1) * 0x9E3779B9) % 2**32)


def _word(value):
    return int((np.float32(value) + np.float32(0)).view(np.uint32))


def _distinct(values):
    size, last = 2**PRECISION, 33 - PRECISION
    runs = np.zeros(size, int)
    for value in _finite(values).ravel():
        bits = f"{_hash(_word(value), 1):032b}"
        register, rest = int(bits[:PRECISION], 2), bits[PRECISION:] + "1"
        runs[register] = max(runs[register], rest.index("1") + 1)
    counts = collections.Counter(runs.tolist())
    empty, full = counts[0] / size, 1 - counts[last] / size
    low = empty + sum(empty ** (2**k) * 2 ** (k - 1) for k in range(1, 12))
    gaps = sum((1 - full ** (2**-k)) ** 2 * 2**-k for k in range(1, 40))
    high = (1 - full - gaps) / 3 * 2.0 ** (1 - last)
    middle = sum(counts[k] * 2.0**-k for k in range(1, last)) / size
    expected = size / (2 * math.log(2)) / (low + middle + high)
    return 2**32 * -math.expm1(-expected / 2**32)


def _query_counts(values):
    return np.array([(values == query).sum() for query in QUERIES])


def _top_items(values):
    inside = values[(values >= 0) & (values < 2**BITS)]
    counts = collections.Counter(inside.tolist())
    best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:K]
    items, occurrences = np.array(best).T
    return np.concatenate([items + 1, occurrences])


def _smallest_priorities(values, ids):
    rows = []
    for value, number in zip(values.ravel(), ids.ravel().tolist()):
        if math.isfinite(value):
            word = _hash(number, 0) ^ _word(value)
            rows.append((_hash(word, 1), number, value))
    rows = np.array(sorted(rows)[:CAPACITY])
    return np.concatenate([rows[:, 2], rows[:, 1]])


def _smallest_ids(values, ids):
    rows = [
        (_hash(_hash(number, 0), 1), number, value)
        for value, number in zip(values.ravel(), ids.ravel().tolist())
        if math.isfinite(value)
    ]
    rows = np.array(sorted(rows)[:CAPACITY])
    return np.concatenate([rows[:, 2], rows[:, 1]])


def _largest(values, ids):
    rows = sorted(
        (-value, number)
        for value, number in zip(values.ravel().tolist(), ids.ravel().tolist())
        if not math.isnan(value)
    )
    rows = np.array(rows[:CAPACITY])
    return np.concatenate([-rows[:, 0], rows[:, 1]])


def _moments(values):
    values = _finite(values)
    shape = scipy.stats.skew(values), scipy.stats.kurtosis(values)
    return np.array([values.mean(), values.var(), *shape])


def _covariance(values):
    rows = values[np.isfinite(values).all(-1)]
    return np.concatenate([rows.mean(0)[None], np.cov(rows.T)])


def _weighted_covariance(values, weights):
    finite = np.isfinite(values).all(-1)
    rows, weights = values[finite], weights[finite]
    mean = np.average(rows, axis=0, weights=weights)[None]
    return np.concatenate([mean, np.cov(rows.T, aweights=weights, ddof=0)])


CASES = (
    Case(
        "quantiles",
        jm.Compose(as_one_array, value=jm.Quantiles(**QUANTILES)),
        with_nonfinite,
        _quantiles,
        exact=True,
    ),
    Case(
        "quantiles weighted",
        jm.Compose(as_one_array, value=jm.Quantiles(weighted=True, **QUANTILES)),
        weighted(with_nonfinite),
        _quantiles,
    ),
    Case(
        "distinct count",
        jm.DistinctCount(precision=PRECISION),
        few_distinct,
        _distinct,
        exact=True,
        tolerance=1e-5,
        reason="under jit the estimator is a float32 series",
        empty=0.0,
    ),
    Case(
        "count-min",
        jm.Compose(as_one_array, value=jm.CountMin(queries=QUERIES, width=256)),
        items,
        _query_counts,
        exact=True,
        empty=0,
    ),
    Case(
        "top items",
        jm.Compose(
            items_and_counts, top=jm.TopItems(k=K, bits=BITS, width=64, depth=2)
        ),
        items,
        _top_items,
        exact=True,
        empty=0,
    ),
    Case(
        "reservoir",
        jm.Compose(values_and_ids, sample=jm.Reservoir(capacity=CAPACITY)),
        with_ids,
        _smallest_priorities,
        exact=True,
    ),
    Case(
        "reservoir by id",
        jm.Compose(values_and_ids, sample=jm.Reservoir(capacity=CAPACITY, by="id")),
        with_ids,
        _smallest_ids,
        exact=True,
    ),
    Case(
        "worst",
        jm.Compose(values_and_ids, sample=jm.Worst(k=CAPACITY)),
        with_ids,
        _largest,
        exact=True,
    ),
    Case(
        "moments",
        jm.Compose(as_one_array, value=jm.Moments()),
        with_nonfinite,
        _moments,
        tolerance=2e-6,
        reason="a batch's own sums of powers are float32 sums",
        by_value=True,
    ),
    Case(
        "covariance",
        jm.Compose(mean_and_covariance, sketch=jm.Covariance(size=3, ddof=1)),
        with_nonfinite,
        _covariance,
        tolerance=1e-5,
        reason="a covariance is right to 1e-6 of the larger variance, here of 9",
    ),
    Case(
        "covariance weighted",
        jm.Compose(mean_and_covariance, sketch=jm.Covariance(size=3, weighted=True)),
        weighted(with_nonfinite),
        _weighted_covariance,
        tolerance=1e-5,
        reason="a covariance is right to 1e-6 of the larger variance, here of 9",
    ),
)
