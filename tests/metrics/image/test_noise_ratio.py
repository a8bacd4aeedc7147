"""PSNR."""

import numpy as np
import pytest

import jaxmetrics as jm

POOLED, PER_IMAGE = (jm.PSNR(max_value=1.0, per_image=x) for x in (False, True))
TARGETS = np.full((2, 2, 2, 1), 0.5, np.float32)
PREDS = TARGETS + np.float32([0.1, 0.001]).reshape(2, 1, 1, 1)


def test_pooled_errors_and_the_mean_over_images_differ():
    pooled = jm.evaluate(POOLED, preds=PREDS, targets=TARGETS)
    assert pooled == pytest.approx(-10 * np.log10((1e-2 + 1e-6) / 2), rel=1e-4)
    per_image = jm.evaluate(PER_IMAGE, preds=PREDS, targets=TARGETS)
    assert per_image == pytest.approx((20 + 60) / 2, rel=1e-4)


def test_the_range_of_the_values_is_not_estimated_from_a_batch():
    with pytest.raises(ValueError, match="max_value is None"):
        jm.PSNR()
    value = jm.evaluate(
        jm.PSNR(max_value=255.0), preds=PREDS * 255, targets=TARGETS * 255
    )
    right = jm.evaluate(POOLED, preds=PREDS, targets=TARGETS)
    assert value == pytest.approx(right, rel=1e-5)


def test_one_perfect_image_is_infinite_only_per_image():
    preds = PREDS.copy()
    preds[1] = TARGETS[1]
    assert jm.evaluate(PER_IMAGE, preds=preds, targets=TARGETS) == np.inf
    assert jm.evaluate(POOLED, preds=preds, targets=TARGETS) < 30
    assert jm.evaluate(POOLED, preds=TARGETS, targets=TARGETS) == np.inf
    mask = np.array([True, False])
    masked = jm.evaluate(PER_IMAGE, preds=preds, targets=TARGETS, mask=mask)
    assert masked == pytest.approx(20, rel=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_perfect_image_does_not_hide_a_broken_one(bad):
    preds = np.stack([TARGETS[0], np.full_like(TARGETS[0], bad)])
    assert np.isnan(jm.evaluate(PER_IMAGE, preds=preds, targets=TARGETS))


@pytest.mark.parametrize("metric", [POOLED, PER_IMAGE])
def test_nan_is_seen_unless_masked(metric):
    preds = PREDS.copy()
    preds[1, 0, 0, 0] = np.nan
    assert np.isnan(jm.evaluate(metric, preds=preds, targets=TARGETS))
    mask = np.array([True, False])
    value = jm.evaluate(metric, preds=preds, targets=TARGETS, mask=mask)
    assert value == pytest.approx(20, rel=1e-4)
    assert np.isnan(metric.compute())
    assert np.isnan(
        jm.evaluate(metric, preds=preds, targets=TARGETS, mask=mask & ~mask)
    )


def test_a_weight_of_zero_removes_an_image():
    for per_image in (False, True):
        metric = jm.PSNR(max_value=1.0, per_image=per_image, weighted=True)
        preds = PREDS.copy()
        preds[1] = TARGETS[1]
        weights = np.float32([3, 0])
        value = jm.evaluate(metric, preds=preds, targets=TARGETS, weights=weights)
        assert value == pytest.approx(20, rel=1e-4)


def test_many_values_do_not_stick():
    error = POOLED.error.replace(squared_error=2.0**25, values=2**24 + 2)
    value = POOLED.with_fields(error=error).compute()
    assert value == pytest.approx(-10 * np.log10(2**25 / (2**24 + 2)), rel=1e-12)
