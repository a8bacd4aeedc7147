"""Max, Min and Last: NaN, infinities, masks and order."""

import math

import jax
import numpy as np
import pytest
from support.forms import mesh_of

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)


NAN = float("nan")
METRICS = (jm.Min, jm.Max, jm.Last)


def test_extremes_and_last_by_hand():
    outputs = dict(values=[[2.0, -1.0], [5.0, 3.0]])
    assert [jm.evaluate(metric(), **outputs) for metric in METRICS] == [-1, 5, 3]


@pytest.mark.parametrize("metric", METRICS)
def test_without_data_the_value_is_nan(metric):
    assert math.isnan(metric().compute())
    assert math.isnan(jm.evaluate(metric(), values=[2.0], mask=[False]))


@pytest.mark.parametrize("position", range(3))
def test_a_nan_makes_the_extremes_nan_wherever_it_is(position):
    values = np.where(np.arange(3) == position, NAN, 1.0)
    assert math.isnan(jm.evaluate(jm.Max(), values=values))
    assert math.isnan(jm.evaluate(jm.Min(), values=values))


def test_infinities_are_values():
    assert jm.evaluate(jm.Max(), values=[1.0, math.inf]) == math.inf
    assert jm.evaluate(jm.Min(), values=[math.inf]) == math.inf


@pytest.mark.parametrize("metric", METRICS)
def test_a_nan_under_the_mask_is_not_read(metric):
    assert jm.evaluate(metric(), values=[1.0, NAN], mask=[True, False]) == 1.0


EDGES = [-(2**31), -(2**24) - 1, -1, 0, 1, 2**24 + 1, 2**31 - 1]


@pytest.mark.parametrize("form", ["eager", "jit", "deferred"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint32])
def test_integers_are_exact_and_read_as_integers(metric, dtype, form):
    limits = np.iinfo(dtype)
    edges = [x for x in EDGES + [2**32 - 1] if limits.min <= x <= limits.max]
    for chosen in ([x] for x in edges), [edges, edges[::-1]]:
        for values in chosen:
            batch = np.repeat(np.array(values, dtype), 8 if form == "deferred" else 1)
            state = metric().deferred(mesh_of()) if form == "deferred" else metric()
            update = jax.jit(lambda m, x: m.update(values=x))
            if form == "eager":
                state = state.update(values=batch)
            else:
                state = update(state, batch)
            expected = {jm.Min: min, jm.Max: max, jm.Last: lambda x: x[-1]}[metric]
            value = state.compute()
            assert isinstance(value, int | np.int64) and value == expected(values)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_infinity_beyond_the_integers_is_the_extreme(sign):
    metric = {1: jm.Max, -1: jm.Min}[sign]()
    state = metric.update(values=[5])
    assert state.update(values=[-sign * math.inf]).compute() == 5
    assert state.update(values=[sign * math.inf]).compute() == sign * math.inf


@pytest.mark.parametrize("metric", METRICS)
def test_integers_and_floats_mix_exactly(metric):
    state = metric().update(values=np.int32(2**24 + 1)).update(values=0.5)
    expected = {jm.Min: 0.5, jm.Max: 2**24 + 1, jm.Last: 0.5}[metric]
    assert type(state.compute()) is np.float64 and state.compute() == expected
    assert math.isnan(state.update(values=NAN).compute())
    last = jm.Last().update(values=NAN).update(values=np.uint32(2**32 - 1))
    assert last.compute() == 2**32 - 1


@pytest.mark.parametrize("metric", METRICS)
def test_masked_integers_are_not_read(metric):
    values = np.array([3, 7, 2**31 - 1, -(2**31)], np.int32)
    mask = [True, True, False, False]
    expected = {jm.Min: 3, jm.Max: 7, jm.Last: 7}[metric]
    assert jm.evaluate(metric(), values=values, mask=mask) == expected
    assert math.isnan(jm.evaluate(metric(), values=values, mask=[False] * 4))


@pytest.mark.parametrize("metric", METRICS)
def test_an_ensemble_of_integers_without_data_in_one_member(metric):
    values = np.array([[2**24 + 1], [5]], np.int32)
    masks = np.array([[True], [True]])
    update = jax.vmap(lambda x, m: metric().update(values=x, mask=m))
    assert update(values, masks).compute().tolist() == [2**24 + 1, 5]
    masks[1] = False
    np.testing.assert_array_equal(update(values, masks).compute(), [2**24 + 1, NAN])


@pytest.mark.parametrize("metric", METRICS)
def test_under_jit_integers_are_rounded_to_float32(metric):
    value = jax.jit(lambda x: metric().update(values=x).compute())(np.int32(2**24 + 1))
    assert value.dtype == np.float32 and value == 2**24


def test_last_keeps_its_value_through_a_masked_batch():
    metric = jm.Last().update(values=[1.0, 2.0], mask=[True, False])
    assert metric.update(values=[8.0, 9.0], mask=[False, False]).compute() == 1.0
    assert metric.update(values=3.0).compute() == 3.0


@pytest.mark.parametrize("metric", [jm.Last("x"), jm.ByGroup(jm.Last("x"))])
def test_of_deferred_values_the_last_is_of_the_latest_update(metric):
    """Whichever device it lies on: the rows of the others may be masked then."""
    rows = np.arange(8)

    def computed(*updates):
        state = metric.deferred(mesh_of())
        for x, mask in updates:
            outputs = dict(x=np.float32(x), mask=mask, domain=np.zeros(8, np.int32))
            read = metric.reads().names
            state = state.update(**{n: v for n, v in outputs.items() if n in read})
        return next(iter(jax.tree.leaves(state.compute())))

    whole = (rows, rows >= 0)
    assert computed(whole, (rows + 100, rows < 5)) == 104
    assert computed(whole, (rows + 100, rows < 5), (rows, rows < 0)) == 104
    assert computed((rows, rows == 7), (rows + 100, rows == 0), whole) == 7


def test_of_deferred_values_one_for_all_devices_comes_after_an_array():
    rows = np.arange(8.0)
    state = jm.Last("x").deferred(mesh_of()).update(x=rows).update(x=100.0)
    assert state.compute() == 100
    assert state.update(x=rows).compute() == 7
