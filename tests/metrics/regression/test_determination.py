"""R2: hand-computed values, and precision at a large mean."""

import math
import warnings

import jax
import numpy as np
import pytest
from sklearn.metrics import r2_score

import jaxmetrics as jm

NAN = math.nan


def test_r2_by_hand():
    targets = np.float32([1, 2, 3, 4])  # squared deviations sum to 5
    outputs = dict(preds=np.float32([1, 2, 3, 6]), targets=targets)
    assert jm.evaluate(jm.R2(), **outputs) == pytest.approx(1 - 4 / 5)
    assert jm.evaluate(jm.R2(), preds=targets, targets=targets) == 1.0
    mean = np.full(4, 2.5, np.float32)
    assert jm.evaluate(jm.R2(), preds=mean, targets=targets) == 0.0


@pytest.mark.parametrize("value", [0.0, 0.1, -5.1608, 1e20, 3e-20])
@pytest.mark.parametrize("rows", [2, 3, 7, 1000])
def test_constant_targets_are_one_if_perfect_else_zero(value, rows):
    targets = np.full(rows, value, np.float32)
    preds = targets + np.float32(abs(value) + 1)
    state = jm.R2()
    for part in np.array_split(targets, 3):
        state = state.update(preds=part, targets=part)
    assert state.compute() == 1.0
    assert state.update(preds=preds, targets=targets).compute() == 0.0
    lenient = jm.R2(force_finite=False)
    assert math.isnan(jm.evaluate(lenient, preds=targets, targets=targets))
    assert jm.evaluate(lenient, preds=preds, targets=targets) == -math.inf


def test_equal_targets_are_told_by_their_range_not_by_a_rounded_variance():
    rounded = dict(squared_error=4.0, targets=(4, 0.1, 1e-27))
    assert jm.R2().replace(**rounded, smallest=0.1, largest=0.1).compute() == 0
    assert jm.R2().replace(**rounded, smallest=0.1, largest=0.2).compute() < -1e20


def test_a_nan_prediction_of_constant_targets_makes_the_coefficient_nan():
    assert math.isnan(jm.evaluate(jm.R2(), preds=[1.0, NAN], targets=[1.0, 1.0]))


def test_without_data_and_for_a_single_entry_the_coefficient_is_nan():
    assert math.isnan(jm.R2().compute()) and math.isnan(jm.R2(weighted=True).compute())
    assert math.isnan(jm.evaluate(jm.R2(), preds=[1.0], targets=[1.0]))
    average = jm.R2(outputs=2, average="variance_weighted")
    assert math.isnan(average.compute())


def test_one_constant_output_leaves_the_mean_finite():
    outputs = dict(preds=[[1.0, 3.0], [2.0, 3.0]], targets=[[1.0, 3.0], [3.0, 3.0]])
    assert jm.evaluate(jm.R2(outputs=2), **outputs) == (0.5 + 1) / 2
    by_output = jm.evaluate(jm.R2(outputs=2, average="none"), **outputs)
    assert by_output.tolist() == [0.5, 1]
    weighted = jm.R2(outputs=2, average="variance_weighted")
    assert jm.evaluate(weighted, **outputs) == 0.5


def test_a_target_of_weight_zero_does_not_make_the_targets_differ():
    targets, weights = np.float32([2, 2, 5]), np.float32([1, 1, 0])
    state = jm.R2(weighted=True).update(preds=targets, targets=targets, weights=weights)
    assert state.compute() == 1.0 and state.plain()["largest"] == 2
    mask = np.array([True, True, False])
    outputs = dict(preds=targets, targets=targets, mask=mask, weights=np.float32(2))
    assert jm.R2(weighted=True).update(**outputs).plain()["largest"] == 2


@pytest.mark.parametrize("multioutput", ["uniform", "variance_weighted", "none"])
@pytest.mark.parametrize("force_finite", [True, False])
@pytest.mark.parametrize("constant", [0, 2, 3])
def test_averages_are_those_of_scikit_learn(multioutput, force_finite, constant):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(40, 3)).astype(np.float32)
    targets[:, :constant] = 0.5
    preds = (targets + rng.normal(0, 0.5, (40, 3))).astype(np.float32)
    preds[:, 0] = targets[:, 0]
    metric = jm.R2(outputs=3, average=multioutput, force_finite=force_finite)
    value = jm.evaluate(metric, preds=preds, targets=targets)
    names = dict(uniform="uniform_average", none="raw_values")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        right = r2_score(
            targets.astype(np.float64),
            preds.astype(np.float64),
            multioutput=names.get(multioutput, multioutput),
            force_finite=force_finite,
        )
    np.testing.assert_allclose(value, right, rtol=1e-6)


@pytest.mark.parametrize("predictors", [0, 1, 5])
def test_the_adjusted_coefficient_by_hand(predictors):
    targets = np.float32([1, 2, 3, 4])
    outputs = dict(preds=np.float32([1, 2, 3, 6]), targets=targets)
    value = jm.evaluate(jm.R2(predictors=predictors), **outputs)
    freedom = 4 - predictors - 1
    right = 1 - (4 / 5) * 3 / freedom if freedom > 0 else math.nan
    np.testing.assert_allclose(value, right, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(average="none"), "average='none' needs the number of outputs"),
        (dict(outputs=2, average="mean"), "average is 'mean', but must be one of"),
        (dict(predictors=-1), "predictors is -1, but must be at least 0"),
        (dict(predictors=1, weighted=True), "predictors goes without weighted=True"),
    ],
)
def test_an_impossible_configuration_is_refused(options, match):
    with pytest.raises(ValueError, match=f"R2: {match}"):
        jm.R2(**options)


def test_r2_of_several_outputs_is_the_mean_over_outputs():
    targets = np.float32([[1, 10], [3, 30]])
    outputs = dict(preds=np.float32([[1, 10], [2, 30]]), targets=targets)
    assert jm.evaluate(jm.R2(outputs=2), **outputs) == pytest.approx((1 / 2 + 1) / 2)
    one_series = jm.evaluate(jm.R2(), **outputs)
    assert one_series == pytest.approx(1 - 1 / (10**2 + 1 + 64 + 361))


@pytest.mark.parametrize("offset", [1e3, 1e4])
def test_r2_does_not_cancel_at_an_offset(offset):
    preds = np.random.default_rng(5).normal(offset, 1, 80_000).astype(np.float32)
    targets = preds[::-1].copy()
    metric = jm.R2()
    for p, t in zip(np.split(preds, 4), np.split(targets, 4)):
        metric = metric.update(preds=p, targets=t)
    expected = r2_score(targets.astype(np.float64), preds.astype(np.float64))
    assert expected == pytest.approx(-1, abs=0.05)
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


def test_r2_of_several_masked_outputs_does_not_cancel_at_an_offset():
    rng = np.random.default_rng(0)
    metric = jm.R2(outputs=3)
    update = jax.jit(lambda state, **outputs: state.update(**outputs))
    kept = []
    for _ in range(50):
        targets = rng.normal(1e6, 1, (64, 3)).astype(np.float32)
        preds = (targets + rng.normal(0, 0.5, (64, 3))).astype(np.float32)
        mask = rng.random(64) < 0.7
        metric = update(metric, preds=preds, targets=targets, mask=mask)
        kept.append((preds[mask], targets[mask]))
    preds, targets = (np.concatenate(x).astype(np.float64) for x in zip(*kept))
    np.testing.assert_allclose(metric.compute(), r2_score(targets, preds), rtol=1e-6)
