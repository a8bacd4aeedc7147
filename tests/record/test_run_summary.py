"""What `summary.json` tells of a run beside its values."""

import json
import math

import pytest

from jaxmetrics.record import RunEvents, RunSummary, dumps, read_summary

ALARM = {"event": "alarm", "kind": "spike", "key": "train/loss"}


def write_events(folder, *events):
    with open(folder / "events.jsonl", "a") as file:
        file.writelines(f"{dumps(event)}\n" for event in events)


def written(folder, loss=1.0, state="running"):
    (folder / "metrics.jsonl").touch()
    summary = RunSummary(folder)
    summary.add({"step": 1, "split": "train", "train/loss": loss}, 10)
    summary.write({}, state)
    return read_summary(folder)


def test_alarms_are_counted_once_and_repeated_ones_by_their_number(tmp_path):
    assert written(tmp_path)["alarms"] == 0
    write_events(
        tmp_path,
        ALARM,
        {"event": "alarm text", "key": '"alarm"'},
        {"event": "step", "key": "alarm"},
        ALARM | {"repeated": {"count": 4}},
    )
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('"alarm" is no row\n{"event":"alarm","key":"tor')
    assert written(tmp_path)["alarms"] == 5
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('n"}\n')
    count = RunEvents.from_summary(read_summary(tmp_path))
    for _ in range(2):
        count.read(tmp_path)
        assert count.alarms == 6
    (tmp_path / "events.jsonl").write_text(f"{dumps(ALARM)}\n")
    count.read(tmp_path)
    assert count.alarms == 1


def test_alarms_after_a_very_long_line_are_counted(tmp_path):
    write_events(tmp_path, {"event": "text", "text": "x" * 3 * 2**20}, ALARM)
    count = RunEvents()
    count.read(tmp_path)
    size = (tmp_path / "events.jsonl").stat().st_size
    state = count.state()
    assert (state["alarms"], state["events_position"]) == (1, size)


@pytest.mark.parametrize("state", ["running", "closed"])
@pytest.mark.parametrize("loss", [1.0, math.nan, math.inf])
def test_a_run_is_diverged_if_its_last_training_loss_is_not_finite(
    tmp_path, loss, state
):
    summary = written(tmp_path, loss, state)
    assert summary["state"] == (state if loss == 1.0 else "diverged")
    assert summary["closed"] is (state == "closed")


def test_attempts_are_those_of_run_json(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"attempts": [{}, {}]}))
    assert written(tmp_path)["attempts"] == 2
    (tmp_path / "run.json").write_text("{")
    assert written(tmp_path)["attempts"] == 0
