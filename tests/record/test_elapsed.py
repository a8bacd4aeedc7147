"""Training seconds over the attempts of a run."""

from jaxmetrics.record import Elapsed


def test_seconds_continue_from_earlier_attempts_and_never_go_back():
    now = [50.0]
    elapsed = Elapsed(lambda: now[0], 100.0)
    assert elapsed() == 100.0
    now[0] = 52.5
    assert elapsed() == 102.5
    now[0] = 40.0
    assert elapsed() == 102.5
    now[0] = 53.0
    assert elapsed() == 103.0


def test_a_reset_continues_from_other_seconds():
    now = [0.0]
    elapsed = Elapsed(lambda: now[0])
    now[0] = 9.0
    elapsed.reset(3.0)
    assert elapsed() == 3.0
    now[0] = 10.0
    assert elapsed() == 4.0


def test_seconds_are_rounded_to_microseconds():
    now = [0.0]
    elapsed = Elapsed(lambda: now[0])
    now[0] = 1.23456789
    assert elapsed() == 1.234568
    assert elapsed.exact() == 1.23456789
