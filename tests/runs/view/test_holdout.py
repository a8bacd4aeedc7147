"""Predictions of the telemetry in the answers of the viewer."""

import json

import pytest
from support.viewer import serving

from jaxmetrics.runs.view import _holdout
from jaxmetrics.runs.view._cache import RunCache
from jaxmetrics.runs.view._root import Root


def line(step, logits):
    holdout = {"labels": [1, 0], "predictions": [1, 1], "logits": logits}
    return json.dumps({"step": step, "holdout_logits": holdout}) + "\n"


def test_predictions_are_media_and_are_read_again_when_they_grow(tmp_path):
    run = tmp_path / "p" / "r"
    (run / "telemetry").mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"step":1,"split":"train","train/loss":1}\n')
    path = run / "telemetry" / "telemetry.jsonl"
    path.write_text(line(10, [[0, 0], [0, 0]]))
    with serving(tmp_path) as server:
        entries = server.json("/api/run/p/r/media")["entries"]
        assert [(e["kind"], e["step"], e["count"]) for e in entries] == [
            ("holdout", 10, 2)
        ]
        content = server.json(
            "/api/run/p/r/media", kind="holdout", key="holdout/predictions", step=10
        )
        assert content["columns"][:3] == ["example", "label", "prediction"]
        assert content["rows"] == [[0, 1, 1, 0.5, 0.5], [1, 0, 1, 0.5, 0.5]]
        with open(path, "a") as file:
            file.write(line(20, [[0, 1], [0, 1]]))
        entries = server.json("/api/run/p/r/media")["entries"]
        assert [e["step"] for e in entries] == [10, 20]
        absent = server.get(
            "/api/run/p/r/media", kind="holdout", key="holdout/predictions", step=15
        )
        assert absent.status == 404


@pytest.mark.parametrize("folder", ["telemetry", "."])
def test_only_lines_that_were_added_are_read(tmp_path, monkeypatch, folder):
    run = tmp_path / "p" / "r"
    (run / folder).mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"step":1,"split":"train","train/loss":1}\n')
    path = run / folder / "telemetry.jsonl"
    path.write_text(line(10, [[0, 0], [0, 0]]))
    loaded = RunCache(Root(tmp_path)).get("p", "r")
    read, original = [], _holdout.predictions_of

    def counted(rows):
        read.append([row["step"] for row in rows])
        return original(rows)

    monkeypatch.setattr(_holdout, "predictions_of", counted)
    for _ in range(2):
        assert [e["step"] for e in _holdout.holdout_entries(loaded)] == [10]
    with open(path, "a") as file:
        file.write(line(20, [[0, 1], [0, 1]]))
    for _ in range(2):
        assert [e["step"] for e in _holdout.holdout_entries(loaded)] == [10, 20]
    assert read == [[10], [20]]
    path.write_text(line(30, [[0, 1], [0, 1]]))
    assert [e["step"] for e in _holdout.holdout_entries(loaded)] == [30]
