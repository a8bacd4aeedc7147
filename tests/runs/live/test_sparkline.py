import math

import numpy as np
import pytest

from jaxmetrics.runs.live._sparkline import RunningMeans, sparkline


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


def test_means_are_over_windows_of_equal_size():
    values = np.sin(np.arange(1000) / 1e5)
    means = RunningMeans()
    means.add(values)
    expected = [part.mean() for part in np.split(values, 125)]
    np.testing.assert_allclose(means.means(128), expected)


def test_a_window_with_a_value_that_is_not_finite_is_nan():
    values = np.zeros(1_000_000)
    values[777] = math.inf
    means = RunningMeans()
    for part in np.array_split(values, 37):
        means.add(part)
    result = means.means(40)
    assert len(result) <= 40
    assert np.isnan(result[0]) and np.isfinite(result[1:]).all()


def test_an_overflowing_sum_is_nan():
    means = RunningMeans()
    means.add(np.full(1000, 1e308))
    assert np.isnan(means.means(1)).all()


def test_means_of_equal_values_are_flat_whatever_their_rounding():
    means = RunningMeans()
    means.add(np.full(20_000, 0.41))
    assert len(set(sparkline(means.means(12)))) == 1
    assert len(set(sparkline(np.array([1.0, 1.0 + 1e-6])))) == 2
