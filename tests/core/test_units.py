"""Values in any unit and counted from any zero: no limit of float32 shows.

Large integers, such as times in seconds, are subtracted before they are rounded to
float32; tiny and huge values do not underflow or overflow where they are squared.
"""

import functools

import cases
import cases.detection
import cases.image
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.laws import draw, host

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)

FIRST = 2**30 + 1  # float32 rounds integers around it to multiples of 64
OF_IMAGES = functools.partial(cases.image.images, rows=2)
PAIRS = {"preds", "targets", "lower", "upper"}
FLOATS = {
    "spectral angle": "an angle is right to 1e-7",
    "cosine similarity": "as above",
    "spearman correlation": "values are ranked as float32",
    "kendall tau": "as above",
    "si-sdr": "the scale of a signal is right to 1e-7",
    "permutation invariant": "as above",
    "median absolute error": "the row counts errors up to 4",
    "max error": "the row's reference rounds to float32",
    "r2 weighted by variance, one": "scikit-learn rounds the mean of a constant",
    "ssim": "the row's reference cancels in float64; see below",
    "multi-scale ssim": "as above",
}


def is_counted(case):
    drawn = draw(case, 1)
    pairs = [x for name, x in drawn.items() if name in PAIRS]
    named = any(case.name.startswith(name) for name in FLOATS)
    return len(pairs) > 1 and all(x.dtype == np.float32 for x in pairs) and not named


COUNTED = [case for case in cases.sample(3) if is_counted(case)]


def integers(case):
    """Return the outputs of a case as integers that float32 rounds."""
    return {
        name: FIRST + (100 * x).round().astype(np.int32) if name in PAIRS else x
        for name, x in draw(case, 16).items()
    }


@pytest.fixture(scope="module")
def of_integers():
    """The values of large integers, by one program."""
    outputs = {case.name: integers(case) for case in COUNTED}
    observe = jax.jit(
        lambda outputs: {
            case.name: case.metric.update(**outputs[case.name]) for case in COUNTED
        }
    )
    return {name: state.compute() for name, state in host(observe(outputs)).items()}


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: case.name)
def test_large_integers_are_not_rounded_before_they_are_subtracted(case, of_integers):
    wide = {name: np.float64(x) for name, x in integers(case).items()}
    value, right = of_integers[case.name], case.reference(**wide)
    np.testing.assert_allclose(value, right, rtol=2e-5, atol=2e-5)


def test_large_integers_of_images_have_their_contrast():
    small = {
        name: (50 * x).round()
        for name, x in OF_IMAGES(np.random.default_rng(5)).items()
    }
    window = np.full(5, 0.2)
    right = cases.image._terms(small["preds"], small["targets"], window)[1].mean()
    large = {name: FIRST + x.astype(np.int32) for name, x in small.items()}
    metric = jm.SSIM(max_value=1.0, window="uniform", window_size=5)
    assert jm.evaluate(metric, **large) == pytest.approx(right, abs=2e-5)


UNITS = 2.0**-100, 1.0, 2.0**100
OF_BOXES = functools.partial(cases.detection.boxes, rows=8)
OF_DETECTIONS = functools.partial(cases.detection.detections, rows=4)
LABELS = np.arange(24).reshape(1, 4, 6) % 5 // 2
WITHOUT_UNIT = {  # a metric by the unit of its values, and example outputs
    "psnr": (lambda unit: jm.PSNR(max_value=unit), OF_IMAGES),
    "psnr per image": (lambda unit: jm.PSNR(max_value=unit, per_image=True), OF_IMAGES),
    "ssim": (lambda unit: jm.SSIM(max_value=unit), OF_IMAGES),
    "multi-scale ssim": (
        lambda unit: jm.MultiScaleSSIM(
            max_value=unit, betas=(0.5, 0.5), window="uniform", window_size=5
        ),
        OF_IMAGES,
    ),
    "spectral angle": (lambda unit: jm.SpectralAngle(), OF_IMAGES),
    "moments": (
        lambda unit: jm.Compose(shape_of, value=jm.Moments("preds")),
        OF_IMAGES,
    ),
    "iou": (lambda unit: jm.BoxIoU(), OF_BOXES),
    "giou": (lambda unit: jm.BoxIoU(kind="giou"), OF_BOXES),
    "ciou": (lambda unit: jm.BoxIoU(kind="ciou"), OF_BOXES),
    "detections": (lambda unit: jm.DetectionAP(3, bins=16), OF_DETECTIONS),
    "crowds": (
        lambda unit: jm.DetectionAP(3, bins=16, crowds=True),
        functools.partial(cases.detection.detections_and_crowds, rows=4),
    ),
}
SCALED = {"preds", "targets", "pred_boxes", "target_boxes"}


