"""Errors relative to the spread of the targets: by hand, and at a large mean."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from support.samples import observed

import jaxmetrics as jm

NAN, INF = math.nan, math.inf


def test_explained_variance_forgives_a_bias_and_r2_does_not():
    outputs = dict(preds=[3.0, 4.0, 5.0], targets=[1.0, 2.0, 3.0])
    assert jm.evaluate(jm.ExplainedVariance(), **outputs) == 1
    assert jm.evaluate(jm.R2(), **outputs) == 1 - 12 / 2
    assert jm.evaluate(jm.RelativeSquaredError(), **outputs) == 6
    root = jm.RelativeSquaredError(squared=False)
    assert jm.evaluate(root, **outputs) == math.sqrt(6)


@pytest.mark.parametrize("offset", [0, 1e3, 1e4])
def test_nothing_cancels_at_an_offset(offset):
    """Trap 6.7: at 1e4 torchmetrics gives +0.875 for independent series, not -1."""
    rng = np.random.default_rng(5)
    preds, targets = rng.normal(offset, 1, (2, 80_000)).astype(np.float32)
    outputs = dict(preds=preds, targets=targets)
    wide = targets.astype(float), preds.astype(float)
    explained = observed(jm.ExplainedVariance(), 8, **outputs).compute()
    right = sk.explained_variance_score(*wide)
    assert right == pytest.approx(-1, abs=0.05)
    assert explained == pytest.approx(right, rel=2e-6)
    relative = observed(jm.RelativeSquaredError(), 8, **outputs).compute()
    assert relative == pytest.approx(1 - sk.r2_score(*wide), rel=2e-6)
    deviation = jm.NormalizedRootMeanSquaredError(normalization="std")
    value = observed(deviation, 8, **outputs).compute()
    right = sk.root_mean_squared_error(*wide) / wide[0].std()
    assert value == pytest.approx(right, rel=2e-6)


def test_each_normalization_by_hand():
    outputs = dict(preds=[-1.0, -3.0], targets=[-3.0, -1.0])
    values = {
        name: jm.evaluate(
            jm.NormalizedRootMeanSquaredError(normalization=name), **outputs
        )
        for name in ("mean", "range", "std", "l2")
    }
    # The root mean squared error is 2, the mean of the targets -2.
    assert values == pytest.approx(dict(mean=1, range=1, std=2, l2=2 / math.sqrt(10)))


@pytest.mark.parametrize("force_finite", [True, False])
def test_constant_targets_are_as_in_scikit_learn(force_finite):
    targets = np.float32([0.1] * 7)
    metric = jm.ExplainedVariance(force_finite=force_finite)
    perfect = jm.evaluate(metric, preds=targets, targets=targets)
    wrong = jm.evaluate(metric, preds=targets * [1, 2, 1, 1, 1, 1, 1], targets=targets)
    if force_finite:
        assert (perfect, wrong) == (1, 0)
    else:
        assert math.isnan(perfect) and wrong == -INF


def test_constant_targets_have_no_relative_error():
    same = np.float32([0.1] * 7)
    assert jm.evaluate(jm.RelativeSquaredError(), preds=same + 1, targets=same) == INF
    assert math.isnan(jm.evaluate(jm.RelativeSquaredError(), preds=same, targets=same))
    for name in ("range", "std"):
        metric = jm.NormalizedRootMeanSquaredError(normalization=name)
        assert math.isnan(jm.evaluate(metric, preds=same + 1, targets=same))


def test_a_single_entry_has_no_variance():
    for metric in (jm.ExplainedVariance(), jm.RelativeSquaredError()):
        assert math.isnan(jm.evaluate(metric, preds=[1.0], targets=[2.0]))


def test_a_weight_of_zero_leaves_an_entry_out():
    outputs = dict(preds=[1.0, 3.0, NAN], targets=[1.0, 2.0, 9.0])
    weighted = dict(outputs, weights=[1.0, 1.0, 0.0])
    kept = {name: x[:2] for name, x in outputs.items()}
    for metric in (
        jm.ExplainedVariance,
        jm.RelativeSquaredError,
        jm.NormalizedRootMeanSquaredError,
    ):
        value = jm.evaluate(metric(weighted=True), **weighted)
        assert value == pytest.approx(jm.evaluate(metric(), **kept))


def test_a_collection_stores_the_moments_of_r2_once():
    metrics = jm.Collection(
        r2=jm.R2(),
        relative=jm.RelativeSquaredError(),
        normalized=jm.NormalizedRootMeanSquaredError(),
    )
    assert list(metrics.plain()) == [
        "r2/squared_error",
        "r2/targets",
        "r2/smallest",
        "r2/largest",
    ]
