"""Attempts of a run in the answers of the viewer."""

import json

from support.viewer import serving


def test_an_attempt_ends_at_its_last_event_whatever_the_age_of_the_files(tmp_path):
    run = tmp_path / "p" / "r"
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"step":1,"split":"train","train/loss":1}\n')
    times = {1: ["10:00:00", "10:05:00"], 2: ["11:00:00"], "odd": ["12:00:00"]}
    events = [
        {"time": f"2026-01-01T{time}+00:00", "attempt": attempt, "event": "step"}
        for attempt, moments in times.items()
        for time in moments
    ]
    lines = [json.dumps(event) + "\n" for event in events]
    (run / "events.jsonl").write_text("".join(lines))
    attempts = [{"attempt": n, "time": 0} for n in (1, 2, 3, [4])]
    (run / "run.json").write_text(json.dumps({"schema": 2, "attempts": attempts}))
    with serving(tmp_path) as server:
        answer = server.json("/api/run/p/r")
    ends = [attempt["end"] for attempt in answer["attempts"]]
    assert ends == [events[1]["time"], events[2]["time"], None, None]
