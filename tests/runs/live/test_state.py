import math

import numpy as np

from jaxmetrics.runs.live._state import Events, Metrics, Series


def test_the_memory_of_a_series_does_not_grow():
    values = np.sin(np.arange(1_000_000) / 1e5)
    values[123_456], values[777] = 9.0, math.inf
    series = Series()
    for part in np.array_split(values, 37):
        series.add(range(len(part)), part)
    assert series.max == 9.0 and series.nonfinite == 1 and series.count == 1_000_000
    assert len(series.means._sums) == 128


def test_extremes_of_a_key_without_a_finite_value_are_unknown():
    series = Series()
    series.add([1], [math.nan])
    values = series.to_dict()
    assert (values["min"], values["max"], values["nonfinite"]) == (None, None, 1)


def test_a_text_is_the_last_value_and_is_not_counted():
    metrics = Metrics()
    metrics.add(1, [{"step": 1, "note": 2.0}, {"step": 2, "note": "x" * 100}])
    series = metrics.series["note"]
    assert (series.last, series.step, series.count) == ("x" * 80, 2, 1)


def test_an_integer_beyond_the_range_of_floats_is_infinite():
    metrics = Metrics()
    metrics.add(1, [{"step": 1, "x": 10**400}])
    assert metrics.series["x"].last == math.inf


def test_alarms_and_the_end_of_an_attempt_are_taken_from_events():
    events = Events()
    alarm = {"event": "alarm", "attempt": 2}
    events.add([{"event": "start", "attempt": 2}, alarm, {"event": "close"}])
    assert (events.attempt, events.alarms, events.alarm) == (2, 1, alarm)
    assert events.closed
