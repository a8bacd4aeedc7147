"""Mean, Sum and Count: weights, masks and exactness over many merges."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import lax
from support.samples import observed

import jaxmetrics as jm

NAN = float("nan")


def updated_many_times(metric, times, **outputs):
    """Return the state after the same batch many times, in one program."""

    @jax.jit
    def run(state, outputs):
        return lax.fori_loop(0, times, lambda _, s: s.update(**outputs), state)

    return run(metric, outputs)


def test_mean_weights_values_not_batches():
    metric = jm.Mean("loss").update(loss=[1.0, 2.0, 3.0]).update(loss=7.0)
    assert metric.compute() == 13 / 4


def test_a_weighted_mean_divides_by_the_sum_of_weights():
    outputs = dict(values=[1.0, 3.0], weights=[0.5, 1.0])
    assert jm.evaluate(jm.Mean(weighted=True), **outputs) == 3.5 / 1.5
    assert jm.evaluate(jm.Sum(weighted=True), **outputs) == 3.5


def test_a_weight_applies_to_all_values_of_its_row():
    outputs = dict(values=[[1.0, 3.0], [5.0, 5.0]], weights=[1.0, 0.5])
    mean = jm.evaluate(jm.Mean(weighted=True), **outputs)
    assert mean == (1 + 3 + 2.5 + 2.5) / 3


def test_count_and_sum_without_data_are_zero_and_the_mean_is_nan():
    assert jm.Count().compute() == 0 and jm.Sum().compute() == 0
    assert math.isnan(jm.Mean().compute())
    assert math.isnan(jm.evaluate(jm.Mean(), values=[2.0], mask=[False]))


def test_count_counts_every_entry():
    assert jm.evaluate(jm.Count(), values=[[2.0, -1.0], [5.0, 3.0]]) == 4


def test_an_infinite_value_makes_the_mean_infinite():
    assert jm.evaluate(jm.Mean(), values=[1.0, math.inf]) == math.inf


def test_a_nan_under_the_mask_is_not_read():
    outputs = dict(values=[1.0, NAN], mask=[True, False])
    assert jm.evaluate(jm.Mean(), **outputs) == 1.0
    assert jm.evaluate(jm.Sum(), **outputs) == 1.0


def test_a_mask_of_fractions_is_refused_and_the_error_points_to_weights():
    with pytest.raises(TypeError, match="must be bool.*weights="):
        jm.evaluate(jm.Mean(), values=[1.0, 3.0], mask=[0.5, 1.0])


@pytest.mark.parametrize("start", [2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**61])
def test_a_count_stays_exact_beyond_float32_and_int32(start):
    metric = jm.Mean().replace(count=start)
    metric = updated_many_times(metric, 1000, values=np.float32([0.0]))
    assert metric.plain()["count"] == start + 1000


def test_a_mean_does_not_drift_over_five_million_merges():
    metric = updated_many_times(jm.Mean(), 5_000_000, values=np.float32(0.1))
    assert metric.plain()["count"] == 5_000_000
    assert metric.compute() == pytest.approx(float(np.float32(0.1)), rel=1e-9)


def test_bfloat16_values_are_summed_in_float32():
    metric = updated_many_times(jm.Mean(), 1000, values=jnp.full(1, 3, jnp.bfloat16))
    assert metric.compute() == 3.0 and metric.plain()["count"] == 1000


def test_small_terms_are_kept_next_to_a_large_constant_state():
    update = jax.jit(lambda x: jm.Sum().replace(total=1e8).update(values=x))
    assert update(0.1).compute() == 1e8 + float(np.float32(0.1))
    assert update(0.1).update(values=-1e8).compute() == float(np.float32(0.1))


@pytest.mark.parametrize("offset", [0, 1e4])
def test_the_standard_error_of_a_mean_does_not_cancel_at_an_offset(offset):
    """Trap 6.5."""
    values = np.random.default_rng(0).normal(offset, 1, 20_000).astype(np.float32)
    value = observed(jm.Mean(stderr=True), 10, values=values).compute()
    values = values.astype(float)
    assert value["mean"] == pytest.approx(values.mean(), rel=1e-9, abs=1e-8)
    assert value["stderr"] == pytest.approx(scipy.stats.sem(values), rel=1e-6)


def test_a_standard_error_by_hand_and_of_few_values():
    """The values 1, 3, 5 have s^2 = 4."""
    metric = jm.Mean(stderr=True)
    outputs = dict(values=[1.0, 3.0, NAN, 5.0], mask=[True, True, False, True])
    value = jm.evaluate(metric, **outputs)
    assert value == {"mean": 3, "stderr": pytest.approx(2 / math.sqrt(3))}
    for state in (metric, metric.update(values=[1.0])):
        assert math.isnan(state.compute()["stderr"])
    assert math.isnan(metric.compute()["mean"])
    assert metric.update(values=[1.0]).compute()["mean"] == 1


def test_the_number_of_values_of_a_standard_error_is_exact():
    metric = jm.Mean(stderr=True).replace(total=(2**24 + 1, 2.0, 4.0 * (2**24 + 1)))
    value = metric.update(values=[2.0]).compute()
    assert value["stderr"] == pytest.approx(2 * 2**-12, rel=1e-6)
    assert metric.plain()["total"].n == 2**24 + 1


def test_without_the_option_the_state_is_a_sum_and_a_count():
    paths, _ = jax.tree_util.tree_flatten_with_path(jm.Mean())
    sizes = [(jax.tree_util.keystr(path), leaf.nbytes) for path, leaf in paths]
    assert sizes == [(".total", 8), (".count", 8)]


def test_the_standard_error_of_a_weighted_mean():
    """Of n equal weights, and of values of weight 0, it is that without weights."""
    rng = np.random.default_rng(0)
    values, weights = rng.normal(1e3, 1, 50), rng.uniform(0, 2, 50)
    weights[:10] = 0
    metric = jm.Mean(weighted=True, stderr=True)
    state = jax.tree.map(np.asarray, metric)
    for part in (slice(0, 7), slice(7, 30), slice(30, 50)):
        batch = dict(values=values[part], weights=weights[part])
        state = state.update(**batch)
    mean = np.average(values, weights=weights)
    variance = np.average((values - mean) ** 2, weights=weights)
    n = weights.sum() ** 2 / (weights**2).sum()
    value = state.compute()
    assert value["mean"] == pytest.approx(mean, rel=1e-7)
    assert value["stderr"] == pytest.approx(np.sqrt(variance / (n - 1)), rel=1e-5)
    error = jm.StandardError(weighted=True)
    error = jm.evaluate(error, values=values, weights=weights)
    assert error == pytest.approx(value["stderr"], rel=1e-5)


def test_one_weighted_value_has_no_standard_error():
    metric = jm.Mean(weighted=True, stderr=True)
    for weights in ([0.1], [0.7, 0.0]):
        values = [3.0, 5.0][: len(weights)]
        value = jm.evaluate(metric, values=values, weights=weights)
        assert value["mean"] == 3 and math.isnan(value["stderr"])


def test_a_standard_error_has_no_exact_form():
    with pytest.raises(TypeError, match="no reproducible form: its leaf 'total'"):
        jm.Mean(stderr=True).reproducible()


def test_the_mean_of_the_mask_is_the_share_that_counts():
    mask = np.array([True, False, True, True])
    assert jm.evaluate(jm.Mean("mask"), mask=mask) == 0.75
    named = jm.Mean("mask").on(mask="valid")
    assert named.update(mask=mask, valid=~mask).compute() == 0
    with pytest.raises(TypeError, match="takes no mask"):
        jm.Masked(jm.Mean("mask")).update(mask=mask, valid=mask)
