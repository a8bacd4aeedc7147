"""Points, windows and texts of the series that a chart is sent."""

import math

import numpy as np
import pytest
from support.runs import write_run

from jaxmetrics.runs import Run
from jaxmetrics.runs.view._series import heatmap, line_data

NAN, INF = math.nan, math.inf
KEYS = [f"grad/norm/block/{n}" for n in range(3)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    draw = np.random.default_rng(0)
    rows = []
    for step in sorted(draw.choice(np.arange(10, 200), 60, replace=False).tolist()):
        values = dict(zip(KEYS, draw.normal(size=3).tolist()))
        values[KEYS[int(draw.integers(3))]] = draw.choice([NAN, INF, -INF])
        values.pop(KEYS[int(draw.integers(3))])
        rows.append({"step": step, "split": "train", **values})
    return Run.load(write_run(tmp_path_factory.mktemp("run"), rows))


def expected_heatmap(run, columns, low, high):
    """Return the middles, the values and the largest positions, value by value."""
    ends = [step for key in KEYS for step in run[key][0][[0, -1]].tolist()]
    low = min(ends) if low is None else low
    high = max(ends) if high is None else high
    width = (high - low) / columns
    values, largest = {}, []
    for key in KEYS:
        best = (-INF, NAN)
        for step, value in zip(*(column.tolist() for column in run[key])):
            if low <= step <= high and math.isfinite(value):
                place = min(int((step - low) / width), columns - 1)
                cell = place, key
                values[cell] = max(values.get(cell, -INF), value)
                best = max(best, (value, step), key=lambda pair: pair[0])
        largest.append(best[1])
    places = sorted({place for place, _ in values})
    middles = [round(low + (place + 0.5) * width, 6) for place in places]
    table = [[values.get((place, key), NAN) for place in places] for key in KEYS]
    return middles, table, largest, width


@pytest.mark.parametrize("columns", [1, 7, 1000])
@pytest.mark.parametrize("limits", [(None, None), (50, None), (None, 120), (37, 101)])
def test_a_map_has_the_largest_value_of_each_window(run, columns, limits):
    positions = run.steps.astype(np.float64)
    answer = heatmap(run, KEYS, positions, columns, *limits)
    middles, table, largest, width = expected_heatmap(run, columns, *limits)
    assert answer["x"].tolist() == middles and answer["width"] == width
    np.testing.assert_array_equal(answer["values"], np.float32(table))
    np.testing.assert_array_equal(answer["largest"], largest)
    assert answer["layers"] == ["block/0", "block/1", "block/2"]


def test_a_map_of_one_position_or_none(run):
    (first, *_), steps = KEYS, run.steps.astype(np.float64)
    here = float(run[first][0][0])
    one = heatmap(run, [first], steps, 5, here, here)
    assert one["width"] == 1.0 and len(one["x"]) <= 1
    none = heatmap(run, [first], np.full(60, NAN), 5)
    assert none["layers"] == ["block/0"] and none["width"] == 0
    assert [np.size(none[name]) for name in ("x", "values", "largest")] == [0, 0, 1]


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        (None, None, [0, 2, 4, 6, 8]),
        (4, 6, [2, 4, 6, 8]),
        (3, 5, [2, 4, 6]),
        (0, 0, [0, 2]),
        (8, 9, [6, 8]),
        (9, None, [8]),
        (None, -1, [0]),
    ],
)
def test_a_range_has_a_point_on_each_side(start, end, kept):
    x = np.arange(0.0, 10.0, 2.0)
    data = line_data(x, x / 2, 100, start, end)
    assert data["x"].tolist() == kept and data["y"].tolist() == [k / 2 for k in kept]
    assert (data["count"], data["missing"]) == (len(kept), 0)


def test_values_that_are_not_finite_are_missing():
    data = line_data(np.arange(4.0), np.array([1.0, NAN, INF, -INF]), 100)
    assert data["missing"] == 3 and data["count"] == 4
    np.testing.assert_array_equal(data["y"], [1.0, NAN, NAN, NAN])
    assert "means" not in data and "end" not in data and "since" not in data


@pytest.mark.parametrize(
    ("x", "sent", "kind"),
    [
        ([1.0, 2.0], [1, 2], "i"),
        ([1.0, 2.0**53 - 1], [1, 2**53 - 1], "i"),
        ([1.0, 2.0**53], [1.0, 2.0**53], "f"),
        ([0.5, 1 / 3], [0.5, 0.333333], "f"),
        ([1.0, 2.0000004], [1.0, 2.0], "f"),
        ([-1.0, 3.0], [-1, 3], "i"),
    ],
)
def test_positions_are_integers_or_rounded(x, sent, kind):
    data = line_data(np.array(x), np.ones(2), 100)
    assert data["x"].tolist() == sent and data["x"].dtype.kind == kind


@pytest.mark.parametrize(
    ("y", "sent", "dtype"),
    [
        ([0.0, 1 / 3], [0.0, float(np.float32(1 / 3))], np.float32),
        ([NAN, 0.0], [NAN, 0.0], np.float32),
        ([1e37, -1e-36], [np.float32(1e37), np.float32(-1e-36)], np.float32),
        ([1e39, NAN, 1 / 3], [1e39, NAN, 0.3333333], np.float64),
        ([-1e39, 0.0], [-1e39, 0.0], np.float64),
        ([1e-40, 123456.789], [1e-40, 123456.8], np.float64),
    ],
)
def test_values_have_seven_digits_on_any_scale(y, sent, dtype):
    data = line_data(np.arange(float(len(y))), np.array(y), 100)
    np.testing.assert_array_equal(data["y"], sent)
    assert data["y"].dtype == dtype


def test_a_long_series_has_extremes_ends_and_means():
    y = np.sin(np.arange(1000.0))
    y[[0, 999]] = 0.5
    y[500] = 9.0
    data = line_data(np.arange(1000.0), y, 100)
    size = data["means"]["of"]
    windows = [y[n : n + size] for n in range(0, 1000, size)]
    means = [window.mean() for window in windows]
    np.testing.assert_allclose(data["means"]["y"], means, rtol=1e-6)
    assert {0, 500, 999} <= set(data["x"].tolist()) and len(data["x"]) <= 120
    for window, n in zip(windows, range(0, 1000, size)):
        assert n + int(window.argmax()) in data["x"]
        assert n + int(window.argmin()) in data["x"]
    assert line_data(np.arange(100.0), y[:100], 100)["x"].tolist() == [*range(100)]
