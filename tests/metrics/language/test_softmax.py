"""PredictiveEntropy and ZLoss, by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm

BOTH = pytest.mark.parametrize("metric", [jm.PredictiveEntropy(), jm.ZLoss()])


def test_the_entropy_of_a_uniform_distribution_is_the_log_of_its_size():
    logits = np.zeros((3, 8), np.float32)
    value = jm.evaluate(jm.PredictiveEntropy(), logits=logits)
    assert value == pytest.approx(math.log(8), rel=1e-6)


def test_a_masked_out_token_takes_no_part():
    logits = np.float32([[0, 0, -np.inf, -np.inf]])
    entropy = jm.evaluate(jm.PredictiveEntropy(), logits=logits)
    assert entropy == pytest.approx(math.log(2), rel=1e-6)
    z_loss = jm.evaluate(jm.ZLoss(), logits=logits)
    assert z_loss == pytest.approx(math.log(2) ** 2, rel=1e-6)


def test_a_certain_prediction_has_no_entropy():
    certain = np.float32([[100, 0, 0]])
    assert jm.evaluate(jm.PredictiveEntropy(), logits=certain) == 0


def test_an_offset_of_all_logits_changes_the_z_loss_alone():
    logits = np.float32([[0, 1, 2, 3]])
    offset = logits + np.float32(1e4)
    entropies = [
        jm.evaluate(jm.PredictiveEntropy(), logits=x) for x in (logits, offset)
    ]
    assert entropies[0] == entropies[1]
    expected = (1e4 + math.log(sum(map(math.exp, range(4))))) ** 2
    assert jm.evaluate(jm.ZLoss(), logits=offset) == pytest.approx(expected, rel=1e-6)


def test_the_z_loss_is_that_of_the_losses():
    logits = np.random.default_rng(0).normal(0, 3, (5, 7)).astype(np.float32)
    labels = np.zeros(5, np.int32)
    without, _, total = jm.losses.cross_entropy_with_entropy_loss(
        jnp.asarray(logits), labels, entropy_weight=0.0, z_loss=1.0
    )
    value = jm.evaluate(jm.ZLoss(), logits=logits)
    assert value == pytest.approx(float(total - without), rel=1e-5)


@BOTH
def test_rows_without_a_largest_logit_are_counted(metric):
    logits = np.zeros((4, 3), np.float32)
    logits[0, 1], logits[1, 1], logits[2] = np.nan, np.inf, -np.inf
    state = metric.update(logits=logits)
    assert state.plain()["invalid"] == 3 and state.plain()["count"] == 1
    assert np.isfinite(state.compute())


@BOTH
def test_all_masked_is_nan_and_nan_under_the_mask_stays_there(metric):
    logits = np.float32([[np.nan, 0], [0, 0]])
    state = metric.update(logits=logits, mask=np.array([False, False]))
    assert math.isnan(state.compute()) and state.plain()["invalid"] == 0
    state = metric.update(logits=logits, mask=np.array([False, True]))
    assert state.compute() == pytest.approx(
        math.log(2) ** (2 if isinstance(metric, jm.ZLoss) else 1), rel=1e-6
    )


def test_weights_multiply_rows():
    logits = np.float32([[0, 0], [100, 0]])
    weights = np.float32([1, 3])
    value = jm.evaluate(
        jm.PredictiveEntropy(weighted=True), logits=logits, weights=weights
    )
    assert value == pytest.approx(math.log(2) / 4, rel=1e-6)


@BOTH
def test_a_scalar_is_refused(metric):
    with pytest.raises(ValueError, match="their last axis must be the vocabulary"):
        metric.update(logits=np.float32(1))
