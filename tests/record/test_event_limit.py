"""Number of alarms that a row of an events file counts."""

import pytest

from jaxmetrics.record import alarm_count


@pytest.mark.parametrize(
    ("repeated", "expected"),
    [
        ({"count": 7}, 7),
        ({"count": 1}, 1),
        ({"count": 2**63 - 1}, 2**63 - 1),
        ({"count": 0}, 1),
        ({"count": -3}, 1),
        ({"count": 2**63}, 1),
        ({"count": 2.5}, 1),
        ({}, 1),
        ("often", 1),
        (None, 1),
    ],
)
def test_a_row_without_a_count_that_can_be_is_one_alarm(repeated, expected):
    assert alarm_count({"event": "alarm", "repeated": repeated}) == expected
    for event in ("alarm text", "health", "compile", None):
        assert alarm_count({"event": event, "repeated": repeated}) == 0
