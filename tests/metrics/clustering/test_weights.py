"""Weights of samples in contingency tables: as often as they say, or refused."""

import numpy as np
import pytest

import jaxmetrics as jm

TABLE = dict(classes=4, clusters=5)
BY_FRACTIONS = (
    jm.MutualInformation,
    jm.NormalizedMutualInformation,
    jm.Homogeneity,
    jm.Completeness,
    jm.VMeasure,
    jm.ClusterAccuracy,
    jm.Purity,
    jm.CramersV,
    jm.TschuprowsT,
    jm.ContingencyCoefficient,
    jm.TheilsU,
)
BY_PAIRS = (
    jm.RandIndex,
    jm.AdjustedRandIndex,
    jm.FowlkesMallows,
    jm.AdjustedMutualInformation,
)


@pytest.mark.parametrize("metric", BY_FRACTIONS)
def test_a_weight_of_n_is_worth_n_samples_and_0_removes_one(metric):
    rng = np.random.default_rng(0)
    labels, preds = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    weights = rng.integers(0, 4, 60)
    state = metric(weighted=True, **TABLE).update(
        labels=labels, preds=preds, weights=weights.astype(np.float32)
    )
    copies = dict(labels=labels.repeat(weights), preds=preds.repeat(weights))
    value = jm.evaluate(metric(**TABLE), **copies)
    np.testing.assert_allclose(state.compute(), value, rtol=1e-12)


@pytest.mark.parametrize("metric", BY_PAIRS)
def test_what_needs_whole_samples_refuses_weights(metric):
    with pytest.raises(ValueError, match="weighted=True is not possible: .*samples"):
        metric(weighted=True, **TABLE)


def test_the_corrected_association_refuses_weights():
    with pytest.raises(ValueError, match="needs the number of samples"):
        jm.CramersV(weighted=True, bias_correction=True, **TABLE)
