"""CalinskiHarabasz."""

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

METRIC = jm.CalinskiHarabasz(clusters=3, size=2)


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    preds = rng.integers(0, 3, 300).astype(np.int32)
    values = rng.normal(0, 1, (300, 2)) + preds[:, None]
    return dict(values=values.astype(np.float32), preds=preds)


def test_an_offset_costs_no_precision(samples):
    samples["values"] += np.float32(1e4)
    right = sk.calinski_harabasz_score(np.float64(samples["values"]), samples["preds"])
    state = METRIC
    for i in range(0, 300, 100):
        state = state.update(**{name: x[i : i + 100] for name, x in samples.items()})
    assert state.compute() == pytest.approx(right, rel=1e-5)
    under_jit = jax.jit(lambda m: m.compute())(state)
    assert under_jit == pytest.approx(right, rel=1e-3)


def test_an_empty_cluster_does_not_count(samples):
    samples["preds"] = np.where(samples["preds"] == 1, 0, samples["preds"])
    right = sk.calinski_harabasz_score(np.float64(samples["values"]), samples["preds"])
    assert jm.evaluate(METRIC, **samples) == pytest.approx(right, rel=1e-5)


def test_equal_samples_within_clusters_score_one():
    values = np.float32([[0, 0], [0, 0], [1, 1]])
    assert jm.evaluate(METRIC, values=values, preds=np.int32([0, 0, 1])) == 1


@pytest.mark.parametrize("preds", [[0, 0, 0], [0, 1, 2]])
def test_one_cluster_and_lone_samples_have_no_score(preds):
    values = np.float32([[0, 0], [0, 1], [1, 1]])
    assert np.isnan(jm.evaluate(METRIC, values=values, preds=np.int32(preds)))


def test_samples_without_a_place_are_counted_apart(samples):
    spoiled = {name: x.copy() for name, x in samples.items()}
    spoiled["values"][0, 1], spoiled["preds"][1] = np.nan, 3
    state = METRIC.update(**spoiled)
    assert state.plain()["invalid"] == 2
    right = jm.evaluate(METRIC, **{name: x[2:] for name, x in samples.items()})
    assert state.compute() == pytest.approx(right, rel=1e-6)


def test_impossible_configurations_and_shapes_are_refused():
    with pytest.raises(ValueError, match="clusters is None"):
        jm.CalinskiHarabasz(size=2)
    with pytest.raises(ValueError, match="size is 0"):
        jm.CalinskiHarabasz(clusters=2, size=0)
    with pytest.raises(ValueError, match="must have length 2"):
        METRIC.update(values=np.ones((4, 3), np.float32), preds=np.zeros(4, np.int32))


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_values_without_a_square_have_no_score(unit):
    values = np.float32([[0, 0], [2, 0], [9, 0]]) * np.float32(unit)
    assert np.isnan(jm.evaluate(METRIC, values=values, preds=np.int32([0, 0, 1])))
