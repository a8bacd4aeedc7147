import numpy as np
import pytest

from jaxmetrics.figures import downsample, windows


def test_a_spike_among_a_million_points_is_kept():
    steps = np.arange(1_000_000)
    values = np.sin(steps / 1e5)
    values[654_321], values[777_777] = 9.0, np.nan
    x, y = downsample(steps, values)
    assert len(x) <= 4000 and np.all(np.diff(x) > 0)
    assert x[np.nanargmax(y)] == 654_321 and y[0] == values[0] and x[-1] == steps[-1]
    assert x[np.isnan(y)].tolist() == [777_777]


@pytest.mark.parametrize("points", [5, 7, 100])
@pytest.mark.parametrize("count", [1, 5, 6, 99, 101, 1234])
def test_extremes_and_both_ends_are_kept(count, points):
    y = np.random.default_rng(count).normal(size=count)
    x = np.arange(count) * 2
    kept_x, kept_y = downsample(x, y, points)
    assert len(kept_x) <= points or count <= points
    assert kept_y.max() == y.max() and kept_y.min() == y.min()
    assert (kept_x[0], kept_x[-1]) == (x[0], x[-1])
    assert np.array_equal(y[kept_x // 2], kept_y)
    if count <= points:
        assert len(kept_x) == count


def test_window_statistics_are_over_finite_values():
    y = np.array([1.0, 3.0, np.nan, 5.0, np.inf, np.nan, 7.0])
    pooled = windows(np.arange(7), y, 4)
    assert pooled.size == 2
    np.testing.assert_array_equal(pooled.x, [0.5, 2.5, 4.5, 6.0])
    np.testing.assert_array_equal(pooled.mean, [2.0, 5.0, np.nan, 7.0])
    np.testing.assert_array_equal(pooled.std, [1.0, 0.0, np.nan, 0.0])
    np.testing.assert_array_equal(pooled.low, [1.0, 5.0, np.nan, 7.0])
    np.testing.assert_array_equal(pooled.high, [3.0, 5.0, np.nan, 7.0])


def test_an_empty_series_has_no_windows():
    assert len(windows(np.zeros(0), np.zeros(0)).mean) == 0
