"""SSIM and MultiScaleSSIM."""

import importlib.util
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.metrics.image import _structure

FROZEN = Path(__file__).parent / "frozen"
OPTIONS = {
    "gaussian": {},
    "uniform": dict(window="uniform"),
    "uniform, sample covariance": dict(window="uniform", sample_covariance=True),
    "uniform, 5 pixels": dict(window="uniform", window_size=5),
}


def frozen_images():
    """Return the images of the frozen values."""
    spec = importlib.util.spec_from_file_location("structure", FROZEN / "structure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.images()


@pytest.fixture(scope="module")
def values():
    return json.loads((FROZEN / "structure.json").read_text())


@pytest.mark.parametrize("options", OPTIONS)
def test_options_are_scikit_images(options, values):
    preds, targets = frozen_images()
    metric = jm.SSIM(max_value=1.0, **OPTIONS[options])
    value = jm.evaluate(metric, preds=preds, targets=targets)
    assert value == pytest.approx(np.mean(values[options]), abs=3e-6)


def test_angles_and_variations_are_torchmetrics(values):
    preds, targets = frozen_images()
    angle = jm.evaluate(jm.SpectralAngle(), preds=preds, targets=targets)
    assert angle == pytest.approx(values["spectral angle"], rel=1e-5)
    variation = jm.evaluate(jm.TotalVariation(), preds=preds)
    assert variation == pytest.approx(values["total variation"], rel=1e-6)


def test_the_range_scales_with_the_values():
    preds, targets = frozen_images()
    unit = jm.evaluate(jm.SSIM(max_value=1.0), preds=preds, targets=targets)
    metric = jm.SSIM(max_value=255.0)
    byte = jm.evaluate(metric, preds=preds * 255, targets=targets * 255)
    assert byte == pytest.approx(unit, abs=1e-5)


def test_equal_images_score_one_also_flat_and_bright_ones():
    flat = np.full((1, 16, 16, 1), 1e4, np.float32)
    value = jm.evaluate(jm.SSIM(max_value=1.0), preds=flat, targets=flat)
    assert value == pytest.approx(1, abs=1e-6)


def test_noise_on_a_bright_image_is_seen():
    """At an offset of 1e4 squares of float32 would hold no variance at all."""
    rng = np.random.default_rng(0)
    targets = rng.uniform(0, 2, (1, 32, 32, 1)).astype(np.float32)
    preds = (targets + rng.normal(0, 0.3, targets.shape)).astype(np.float32)
    metric = jm.SSIM(max_value=2.0, k1=1e3)  # the factor of the means is 1
    near = jm.evaluate(metric, preds=preds, targets=targets)
    offset = np.float32(1e4)
    far = jm.evaluate(metric, preds=preds + offset, targets=targets + offset)
    assert 0.5 < near < 0.99
    assert far == pytest.approx(near, abs=0.01)


def test_scales_are_multiplied_as_by_hand():
    """At one scale it is SSIM to a power, at two the contrast of the first enters."""
    preds, targets = frozen_images()
    one = jm.MultiScaleSSIM(max_value=1.0, betas=(1.0,))
    single = jm.evaluate(jm.SSIM(max_value=1.0), preds=preds, targets=targets)
    value = jm.evaluate(one, preds=preds, targets=targets)
    assert value == pytest.approx(single, abs=1e-6)
    inverted = jm.evaluate(one, preds=1 - targets, targets=targets)
    assert inverted == 0


def test_masked_images_may_be_nan_and_others_are_seen():
    preds, targets = frozen_images()
    spoiled = preds.copy()
    spoiled[1, 3, 3, 0] = np.nan
    metric = jm.SSIM(max_value=1.0)
    first = jm.evaluate(metric, preds=preds[:1], targets=targets[:1])
    mask = np.array([True, False])
    value = jm.evaluate(metric, preds=spoiled, targets=targets, mask=mask)
    assert value == pytest.approx(first, abs=1e-7)
    assert np.isnan(jm.evaluate(metric, preds=spoiled, targets=targets))
    assert np.isnan(metric.compute())


def test_compute_under_jit():
    preds, targets = frozen_images()
    state = jm.SSIM(max_value=1.0).update(preds=preds, targets=targets)
    value = jax.jit(lambda m: m.compute())(state)
    assert value == pytest.approx(state.compute(), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.SSIM(), "max_value is None"),
        (lambda: jm.SSIM(max_value=0.0), "max_value is 0.0"),
        (lambda: jm.SSIM(max_value=1.0, window="box"), "window is 'box'"),
        (lambda: jm.SSIM(max_value=1.0, window_size=8), "window_size is 8"),
        (lambda: jm.SSIM(max_value=1.0, k2=0.0), "must be above 0"),
        (lambda: jm.MultiScaleSSIM(max_value=1.0, betas=()), "betas are"),
    ],
)
def test_impossible_configurations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_shapes_are_refused():
    preds, targets = frozen_images()
    metric = jm.SSIM(max_value=1.0)
    with pytest.raises(ValueError, match="nothing is broadcast"):
        metric.update(preds=preds[:1], targets=targets)
    with pytest.raises(ValueError, match=r"images are \[..., height, width, channels"):
        metric.update(preds=preds[0, :, :, 0], targets=targets[0, :, :, 0])
    with pytest.raises(ValueError, match="smaller than the window of 11"):
        metric.update(preds=preds[:, :8], targets=targets[:, :8])


def slices_of_sums(metric):
    """Count slices, in a loop of the compiled update, of sums of the same loop.

    Each of them computes the sum anew. A loop of a fusion is printed as a computation,
    whose operands are its parameters if they are stored.
    """
    images = jax.ShapeDtypeStruct((2, 64, 64, 3), np.float32)
    update = jax.jit(lambda metric, x, y: metric.update(preds=x, targets=y))
    text = update.lower(metric.empty(), images, images).compile().as_text()
    number, slices = 0, 0
    for loop in re.split(r"\n\n", text):
        kinds = dict(re.findall(r"%(\S+) = \S+ ([\w-]+)\(", loop))
        for operand in re.findall(r" slice\((?:\S+ )?%([\w.-]+)\)", loop):
            slices += 1
            number += "fused" in loop.split("(")[0] and kinds.get(operand) == "add"
    assert slices > 11, "the windows are not sums of slices, or are printed otherwise"
    return number


METRICS = (
    jm.SSIM(max_value=1.0),
    jm.SSIM(max_value=1.0, window="uniform"),
    jm.MultiScaleSSIM(max_value=1.0, betas=(0.5, 0.5)),
)


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_sums_along_the_height_are_stored(metric):
    assert slices_of_sums(metric) == 0


def test_fields_apart_would_sum_along_the_height_at_each_step_along_the_width(
    monkeypatch,
):
    def apart(fields, kernel, channels):
        columns = [_structure._shifted_sum(x, kernel, -2, 1) for x in fields]
        return [_structure._shifted_sum(x, kernel, -1, channels) for x in columns]

    monkeypatch.setattr(_structure, "_windowed", apart)
    assert slices_of_sums(jm.SSIM(max_value=1.0)) > 40
