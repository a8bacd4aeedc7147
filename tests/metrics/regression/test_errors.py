"""Mean errors, by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

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


def test_another_number_of_outputs_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\) but is declared \(2,\)"):
        jm.MeanSquaredError(outputs=2).update(
            preds=np.ones((4, 3)), targets=np.ones((4, 3))
        )
