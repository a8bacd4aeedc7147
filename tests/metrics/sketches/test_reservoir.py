"""Reservoir: a uniform sample that no split of the data changes."""

import math

import jax
import numpy as np
import pytest
from support.samples import (
    COUNT,
    QUANTILES,
    every_distribution,
    normal,
    observed,
    sample,
)

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")


@every_distribution
def test_quantiles_of_the_sample_have_ranks_near_those_of_all_values(draw):
    values, ids = sample(draw), np.arange(COUNT, dtype=np.int32)
    state = observed(jm.Reservoir(capacity=1024), 8, values=values, ids=ids)
    drawn = state.compute()
    np.testing.assert_array_equal(values[drawn["ids"]], drawn["values"])
    ordered = np.sort(values)
    for q in QUANTILES:
        value = np.quantile(drawn["values"], q, method="inverted_cdf")
        low, high = (
            np.searchsorted(ordered, value, side) / COUNT for side in ("left", "right")
        )
        distance = max(low - q, q - high, 0)
        assert distance < 4 * math.sqrt(q * (1 - q) / 1024) + 1 / 1024


def test_any_split_and_order_draws_the_same_rows():
    values, ids = sample(normal)[:6000], np.arange(6000, dtype=np.int32)
    order = np.random.default_rng(7).permutation(6000)
    at_once = observed(jm.Reservoir(capacity=64), values=values, ids=ids)
    in_batches = observed(
        jm.Reservoir(capacity=64), 60, values=values[order], ids=ids[order]
    )
    leaves = jax.tree.leaves(at_once), jax.tree.leaves(in_batches)
    for leaf, other_leaf in zip(*leaves, strict=True):
        np.testing.assert_array_equal(leaf, other_leaf)


def test_another_seed_draws_another_sample():
    outputs = dict(values=sample(normal)[:6000], ids=np.arange(6000, dtype=np.int32))
    first, second = (
        observed(jm.Reservoir(capacity=64, seed=seed), **outputs).compute()["ids"]
        for seed in (0, 1)
    )
    assert np.intersect1d(first, second).size < 5


def test_a_reservoir_that_is_not_full_holds_all_finite_values():
    values, ids = np.float32([2, NAN, 5, INF]), np.int32([40, 41, 42, 43])
    state = observed(jm.Reservoir(capacity=8), values=values, ids=ids)
    drawn = state.compute()
    assert sorted(drawn["ids"].tolist()) == [-1] * 6 + [40, 42]
    assert sorted(drawn["values"][:2].tolist()) == [2, 5]
    assert np.isnan(drawn["values"][2:]).all()
    plain = state.plain()
    assert (plain["seen"], plain["nonfinite"]) == (2, 2)


def test_rows_of_equal_id_and_value_are_all_kept():
    outputs = dict(values=np.ones(50, np.float32), ids=np.full(50, 3, np.int32))
    drawn = observed(jm.Reservoir(capacity=16), **outputs).compute()
    assert drawn["ids"].tolist() == [3] * 16


def test_each_value_needs_an_integer_id():
    with pytest.raises(ValueError, match="ids have shape .* each value needs an id"):
        jm.Reservoir().update(values=np.ones((4, 2), np.float32), ids=np.arange(4))
    with pytest.raises(TypeError, match="ids must be integers, got float32"):
        jm.Reservoir().update(values=np.ones(4), ids=np.ones(4, np.float32))


def test_a_capacity_below_one_is_refused():
    with pytest.raises(ValueError, match="Reservoir: capacity is 0, but must be"):
        jm.Reservoir(capacity=0)


def test_by_id_two_runs_keep_the_same_examples():
    ids = np.arange(1000, dtype=np.int32)
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=1000).astype(np.float32) for _ in range(2)]
    first, second = (
        jm.evaluate(jm.Reservoir(capacity=20, by="id"), values=values, ids=ids)
        for values in runs
    )
    assert first["ids"].tolist() == second["ids"].tolist()
    for run, kept in zip(runs, (first, second)):
        np.testing.assert_array_equal(kept["values"], run[kept["ids"]])
    others = jm.evaluate(jm.Reservoir(capacity=20), values=runs[0], ids=ids)
    assert others["ids"].tolist() != first["ids"].tolist()


def test_an_unknown_kind_of_priority_is_refused():
    with pytest.raises(ValueError, match="Reservoir: by is 'value'"):
        jm.Reservoir(by="value")