def shape_of(value):
    return value["skewness"], value["kurtosis"]


def stderr(value):
    return value["stderr"]


def variance(value):
    return value["covariance"][0, 0]


@functools.cache
def in_units():
    """The values in each unit, by one program."""

    def states():
        found = {}
        for name, (make, outputs) in WITHOUT_UNIT.items():
            drawn = outputs(np.random.default_rng(5))
            for unit in UNITS:
                scaled = {
                    key: x * np.float32(unit) if key in SCALED else x
                    for key, x in drawn.items()
                }
                found[name, unit] = jax.tree.map(jnp.asarray, scaled), make(unit)
        return found

    made = states()
    outputs = {str(key): x for key, (x, _) in made.items()}
    observe = jax.jit(
        lambda outputs: {
            str(key): metric.update(**outputs[str(key)])
            for key, (_, metric) in made.items()
        }
    )
    observed = host(observe(outputs))
    return {key: observed[str(key)].compute() for key in made}


@pytest.mark.parametrize("name", WITHOUT_UNIT)
def test_a_ratio_does_not_depend_on_the_unit(name):
    tiny, usual, huge = (jax.tree.leaves(in_units()[name, unit]) for unit in UNITS)
    assert np.isfinite(usual).all() and np.any(usual)
    np.testing.assert_allclose(tiny, usual, rtol=1e-6)
    np.testing.assert_allclose(huge, usual, rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_a_distance_has_the_unit_of_the_pixels(unit):
    outputs = dict(preds=np.roll(LABELS, 1, 1), labels=LABELS)
    plain, other = (
        jm.evaluate(
            jm.HausdorffDistance(3, scores="preds", spacing=(x, 2 * x)), **outputs
        )
        for x in (1.0, unit)
    )
    assert plain > 0 and other == pytest.approx(plain * unit, rel=1e-6, abs=0)


@pytest.mark.parametrize("unit", [1e-30, 1e-20])
@pytest.mark.parametrize(
    "metric",
    [
        jm.R2(),
        jm.ExplainedVariance(),
        jm.RelativeSquaredError(),
        jm.NormalizedRootMeanSquaredError(normalization="std"),
        jm.PearsonCorrelation(),
        jm.ConcordanceCorrelation(),
        jm.Variance("targets"),
        jm.Variance("targets", weighted=True),
        jm.Std("targets", ddof=1),
        jm.Compose(stderr, value=jm.Mean("targets", stderr=True)),
        jm.Compose(variance, value=jm.Covariance("rows", size=2)),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_a_variance_that_float32_does_not_hold_is_no_constant(metric, unit):
    """The squares underflow: that all targets are equal would be wrong, R2 = 1 too."""
    targets = np.arange(8) * np.float32(unit)
    rows = targets.reshape(4, 2)
    outputs = dict(preds=targets[::-1].copy(), targets=targets, rows=rows)
    outputs |= dict(weights=np.ones(8)) if getattr(metric, "weighted", False) else {}
    assert np.isnan(jm.evaluate(metric, **outputs))
    scale = dict.fromkeys(("preds", "targets", "rows"), unit)
    outputs = {name: x / scale.get(name, 1) for name, x in outputs.items()}
    assert np.isfinite(jm.evaluate(metric, **outputs))


def test_a_variance_between_batches_that_float32_does_not_hold_is_no_constant():
    unit, ones = 1e-20, np.ones(4, np.float32)
    state = jm.Variance().update(values=unit * ones).update(values=-unit * ones)
    assert np.isnan(state.compute()) and np.isnan(jax.jit(lambda x: x.compute())(state))
    shards = jax.tree.map(
        lambda *x: jnp.stack(x),
        *(jm.Variance().update(values=sign * unit * ones) for sign in (1, -1)),
    )
    reduced = jax.vmap(lambda x: x.reduce("shards"), axis_name="shards")(shards)
    assert np.isnan(reduced.compute()).all()


@pytest.mark.parametrize("value", [1e-30, 1e-2])
def test_the_variance_of_equal_values_is_zero_in_any_batches(value):
    state = jm.Variance(weighted=True)
    for n in (1, 2, 4):
        batch = np.full(n, value, np.float32)
        state = state.update(values=batch, weights=np.float32([0.1, 3, 0.7, 0.3])[:n])
    assert state.compute() == 0
