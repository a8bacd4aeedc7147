import math

import numpy as np
import pytest

from jaxmetrics.record import recent_level
from jaxmetrics.record._recent import RecentValues


def test_without_records_there_is_no_level():
    assert recent_level(np.zeros(0), np.zeros(0)) is None


@pytest.mark.parametrize(
    ("count", "spacing", "start", "steps"),
    [
        *((1, 10, 10, 1), (4, 10, 10, 40), (100, 10, 910, 100)),
        *((400, 5, 1905, 100), (20_000, 1, 19_801, 200)),
    ],
)
def test_the_level_is_of_the_last_records(count, spacing, start, steps):
    x = spacing * np.arange(1, count + 1)
    level = recent_level(x, np.where(x < start, 9.0, 1.0))
    assert level == (1.0, start, x[-1], steps)


def test_a_level_is_nan_where_most_values_are_not_finite():
    x, y = np.arange(20), np.ones(20)
    y[12:17] = math.nan
    assert recent_level(x, y).median == 1.0
    y[12:18] = math.inf
    assert math.isnan(recent_level(x, y).median)


@pytest.mark.parametrize(
    "damage",
    [
        *(None, {"steps": [1]}, {"values": ["x"]}, {"first": 0.5}, {"floor": "1"}),
        {"steps": [2, 1], "values": [1.0, 2.0]},
        {"steps": list(range(201)), "values": [0.5] * 201},
    ],
)
def test_a_damaged_state_is_not_used(damage):
    values = RecentValues()
    values.add(1, 0.5)
    values.add(2, math.nan)
    assert RecentValues.from_state(values.state()).level() == 0.5
    assert RecentValues.from_state(damage and values.state() | damage) is None


@pytest.mark.parametrize("count", [50, 300])
def test_a_level_is_unknown_where_the_first_step_is(count):
    values = RecentValues(floor=1000)
    for step in range(1000, 1000 + count):
        values.add(step, 0.5)
    assert not values.is_known and values.level() is None


def test_a_value_of_a_step_that_may_be_incomplete_does_not_count():
    values = RecentValues()
    for step in range(100):
        values.add(step, 1.0)
    values.make_unknown(99)
    for step in (99, *range(100, 109)):
        values.add(step, 2.0)
    assert values.level() is None
    values.add(109, 2.0)
    assert values.level() == 2.0
    values.cut_after(49)  # of later steps there are no values any more
    for step in range(50, 60):
        values.add(step, 3.0)
    assert values.level() == 3.0


def test_a_series_that_was_cut_off_whole_begins_again():
    values = RecentValues()
    values.add(10, 1.0)
    values.cut_after(5)
    x = np.arange(100, 500)
    for step in x.tolist():
        values.add(step, float(step))
    assert values.level() == recent_level(x, x.astype(float)).median
