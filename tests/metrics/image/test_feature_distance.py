"""FID and KID of features: by hand, offsets, few rows, sets in turn, bad input."""

import math

import jax
import numpy as np
import pytest
import scipy.linalg
from cases.image import frechet, kernel_distance
from support.samples import observed

import jaxmetrics as jm

NAN = math.nan
METRICS = (
    jm.FrechetDistance(size=2),
    jm.KernelDistance(size=2, capacity=64),
)
every_metric = pytest.mark.parametrize(
    "metric", METRICS, ids=lambda metric: type(metric).__name__
)


def two_sets(rows, size, offset=0.0):
    """Return correlated features of different covariances and means."""
    rng = np.random.default_rng(3)
    sets = [
        rng.normal(0, 1, (rows, size)) @ rng.normal(0, 1, (size, size)) / 2 + shift
        for shift in (offset, offset + 0.5)
    ]
    features, reference = (x.astype(np.float32) for x in sets)
    return dict(features=features, reference_features=reference)


def in_float64(outputs):
    return {name: x.astype(float) for name, x in outputs.items()}


def test_frechet_by_hand():
    """Deviations of 1 and 3 from means of 2 and 5, with ddof=1: 2 and 18."""
    outputs = dict(features=[[1.0], [3.0]], reference_features=[[2.0], [8.0]])
    value = jm.evaluate(jm.FrechetDistance(size=1), **outputs)
    assert value == pytest.approx(9 + (math.sqrt(18) - math.sqrt(2)) ** 2)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_frechet_does_not_cancel_at_an_offset(offset):
    """Trap 6.5: with sums of squares in float32 the covariances were noise."""
    outputs = two_sets(2000, 8, offset)
    value = observed(jm.FrechetDistance(size=8), 10, **outputs).compute()
    assert value == pytest.approx(frechet(**in_float64(outputs)), rel=1e-5)


def test_frechet_of_the_same_set_is_zero():
    features = two_sets(500, 16)["features"]
    metric = jm.FrechetDistance(size=16)
    value = jm.evaluate(metric, features=features, reference_features=features)
    assert value == pytest.approx(0, abs=1e-5)


def test_frechet_with_fewer_rows_than_features_is_close():
    """A root of the product that is taken in float32 was complex here, or nan."""
    outputs = two_sets(6, 10)
    value = jm.evaluate(jm.FrechetDistance(size=10), **outputs)
    wide = in_float64(outputs)
    roots = [scipy.linalg.sqrtm(np.cov(x.T)).real for x in wide.values()]
    shared = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    mean = wide["features"].mean(0) - wide["reference_features"].mean(0)
    exact = (mean**2).sum() + sum(np.trace(x @ x) for x in roots) - 2 * shared
    assert value == pytest.approx(exact, rel=1e-5)


def test_kernel_by_hand():
    """Kernels (x y + 1)^3: within 2^3, and 0 + 1; between 2^3 of the one, 1."""
    outputs = dict(features=[[1.0], [1.0], [1.0]], reference_features=[[0.0], [1.0]])
    value = jm.evaluate(jm.KernelDistance(size=1, capacity=4), **outputs)
    assert value == 8 + 1 - 2 * (8 + 1) / 2


def test_kernel_pairs_of_one_row_do_not_count():
    """With them the estimate of one distribution would be biased upwards."""
    rng = np.random.default_rng(0)
    sets = rng.normal(0, 1, (40, 2, 32, 4)).astype(np.float32)
    metric = jm.KernelDistance(size=4, capacity=32)
    values = [jm.evaluate(metric, features=a, reference_features=b) for a, b in sets]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))
    assert min(values) < 0


def test_kernels_in_several_blocks_are_those_of_all_rows():
    outputs = two_sets(1500, 3)
    metric = jm.KernelDistance(size=3, capacity=1500).update(**outputs)
    exact = kernel_distance(**in_float64(outputs))
    assert metric.compute() == pytest.approx(exact, rel=1e-9)
    under_jit = jax.jit(lambda state: state.compute())(metric)
    assert under_jit == pytest.approx(exact, rel=1e-3)


def test_kernel_with_other_constants():
    outputs = two_sets(20, 2)
    metric = jm.KernelDistance(
        size=2, capacity=20, degree=1, gamma=1.0, coefficient=0.0
    )
    x, y = in_float64(outputs).values()
    within = [((z.sum(0) ** 2).sum() - (z * z).sum()) / (20 * 19) for z in (x, y)]
    between = (x.mean(0) * y.mean(0)).sum()
    assert jm.evaluate(metric, **outputs) == pytest.approx(sum(within) - 2 * between)


def test_more_rows_than_the_capacity_are_an_error_and_nan_under_jit():
    metric = jm.KernelDistance(size=2, capacity=4).update(**two_sets(5, 2))
    with pytest.raises(ValueError, match="capacity 4 saw 5 rows"):
        metric.compute()
    assert math.isnan(jax.jit(lambda state: state.compute())(metric))


def test_frechet_under_jit_says_that_it_needs_the_host():
    with pytest.raises(TypeError, match="computes on the host only"):
        jax.jit(lambda state: state.compute())(jm.FrechetDistance(size=2))


@every_metric
def test_sets_may_be_read_in_turn(metric):
    outputs = two_sets(30, 2)
    both = metric.update(**outputs).compute()
    state = metric.update(reference_features=outputs["reference_features"])
    assert math.isnan(state.compute())
    state = state.update(features=outputs["features"][:13])
    state = state.update(features=outputs["features"][13:])
    assert state.compute() == pytest.approx(both, rel=1e-5)
    with pytest.raises(TypeError, match="needs output 'features' or"):
        metric.update()


@every_metric
def test_rows_that_are_not_finite_are_invalid_and_masked_ones_are_not_read(metric):
    outputs = two_sets(12, 2)
    clean = jm.evaluate(metric, **{name: x[:10] for name, x in outputs.items()})
    spoiled = {name: x.copy() for name, x in outputs.items()}
    for name in spoiled:
        spoiled[name][10:] = [[NAN, 0.0], [0.0, math.inf]]
    state = metric.update(**spoiled)
    assert state.compute() == pytest.approx(clean, rel=1e-6)
    assert state.diagnostics() == {"invalid": 4}
    state = metric.update(**spoiled, mask=np.arange(12) < 10)
    assert state.compute() == pytest.approx(clean, rel=1e-6)
    assert state.diagnostics() == {}


@every_metric
@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_have_no_distance(metric, rows):
    outputs = two_sets(4, 2)
    mask = np.arange(4) < rows
    assert math.isnan(metric.compute())
    assert math.isnan(jm.evaluate(metric, **outputs, mask=mask))


@every_metric
def test_features_of_another_length_are_refused(metric):
    with pytest.raises(ValueError, match="last axis must have length 2"):
        metric.update(**two_sets(4, 3))


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="size is 0"):
        jm.FrechetDistance(size=0)
    with pytest.raises(ValueError, match="capacity and degree must be at least 1"):
        jm.KernelDistance(size=2, capacity=0)
    with pytest.raises(ValueError, match="capacity and degree must be at least 1"):
        jm.KernelDistance(size=2, capacity=4, degree=0)
