"""Rows that are kept are those that would be read."""

import json
import os

from support.open_run import open_run
from support.runs import epoch, write_epochs

import jaxmetrics as jm
from jaxmetrics.runs.reading import _entry
from jaxmetrics.runs.view._root import Root
from jaxmetrics.runs.view._rows import Rows


def test_rows_follow_the_files(tmp_path):
    for name in ("first", "second"):
        with jm.TrainingLogger("a", name, root=tmp_path, console=False) as logger:
            logger.log_step(1, loss=1.0)
    rows = Rows(Root(tmp_path))
    assert rows.all() == rows.all() == Rows(Root(tmp_path)).all()
    with jm.TrainingLogger(
        "a", "first", root=tmp_path, console=False, hparams={"seed": 77}
    ) as logger:
        logger.log_step(2, loss=0.5)
        (row, _) = rows.all()["runs"]
        assert row["state"] == "running"
    (row, other) = rows.all()["runs"]
    assert (row["state"], row["step"], row["hparams"]) == ("closed", 2, {"seed": 77})
    assert row["last"]["train/loss"] == 0.5 and other["step"] == 1
    assert json.dumps(rows.all()) == json.dumps(Rows(Root(tmp_path)).all())


def test_conditions_see_rows_that_are_kept(tmp_path):
    for number in range(3):
        with jm.TrainingLogger(
            "a", f"r{number}", root=tmp_path, console=False, hparams={"lr": number}
        ) as logger:
            logger.log_step(1, loss=float(number))
    rows = Rows(Root(tmp_path))
    for _ in range(2):
        shown = rows.all("lr > 0", "-train/loss")["runs"]
        assert [row["name"] for row in shown] == ["r2", "r1"]


def test_rows_are_read_before_they_are_asked_for(tmp_path):
    with jm.TrainingLogger(
        "a", "run", root=tmp_path, console=False, hparams={"lr": 0.125}
    ) as logger:
        logger.log_step(1, loss=1.0)
    rows = Rows(Root(tmp_path))
    rows.fill().join()
    path = logger.run_dir / "run.json"
    state, text = path.stat(), path.read_text()
    with open(path, "r+") as file:  # a change that cannot be seen
        file.write(text.replace("0.125", "0.375"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    (row,) = rows.all()["runs"]
    assert row["hparams"] == {"lr": 0.125}


def test_a_run_that_rests_while_it_is_open_is_not_running_after_its_kill(tmp_path):
    rows = Rows(Root(tmp_path))
    with open_run(tmp_path):
        os.utime(tmp_path / "p/one/metrics.jsonl", (0, 0))
        assert rows.all()["runs"][0]["state"] == "running"
    assert rows.all()["runs"][0]["state"] == "crashed"


def test_epochs_and_telemetry_are_read_when_they_changed(tmp_path, monkeypatch):
    write_epochs(tmp_path / "p" / "epochs", epoch(1))
    telemetry = tmp_path / "p" / "lines" / "telemetry" / "telemetry.jsonl"
    telemetry.parent.mkdir(parents=True)
    line = {"timestamp": 1.0, "batch_idx": 1, "gradient_norm": {"overall": 2.0}}
    telemetry.write_text(json.dumps({"step": 1} | line) + "\n")
    read, values = [], _entry._of_other_files

    def counted(folder, run):
        read.append(folder.name)
        return values(folder, run)

    monkeypatch.setattr(_entry, "_of_other_files", counted)
    rows = Rows(Root(tmp_path))
    for _ in range(3):
        assert [row["step"] for row in rows.all()["runs"]] == [1, 1]
    assert read == ["epochs", "lines"]
    with open(telemetry, "a") as file:
        file.write(json.dumps({"step": 7} | line) + "\n")
    for _ in range(3):
        assert [row["step"] for row in rows.all()["runs"]] == [1, 7]
    assert read == ["epochs", "lines", "lines"]
