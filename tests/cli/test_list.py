"""`jaxmetrics list` prints a row for each run."""

import json
import os
import pty
import subprocess

import pytest
from support.command_line import COMMAND, HEADER, row


@pytest.fixture
def sweep(make):
    for n, loss in enumerate((3.0, 1.0, 2.0)):
        make(
            f"sweep/r{n}",
            [HEADER, row(100, train__loss=5.0), row(200, train__loss=loss)],
            events=[{"event": "close"}],
            hparams={"opt": {"lr": n / 10}},
        )


def cells(out):
    return [line.split() for line in out.splitlines()]


def test_a_row_for_each_run_shows_state_and_values(sweep, call):
    status, out, message = call("list")
    assert (status, message) == (0, "")
    head, *rows = cells(out)
    assert head[:2] == ["run", "state"]
    assert [r[:4] for r in rows] == [
        ["sweep/r0", "closed", "4", "3"],
        ["sweep/r1", "closed", "3", "1"],
        ["sweep/r2", "closed", "3.5", "2"],
    ]
    assert [r[-1] for r in rows] == ["0", "0.1", "0.2"]


def test_rows_are_selected_sorted_and_limited(sweep, call):
    options = ("--where", "lr > 0.05", "--sort", "train/loss")
    note, _, *rows = call("list", "runs/sweep", *options)[1].splitlines()
    assert note == "Sorted by recent train/loss, lower first."
    assert [row.split()[0] for row in rows] == ["sweep/r1", "sweep/r2"]
    status, out, message = call("list", "--sort=-train/loss", "--limit", "1")
    assert [r[0] for r in cells(out)[2:]] == ["sweep/r0"]
    assert (status, message) == (0, "jaxmetrics list: 2 more runs; see --limit\n")
    rows = json.loads(call("list", "--json", "--limit", "2")[1])
    assert [r["id"] for r in rows] == ["sweep/r0", "sweep/r1"]


def test_a_key_without_a_direction_is_named_and_shown(make, call):
    for n, (rate, last) in enumerate([(0.1, 0.4), (0.3, 0.2), (0.2, 0.1)]):
        rows = [row(1, val__spark=rate), row(2, val__spark=last, val__loss=1.0)]
        make(f"sweep/r{n}", [HEADER, *rows], events=[{"event": "close"}])
    note, head, *rows = call("list", "--sort", "val/spark")[1].splitlines()
    assert note.startswith("Sorted by last val/spark, lower first. Its name does not")
    assert "--better val/spark=max" in note and "last val/spark" in head
    assert [row.split()[0][-1] for row in rows] == ["2", "1", "0"]
    better = ("--better", "val/spark=max")
    out = call("list", "--sort", "val/spark", *better)[1]
    note, head, *rows = out.splitlines()
    assert note == "Sorted by best val/spark, higher first."
    assert [(r.split()[0][-1], r.split()[4]) for r in rows] == [
        ("0", "0.4"),
        ("1", "0.3"),
        ("2", "0.2"),
    ]
    where = ("--where", "best(val/spark) > 0.25", *better)
    assert len(call("list", *where)[1].splitlines()) == 3
    status, _, message = call("list", "--better", "val/sparkl=max")
    assert status == 1 and "similar names are val/spark" in message


def test_errors_say_what_to_do(sweep, call):
    status, out, message = call("list", "--where", "rl > 1")
    assert (status, out) == (1, "") and "similar names are" in message
    status, _, message = call("list", "--where", "lr = 1")
    assert status == 1 and "Write == to compare" in message
    status, out, message = call("list", "--where", "lr > 1")
    assert (status, out) == (1, "") and "none of the 3 runs" in message
    assert call("list", "--limit", "0")[0] == 2


def test_without_runs_there_is_a_message(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, message = call("list")
    assert status == 1 and "no folder runs" in message
    (tmp_path / "runs").mkdir()
    status, out, message = call("list")
    assert (status, out) == (1, "") and "there are no runs in runs" in message


def test_a_damaged_run_is_a_row_and_named(sweep, call, tmp_path):
    (tmp_path / "runs/sweep/r1/run.json").write_text("{")
    status, out, message = call("list")
    assert status == 0 and len(out.splitlines()) == 4
    assert message.startswith("jaxmetrics list: sweep/r1: run.json: ")


@pytest.mark.parametrize("width", [100, 40, 20])
def test_a_narrow_terminal_has_fewer_columns(sweep, width):
    parent, child = pty.openpty()
    environment = os.environ | {"COLUMNS": str(width)}
    done = subprocess.run(
        [*COMMAND, "list"], stdout=child, env=environment, timeout=60, check=True
    )
    os.close(child)
    out = os.read(parent, 2**16).decode()
    os.close(parent)
    lines = out.splitlines()
    assert done.returncode == 0 and len(lines) == 4
    assert max(map(len, lines)) <= width
    assert ("lr" in lines[0]) == (width == 100) and "state" in lines[0]
