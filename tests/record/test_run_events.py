"""End of a run by its events."""

import pytest

from jaxmetrics.record import Ending, RunEvents, dumps, loads

ROWS = {"writers": {"metrics.jsonl": {"written": 3}}}
NONE = {"writers": {"metrics.jsonl": {"written": 0}}}
AGAIN = {"event": "start", "restored_step": 2}
START, RESTORE = {"event": "start", "restored_step": None}, {"event": "restore"}
CLOSE, REFUSED = (
    {"event": "close", **ROWS},
    {"event": "close", "error": "no", **NONE},
)
CRASH = {"event": "close", "error": "E", **ROWS}
FAILURE = {"event": "failure", "process": 1, "error": "F"}
FAILED = Ending("crashed", "F (process 1)")


@pytest.mark.parametrize(
    ("events", "ending"),
    [
        ([], None),
        ([START], None),
        ([START, CLOSE], Ending("closed")),
        ([START, CRASH], Ending("crashed", "E")),
        ([START, CRASH, START], None),
        ([START, REFUSED], Ending("crashed", "no")),
        ([START, CLOSE, START, REFUSED], Ending("closed")),
        ([START, CRASH, START, REFUSED, START, REFUSED], Ending("crashed", "E")),
        ([START, START, REFUSED], Ending("crashed")),
        ([START, CLOSE, START, RESTORE, REFUSED], Ending("crashed", "no")),
        ([START, CLOSE, AGAIN, REFUSED], Ending("crashed", "no")),
        ([START, CRASH, START, {"event": "close", **NONE}], Ending("closed")),
        ([START, {"event": "close"}], Ending("closed")),  # of an earlier version
        ([START, FAILURE], FAILED),  # the first process was killed, or still waits
        ([START, FAILURE, CRASH], FAILED),  # which is a consequence
        ([START, FAILURE, CLOSE], FAILED),
        ([START, FAILURE, START], None),
        ([START, FAILURE, START, REFUSED], FAILED),
        ([START, CLOSE, START, FAILURE, {"event": "close", **NONE}], Ending("closed")),
        ([START, FAILURE, START, CLOSE], Ending("closed")),
    ],
)
def test_the_ending_is_that_of_the_last_attempt_that_has_a_record(events, ending):
    whole = RunEvents()
    for event in events:
        whole.add(event)
    assert whole.ending == ending
    for cut in range(len(events) + 1):  # however the events are read
        first = RunEvents()
        for event in events[:cut]:
            first.add(event)
        rest = RunEvents.from_summary(loads(dumps(first.state())))
        for event in events[cut:]:
            rest.add(event)
        assert rest.ending == ending


@pytest.mark.parametrize("closed", [True, False])
def test_a_summary_of_an_earlier_version_tells_whether_the_run_was_closed(closed):
    events = RunEvents.from_summary(
        {"alarms": 1, "events_position": 9, "closed": closed}
    )
    assert events.ending == (Ending("closed") if closed else None)
    for event in (START, REFUSED):
        events.add(event)
    assert events.ending == Ending("closed" if closed else "crashed")
