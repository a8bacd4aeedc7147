"""Variance and Std: hand-computed values, and precision at a large mean."""

import math

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

NAN = float("nan")


def test_variance_by_hand():
    values = [1.0, 2.0, 3.0, 6.0]  # mean 3, squares 4 + 1 + 0 + 9
    assert jm.evaluate(jm.Variance(), values=values) == pytest.approx(14 / 4)
    assert jm.evaluate(jm.Variance(ddof=1), values=values) == pytest.approx(14 / 3)
    std = jm.evaluate(jm.Std(ddof=1), values=values)
    assert std == pytest.approx(math.sqrt(14 / 3))


def test_weighted_variance_by_hand():
    outputs = dict(values=[0.0, 4.0], weights=[3.0, 1.0])  # mean 1
    variance = jm.evaluate(jm.Variance(weighted=True), **outputs)
    assert variance == pytest.approx((3 * 1 + 9) / 4)


@pytest.mark.parametrize("metric", [jm.Variance, jm.Std])
def test_without_data_the_value_is_nan(metric):
    assert math.isnan(metric().compute())
    assert math.isnan(jm.evaluate(metric(), values=[2.0], mask=[False]))


def test_a_nan_under_the_mask_is_not_read():
    assert jm.evaluate(jm.Variance(), values=[1.0, NAN], mask=[True, False]) == 0.0


@pytest.mark.parametrize("metric", [jm.Variance, jm.Std])
def test_the_unbiased_variance_of_one_value_is_nan(metric):
    assert jm.evaluate(metric(), values=[5.0]) == 0.0
    assert math.isnan(jm.evaluate(metric(ddof=1), values=[5.0]))
    state = metric(ddof=1).update(values=[5.0])
    assert math.isnan(jax.jit(lambda state: state.compute())(state))


def test_ddof_with_weights_is_refused():
    with pytest.raises(ValueError, match="weighted=True goes with ddof=0, got 1"):
        jm.Std(ddof=1, weighted=True)


def test_a_masked_batch_leaves_the_variance_of_huge_values():
    metric = jm.Variance().update(values=[1e20, 1e20])  # whose square overflows
    assert metric.compute() == 0.0
    assert metric.update(values=[1.0], mask=[False]).compute() == 0.0


def values_at(offset, size=80_000):
    return np.random.default_rng(5).normal(offset, 1, size).astype(np.float32)


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
def test_the_variance_does_not_cancel_at_an_offset(offset):
    values = values_at(offset)
    metric = jm.Variance()
    update = jax.jit(lambda state, x: state.update(values=x))
    for batch in np.split(values, 10):
        metric = update(metric, batch)
    expected = values.astype(np.float64).var()
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("form", ["auto", "reduce", "deferred"])
def test_the_variance_does_not_cancel_over_devices(form):
    values = values_at(1e6)
    mesh = Mesh(np.array(jax.devices()), ("data",))
    batches = jax.device_put(np.split(values, 10), NamedSharding(mesh, P("data")))

    def reduced(metric, values):
        return metric.merge(metric.from_model_output(values=values).reduce("data"))

    update = jax.jit(lambda state, x: state.update(values=x))
    if form == "reduce":
        mapped = jax.shard_map(
            reduced, mesh=mesh, in_specs=(P(), P("data")), out_specs=P()
        )
        update = jax.jit(mapped)
    empty = jm.Variance()
    metric = empty.deferred(mesh) if form == "deferred" else empty.place(mesh)
    for batch in batches:
        metric = update(metric, batch)
    expected = values.astype(np.float64).var()
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", [jm.Variance, jm.Std])
def test_a_negative_ddof_is_refused_by_the_metric_that_was_written(metric):
    with pytest.raises(ValueError, match=f"^{metric.__name__}: ddof is -1"):
        metric(ddof=-1)


@pytest.mark.parametrize("offset", [1 << 24, 1 << 30, 4_200_000_000, -(1 << 31)])
@pytest.mark.parametrize(
    "name, metric",
    [
        ("variance", jm.Variance("n")),
        ("variance", jm.Moments("n")),
        ("stderr", jm.Mean("n", stderr=True)),
    ],
)
def test_integers_are_rounded_after_the_mean_is_subtracted(name, metric, offset):
    """The variance of large integers, such as times in seconds, is not lost."""
    small = np.array([0, 1, 3, 3, 8])
    kind = np.uint32 if offset > 1 << 30 else np.int32

    def spread(numbers):
        value = jm.evaluate(metric, n=numbers.astype(kind))
        return value[name] if isinstance(value, dict) else value

    expected = jm.evaluate(jm.Variance("n"), n=small)
    expected = np.sqrt(expected / 4) if name == "stderr" else expected
    assert spread(small + offset) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20])
def test_weights_whose_squares_float32_cannot_hold_have_no_standard_error(scale):
    metric = jm.Mean("x", weighted=True, stderr=True)
    weights = np.float32([1, 2, 3]) * np.float32(scale)
    value = jm.evaluate(metric, x=[1.0, 2.0, 3.0], weights=weights)
    assert value["mean"] == pytest.approx(14 / 6, rel=1e-6)
    assert np.isnan(value["stderr"])
