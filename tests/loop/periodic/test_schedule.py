"""Schedules: every N steps, every T seconds, or at given steps."""

import pytest
from support.clock import Clock

from jaxmetrics import Profile, ReportProgress


@pytest.fixture
def clock():
    return Clock()


def test_seconds_count_from_the_last_time_it_was_due_for_any_reason(clock):
    report = ReportProgress(7, every_secs=3.0, on_steps=[4], clock=clock)
    times = {1: 0, 2: 2.9, 3: 3, 4: 4, 5: 6.5, 6: 7, 7: 7.1}
    due = [step for step, t in times.items() if report(step, t=t)]
    assert due == [3, 4, 6, 7]  # by time, listed, by time, the last step


def test_the_first_call_and_the_first_after_a_restart_only_start_to_count(clock):
    report = ReportProgress(every_steps=5, every_secs=None)
    assert [report(s, t=float(s)) for s in (10, 15, 5, 9, 10)] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_a_multiple_that_calls_skipped_is_due(clock):
    report = ReportProgress(every_steps=10, every_secs=None)
    assert [report(s, t=float(s)) for s in (7, 9, 14, 14, 18, 41)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("options", [{"every_steps": 0}, {"every_secs": -1.0}])
def test_a_period_that_is_not_positive_is_refused(options, tmp_path):
    (name,) = options
    with pytest.raises(ValueError, match=f"ReportProgress got {name}"):
        ReportProgress(**options)
    with pytest.raises(ValueError, match=f"Profile got {name}"):
        Profile(tmp_path, **options)
