"""Mean, Sum and Count: weights, masks and exactness over many merges."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

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
