"""R2: hand-computed values, and precision at a large mean."""

import math

import jax
import numpy as np
import pytest
from sklearn.metrics import r2_score

import jaxmetrics as jm


def test_r2_by_hand():
    targets = np.float32([1, 2, 3, 4])  # squared deviations sum to 5
    outputs = dict(preds=np.float32([1, 2, 3, 6]), targets=targets)
    assert jm.evaluate(jm.R2(), **outputs) == pytest.approx(1 - 4 / 5)
    assert jm.evaluate(jm.R2(), preds=targets, targets=targets) == 1.0
    mean = np.full(4, 2.5, np.float32)
    assert jm.evaluate(jm.R2(), preds=mean, targets=targets) == 0.0


def test_r2_of_constant_targets_is_nan():
    targets = np.ones(3, np.float32)
    assert math.isnan(jm.evaluate(jm.R2(), preds=targets * 2, targets=targets))


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
