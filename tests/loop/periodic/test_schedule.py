"""Schedules: every N steps, every T seconds, or at given steps."""

import numpy as np
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


def test_numbers_of_numpy_do_not_overflow(tmp_path):
    report = ReportProgress(np.int8(100), every_steps=np.int8(100), every_secs=None)
    assert [report(step, t=float(step)) for step in (1, 150, 300)] == [0, 1, 1]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (ReportProgress, {"on_steps": 5}),
        (ReportProgress, {"on_steps": ["5"]}),
        (ReportProgress, {"num_train_steps": "5"}),
        (Profile, {"num_profile_steps": "2"}),
        (Profile, {"first_profile": 2.5}),
    ],
)
def test_steps_that_are_no_integers_are_refused(make, options, tmp_path):
    ((name, value),) = options.items()
    directory = [tmp_path] if make is Profile else []
    with pytest.raises(TypeError, match=f"{make.__name__} got {name}="):
        make(*directory, **options)


@pytest.mark.parametrize("options", [{"every_steps": 0}, {"every_secs": -1.0}])
def test_a_period_that_is_not_positive_is_refused(options, tmp_path):
    (name,) = options
    with pytest.raises(ValueError, match=f"ReportProgress got {name}"):
        ReportProgress(**options)
    with pytest.raises(ValueError, match=f"Profile got {name}"):
        Profile(tmp_path, **options)
