import numpy as np

from jaxmetrics.runs.pages._events import alarm_table, event_marks

POSITIONS = {"step": np.array([1.0, 3.0]), "time": np.array([10.0, 30.0])}
EVENTS = [
    {"event": "start", "attempt": 1},
    {"event": "alarm", "step": 2, "kind": "spike", "message": "loss spikes"},
    {"event": "step", "step": 2},
    {"event": "evaluation", "step": 3, "seconds": 4.5},
    {"event": "start", "attempt": 2, "restored_step": 1},
    {"event": "alarm", "message": "no step"},
]


def test_events_are_marked_on_every_axis():
    marks = {mark.kind: mark for mark in event_marks(EVENTS, POSITIONS)}
    assert set(marks) == {"alarm", "evaluation", "restart"}
    assert marks["alarm"].at == {"step": 2, "time": 20.0}
    assert marks["alarm"].text == "alarm at step 2: loss spikes"
    assert marks["restart"].at == {"step": 1, "time": 10.0}
    assert marks["evaluation"].text == "evaluation at step 3: evaluation, 4.5 s"


def test_rows_of_alarms_lead_to_their_steps():
    table = alarm_table(EVENTS, POSITIONS)
    assert [row[4] for row in table.rows] == ["loss spikes", "no step"]
    assert table.jumps == [{"step": 2, "time": 20.0}, None]


def test_of_many_events_the_latest_are_marked_and_alarms_are_not_displaced():
    alarm = {"event": "alarm", "step": 1, "message": "first"}
    many = [{"event": "checkpoint", "step": step} for step in range(3000)]
    marks = event_marks([alarm, *many], POSITIONS)
    assert len(marks) == 1001
    assert (marks[0].kind, marks[-1].at["step"]) == ("alarm", 2999)


def test_times_of_alarms_are_without_fractions():
    times = ["2026-09-21T17:28:56.290+00:00", "2026-09-21T17:28:56Z", "then", 3.5]
    events = [{"event": "alarm", "time": time} for time in times]
    rows = alarm_table(events, POSITIONS).rows
    assert [row[5] for row in rows] == [*["2026-09-21 17:28:56 UTC"] * 2, "then", 3.5]
