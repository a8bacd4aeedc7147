"""Max, Min and Last: NaN, infinities, masks and order."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

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


def test_last_keeps_its_value_through_a_masked_batch():
    metric = jm.Last().update(values=[1.0, 2.0], mask=[True, False])
    assert metric.update(values=[8.0, 9.0], mask=[False, False]).compute() == 1.0
    assert metric.update(values=3.0).compute() == 3.0
