"""Mean errors, by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

ERRORS = (jm.MeanSquaredError, jm.RootMeanSquaredError, jm.MeanAbsoluteError)
OUTPUTS = dict(preds=np.float32([1, 2, 7]), targets=np.float32([1, 4, 3]))


def test_errors_by_hand():
    assert jm.evaluate(jm.MeanSquaredError(), **OUTPUTS) == 20 / 3
    assert jm.evaluate(jm.RootMeanSquaredError(), **OUTPUTS) == math.sqrt(20 / 3)
    assert jm.evaluate(jm.MeanAbsoluteError(), **OUTPUTS) == 2


def test_the_root_is_of_the_mean_over_all_batches():
    metric = jm.RootMeanSquaredError()
    metric = metric.update(preds=[0.0], targets=[6.0])
    metric = metric.update(preds=[0.0, 0.0], targets=[0.0, 0.0])
    assert metric.compute() == math.sqrt(12)


def test_with_several_outputs_the_roots_are_averaged():
    outputs = dict(preds=[[0.0, 0.0]], targets=[[3.0, 4.0]])
    assert jm.evaluate(jm.RootMeanSquaredError(), **outputs) == math.sqrt(12.5)
    assert jm.evaluate(jm.RootMeanSquaredError(outputs=2), **outputs) == 3.5


def test_weighted_errors_divide_by_the_sum_of_weights():
    weighted = dict(OUTPUTS, weights=[1.0, 0.5, 0.0])
    assert jm.evaluate(jm.MeanSquaredError(weighted=True), **weighted) == 2 / 1.5
    assert jm.evaluate(jm.MeanAbsoluteError(weighted=True), **weighted) == 1 / 1.5


@pytest.mark.parametrize("metric", ERRORS)
def test_without_data_or_all_masked_the_error_is_nan(metric):
    masked = metric().update(**OUTPUTS, mask=np.zeros(3, bool))
    assert math.isnan(masked.compute()) and math.isnan(metric().compute())


@pytest.mark.parametrize("metric", ERRORS)
def test_a_nan_prediction_makes_the_error_nan(metric):
    assert math.isnan(jm.evaluate(metric(), preds=[1.0, np.nan], targets=[1.0, 1.0]))


def test_unsigned_integers_do_not_wrap():
    outputs = dict(preds=jnp.uint8([0, 255]), targets=jnp.uint8([2, 255]))
    assert jm.evaluate(jm.MeanAbsoluteError(), **outputs) == 1


def test_a_collection_stores_the_squared_error_once():
    metrics = jm.Collection(mse=jm.MeanSquaredError(), rmse=jm.RootMeanSquaredError())
    assert list(metrics.plain()) == ["mse/squared_error", "mse/count"]
    values = metrics.update(**OUTPUTS).compute()
    assert values == dict(mse=20 / 3, rmse=math.sqrt(20 / 3))


@pytest.mark.parametrize("metric", [*ERRORS, jm.R2])
def test_shapes_are_not_broadcast(metric):
    with pytest.raises(ValueError, match=r"\(3, 1\) and targets \(3,\).*Reshape"):
        metric().update(preds=np.ones((3, 1)), targets=np.ones(3))


@pytest.mark.parametrize("metric", [*ERRORS, jm.R2])
def test_a_number_of_outputs_below_one_is_refused(metric):
    with pytest.raises(ValueError, match="outputs is None or the length"):
        metric(outputs=0)


@pytest.mark.parametrize("metric", [*ERRORS, jm.R2])
def test_another_number_of_outputs_is_refused(metric):
    name = f"{metric.__name__}.*must be the 2 outputs. Configure outputs=3"
    with pytest.raises(ValueError, match=name):
        metric(outputs=2).update(preds=np.ones((4, 3)), targets=np.ones((4, 3)))


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        (jm.MeanSquaredError, sk.mean_squared_error),
        (jm.RootMeanSquaredError, sk.root_mean_squared_error),
        (jm.MeanAbsoluteError, sk.mean_absolute_error),
    ],
)
def test_values_by_output_are_the_raw_values_of_scikit_learn(metric, score):
    rng = np.random.default_rng(0)
    preds, targets = rng.normal(size=(2, 40, 3)).astype(np.float32)
    weights = rng.uniform(0, 2, 40).astype(np.float32)
    by_output = metric(outputs=3, average="none", weighted=True)
    value = jm.evaluate(by_output, preds=preds, targets=targets, weights=weights)
    wide = [x.astype(np.float64) for x in (targets, preds, weights)]
    right = score(*wide[:2], sample_weight=wide[2], multioutput="raw_values")
    np.testing.assert_allclose(value, right, rtol=1e-6)


@pytest.mark.parametrize("metric", ERRORS)
def test_an_average_without_outputs_or_unknown_is_refused(metric):
    name = metric.__name__
    with pytest.raises(ValueError, match=f"{name}: average='none' needs the number"):
        metric(average="none")
    with pytest.raises(ValueError, match=f"{name}: average is 'variance_weighted'"):
        metric(outputs=2, average="variance_weighted")


@pytest.mark.parametrize("metric", [jm.MeanSquaredError, jm.MeanAbsoluteError])
def test_the_standard_error_of_an_error_is_that_of_its_entries(metric):
    power = 2 if metric is jm.MeanSquaredError else 1
    entries = np.abs(OUTPUTS["preds"] - OUTPUTS["targets"]) ** power
    value = jm.evaluate(metric(stderr=True), **OUTPUTS)
    assert value["mean"] == pytest.approx(entries.mean())
    assert value["stderr"] == pytest.approx(entries.std(ddof=1) / math.sqrt(3))
    by_output = metric(outputs=2, average="none", stderr=True)
    two = {k: np.stack([v, 0 * v], -1) for k, v in OUTPUTS.items()}
    errors = jm.evaluate(by_output, **two)["stderr"]
    assert errors == pytest.approx([value["stderr"], 0])


@pytest.mark.parametrize("metric", [jm.MeanSquaredError, jm.MeanAbsoluteError])
def test_a_standard_error_over_outputs_is_refused(metric):
    with pytest.raises(ValueError, match="needs average='none'"):
        metric(outputs=2, stderr=True)
