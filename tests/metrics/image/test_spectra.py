"""SpectralAngle and TotalVariation."""

import numpy as np
import pytest

import jaxmetrics as jm


def angle(preds, targets):
    shape = (1, 1, -1, 2)
    preds, targets = (np.reshape(np.float32(x), shape) for x in (preds, targets))
    return jm.evaluate(jm.SpectralAngle(), preds=preds, targets=targets)


def test_brightness_does_not_matter():
    assert angle([1, 1], [9, 9]) == pytest.approx(0, abs=1e-7)
    assert angle([1, 0], [0, 3]) == pytest.approx(np.pi / 2, rel=1e-6)
    assert angle([1, 2], [-2, -4]) == pytest.approx(np.pi, rel=1e-6)


def test_small_angles_are_exact_where_an_arccos_of_float32_reads_zero():
    assert angle([1, 0], [1, 1e-4]) == pytest.approx(1e-4, rel=1e-4)


def test_tiny_and_huge_spectra_have_an_angle():
    assert angle([1e-30, 0], [1e30, 1e30]) == pytest.approx(np.pi / 4, rel=1e-6)


def test_black_pixels_have_no_angle():
    value = angle([[0, 0], [1, 0]], [[1, 1], [0, 1]])
    assert value == pytest.approx(np.pi / 2, rel=1e-6)
    assert np.isnan(angle([0, 0], [1, 1]))
    assert np.isnan(angle([[np.nan, 0], [1, 0]], [[1, 1], [0, 1]]))


def test_variation_by_hand():
    image = np.float32([[0, 1, 3], [0, 5, 3]])
    metric = jm.TotalVariation()
    preds = np.stack([image, 0 * image])[..., None]
    assert jm.evaluate(metric, preds=preds) == (3 + 7 + 4) / 2
    assert jm.evaluate(metric, preds=preds[:, :1, :1]) == 0
    with pytest.raises(ValueError, match=r"images are \[..., height, width, channels"):
        metric.update(preds=image)
    assert np.isnan(metric.compute())
