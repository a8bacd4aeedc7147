"""Mean errors worked out by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import r2_score

import jaxmetrics as jm

ERRORS = (jm.MeanSquaredError, jm.RootMeanSquaredError, jm.MeanAbsoluteError)
GIVEN = dict(preds=np.float32([1, 2, 7]), targets=np.float32([1, 4, 3]))


def test_errors_by_hand():
    assert jm.evaluate(jm.MeanSquaredError(), **GIVEN) == 20 / 3
    assert jm.evaluate(jm.RootMeanSquaredError(), **GIVEN) == math.sqrt(20 / 3)
    assert jm.evaluate(jm.MeanAbsoluteError(), **GIVEN) == 2


def test_the_root_is_of_all_batches_not_a_mean_of_roots():
    metric = jm.RootMeanSquaredError()
    metric = metric.update(preds=[0.0], targets=[6.0])
    metric = metric.update(preds=[0.0, 0.0], targets=[0.0, 0.0])
    assert metric.compute() == math.sqrt(12)


def test_several_outputs_have_the_mean_of_their_roots():
    given = dict(preds=[[0.0, 0.0]], targets=[[3.0, 4.0]])
    assert jm.evaluate(jm.RootMeanSquaredError(), **given) == math.sqrt(12.5)
    assert jm.evaluate(jm.RootMeanSquaredError(outputs=2), **given) == 3.5


def test_weights_divide_by_their_sum():
    weighted = dict(GIVEN, weights=[1.0, 0.5, 0.0])
    assert jm.evaluate(jm.MeanSquaredError(weighted=True), **weighted) == 2 / 1.5
    assert jm.evaluate(jm.MeanAbsoluteError(weighted=True), **weighted) == 1 / 1.5


@pytest.mark.parametrize("metric", ERRORS)
def test_nothing_seen_or_all_masked_is_nan(metric):
    masked = metric().update(**GIVEN, mask=np.zeros(3, bool))
    assert math.isnan(masked.compute()) and math.isnan(metric().compute())


@pytest.mark.parametrize("metric", ERRORS)
def test_a_nan_prediction_shows(metric):
    assert math.isnan(jm.evaluate(metric(), preds=[1.0, np.nan], targets=[1.0, 1.0]))


def test_unsigned_pixels_do_not_wrap():
    given = dict(preds=jnp.uint8([0, 255]), targets=jnp.uint8([2, 255]))
    assert jm.evaluate(jm.MeanAbsoluteError(), **given) == 1


def test_the_squared_error_is_stored_once():
    metrics = jm.Collection(mse=jm.MeanSquaredError(), rmse=jm.RootMeanSquaredError())
    assert list(metrics.plain()) == ["mse/squared_error", "mse/count"]
    found = metrics.update(**GIVEN).compute()
    assert found == dict(mse=20 / 3, rmse=math.sqrt(20 / 3))


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


def test_an_offset_and_a_mask_cost_several_outputs_nothing():
    rng = np.random.default_rng(0)
    state = jm.R2(outputs=3)
    update = jax.jit(lambda state, **given: state.update(**given))
    seen = []
    for _ in range(50):
        targets = rng.normal(1e6, 1, (64, 3)).astype(np.float32)
        preds = (targets + rng.normal(0, 0.5, (64, 3))).astype(np.float32)
        mask = rng.random(64) < 0.7
        state = update(state, preds=preds, targets=targets, mask=mask)
        seen.append((preds[mask], targets[mask]))
    preds, targets = (np.concatenate(x).astype(np.float64) for x in zip(*seen))
    np.testing.assert_allclose(state.compute(), r2_score(targets, preds), rtol=1e-6)
