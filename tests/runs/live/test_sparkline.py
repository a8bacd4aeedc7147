import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.runs.live._sparkline import RunningMeans, aligned, sparkline


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([3.0], "▄"),
        ([math.nan, math.nan], "××"),
        ([-1e308, 1e308, 0.0], "▁█▅"),
        (list(range(8)), "▁▂▃▄▅▆▇█"),
    ],
)
def test_bars_are_scaled_from_minimum_to_maximum(values, line):
    assert sparkline(np.array(values, np.float64)) == line


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([1e-4, 1e-3, 1e-2, 1e-1], "▁▃▆█"),
        ([1.0, 2.0, 10.0], "▁▂█"),
        ([-1.0, 10.0, 100.0], "▁▂█"),
    ],
)
def test_positive_values_over_a_wide_range_are_scaled_by_logarithm(values, line):
    assert sparkline(np.array(values)) == line


def of(steps, values):
    means = RunningMeans()
    means.add(np.asarray(steps, np.int64), np.asarray(values, np.float64))
    return means


def test_means_are_over_windows_of_equally_many_steps():
    values = np.sin(np.arange(1024) / 1e5)
    expected = [part.mean() for part in np.split(values, 128)]
    np.testing.assert_allclose(of(range(1024), values).means(128), expected)


STEPS = st.lists(st.integers(0, 2**40) | st.integers(0, 500), min_size=1, max_size=80)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(1, 128), st.integers(1, 9))
def test_no_value_is_lost_in_whatever_order_steps_come(steps, cells, batch):
    means = RunningMeans()
    for start in range(0, len(steps), batch):
        part = np.array(steps[start : start + batch], np.int64)
        means.add(part, part.astype(np.float64))
    assert means._counts.sum() == len(steps)
    first, last = means.extent()
    assert first <= min(steps) and last <= max(steps) < last + means._size
    result = means.means(cells)
    assert len(result) <= cells and result.min() >= 0
    np.testing.assert_allclose(means.means(1), np.mean(steps))


def test_series_are_aligned_by_step():
    dense = of(range(1000), np.arange(1000) == 710)
    rare, late = of([0, 710], [1.0, 2.0]), of([710, 999], [5.0, 1.0])
    lines = [sparkline(means) for means in aligned([dense, rare, late], 10)]
    assert lines == ["▁▁▁▁▁▁▁█▁▁", "▁      █  ", "       █ ▁"]


def test_a_few_values_take_no_more_room_than_they_need():
    lines = aligned([of([100, 200, 300], [1, 2, 3]), of([300], [1])], 60)
    assert [*map(sparkline, lines)] == ["▁▅█", "  ▄"]
    assert [*map(len, aligned([RunningMeans(), RunningMeans()], 60))] == [0, 0]


def test_a_window_with_a_value_that_is_not_finite_is_nan():
    values = np.zeros(1_000_000)
    values[777] = math.inf
    means = RunningMeans()
    for part in np.array_split(np.arange(len(values)), 37):
        means.add(part, values[part])
    result = means.means(40)
    assert len(result) <= 40
    assert np.isnan(result[0]) and np.isfinite(result[1:]).all()


def test_an_overflowing_sum_is_nan():
    assert np.isnan(of(range(1000), np.full(1000, 1e308)).means(1)).all()


def test_means_of_equal_values_are_flat_whatever_their_rounding():
    means = of(range(20_000), np.full(20_000, 0.41))
    assert len(set(sparkline(means.means(12)))) == 1
    assert len(set(sparkline(np.array([1.0, 1.0 + 1e-6])))) == 2
