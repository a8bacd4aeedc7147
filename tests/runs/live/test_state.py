import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxmetrics.runs.live import _state
from jaxmetrics.runs.live._state import Events, Metrics, Series


def test_the_memory_of_a_series_does_not_grow():
    values = np.sin(np.arange(1_000_000) / 1e5)
    values[123_456], values[777] = 9.0, math.inf
    series = Series()
    for part in np.array_split(np.arange(len(values)), 37):
        series.add(part, values[part])
    assert series.statistics.max == 9.0 and series.statistics.max_step == 123_456
    assert (series.statistics.count, series.statistics.nonfinite) == (1_000_000, 1)
    assert sum(len(steps) for steps, _ in series._waiting) < _state._WAITING
    kept = [series._steps, series._values, *vars(series._older_means).values()]
    assert sum(np.size(array) for array in kept) < 600


LINES = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from([0.5, 1.0, 2.0, math.nan, math.inf])),
    min_size=1,
    max_size=150,
)


@settings(max_examples=100, deadline=None)
@given(LINES, st.integers(1, 40))
@example([*((n, 1.0) for n in range(60)), (0, 9.0)], 1)
def test_a_step_that_comes_again_counts_once_in_any_order(lines, batch):
    metrics = Metrics()
    for start in range(0, len(lines), batch):
        rows = [{"step": n, "x": value} for n, value in lines[start : start + batch]]
        metrics.add(rows)
    steps = dict(lines)
    series = metrics.series["x"]
    finite = [value for value in steps.values() if math.isfinite(value)]
    values = series.to_dict()
    assert values["count"] == metrics.records == len(steps)
    assert (values["min"], values["max"]) == (
        min(finite, default=None),
        max(finite, default=None),
    )
    assert values["nonfinite"] == len(steps) - len(finite)
    np.testing.assert_equal((series.step, series.last), (max(steps), steps[max(steps)]))


NUMBERS = st.sampled_from([0.5, -1, 3, "NaN", "Infinity", True, None, 2**70])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"step": st.integers(0, 9) | st.sampled_from([True, "1", 2**63])},
        optional={
            "split": st.sampled_from(["train", "val", 3]),
            "time": NUMBERS,
            "tokens": NUMBERS,
            "x": NUMBERS,
            "y": NUMBERS,
            "kind": st.just("text"),
        },
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_a_block_of_rows_counts_as_its_single_rows_do(rows):
    in_block, one_by_one = Metrics(), Metrics()
    in_block.add(rows)
    for line, row in enumerate(rows, 1):
        one_by_one.add([row], line)
    for name in ("step", "seconds", "tokens", "records", "damaged", "damage"):
        np.testing.assert_equal(getattr(in_block, name), getattr(one_by_one, name))
    assert in_block.series.keys() == one_by_one.series.keys()
    for key, series in in_block.series.items():
        np.testing.assert_equal(series.to_dict(), one_by_one.series[key].to_dict())


def test_further_lines_of_the_last_records_of_a_long_block_are_no_new_records():
    metrics = Metrics()
    rows = [{"step": n, "split": "train", "x": 1.0} for n in range(300)]
    metrics.add(rows)
    metrics.add([{"step": 44, "split": "train", "y": 1.0}])
    assert metrics.records == 300
    metrics.add([{"step": 299, "split": "val", "y": 1.0}])
    assert metrics.records == 301
    metrics.add([{"step": 46, "split": "train"}, {"step": 45, "split": "train"}])
    assert metrics.records == 302  # 45 is older than the last 256


def test_replaced_extremes_do_not_stay():
    series = Series()
    series.add([1, 2], [5.0, -9.0])
    series.add([2], [1.0])
    statistics = series.statistics
    assert (statistics.min, statistics.min_step, statistics.count) == (1.0, 2, 2)
    np.testing.assert_array_equal(series.means().means(8), [5.0, 1.0])


def test_a_late_value_of_an_old_step_is_not_the_last_one():
    metrics = Metrics()
    rows = [{"step": n, "time": float(n), "tokens": n, "x": n} for n in range(200)]
    metrics.add([*rows, {"step": 3, "time": 3.5, "tokens": 3, "y": 7.0}])
    metrics.add([{"step": 3, "x": -5.0}])
    series = metrics.series["x"]
    assert (series.last, series.step, series.statistics.min) == (199, 199, -5.0)
    assert (metrics.step, metrics.seconds, metrics.tokens) == (199, 199.0, 199)
    assert metrics.series["y"].last == 7.0


def test_extremes_of_a_key_without_a_finite_value_are_unknown():
    series = Series()
    series.add([1], [math.nan])
    values = series.to_dict()
    assert (values["min"], values["max"], values["nonfinite"]) == (None, None, 1)


def test_a_text_is_the_last_value_and_is_not_counted():
    metrics = Metrics()
    rows = [{"step": 1, "note": 2.0}, {"step": 2, "note": "x" * 100}]
    metrics.add(rows)
    series = metrics.series["note"]
    assert (series.last, series.step, series.statistics.count) == ("x" * 80, 2, 1)
    metrics.add([{"step": 1, "note": 3.0}])
    assert series.last == "x" * 80
    metrics.add([{"step": 2, "note": 4.0}])
    assert series.last == 4.0


def test_an_array_is_shown_by_its_shape():
    metrics = Metrics()
    metrics.add([{"step": 1, "x": [[1, 2, 3], [4, 5, "NaN"]], "y": [{}]}])
    assert metrics.series["x"].last == "array 2×3"
    assert metrics.series["y"].last == "list"


def test_an_integer_beyond_the_range_of_floats_is_infinite():
    metrics = Metrics()
    metrics.add([{"step": 1, "x": 10**400, "y": -(10**400)}])
    assert metrics.series["x"].last == math.inf
    assert metrics.series["y"].last == -math.inf


def test_a_merged_alarm_counts_for_all_of_them():
    events = Events()
    events.add([{"event": "alarm", "repeated": {"count": 7}}, {"event": "alarm"}])
    assert events.alarms == 8


def test_alarms_and_the_end_of_an_attempt_are_taken_from_events():
    events = Events()
    alarm = {"event": "alarm", "attempt": 2}
    events.add([{"event": "start", "attempt": 2}, alarm, {"event": "close"}])
    assert (events.attempt, events.alarms, events.alarm) == (2, 1, alarm)
    assert events.closed


def test_a_text_is_the_last_value_unless_a_later_step_has_a_number():
    series = Series()
    series.add([5], [1.0])
    series.add_text(5, "diverged")
    assert series.last == "diverged"
    series.add_text(4, "earlier")
    assert series.last == "diverged"
    series.add([6], [2.0])
    series.add_text(5, "earlier")
    assert series.last == 2.0
