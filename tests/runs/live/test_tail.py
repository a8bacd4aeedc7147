import math
import os
import time

import pytest
from support.runs import epoch, write_epochs, write_run

from jaxmetrics.record import AppendFile, MetricsEntry, Record, dumps
from jaxmetrics.runs import Tail, tail_lines

HEADER = {"kind": "header", "schema": 1, "run_id": "r1"}
EVENTS = [{"event": "start", "attempt": 1}, {"event": "start", "attempt": 2}]


def row(step, split="train", **values):
    named = {name.replace("__", "/"): value for name, value in values.items()}
    tokens = step * 1024 if split == "train" else None
    return Record(step, split, named, step * 0.5, tokens).line()


ROWS = [
    HEADER,
    row(0, "val", val__loss=4.0),
    row(100, train__loss=2.5, lr__lr=1e-3),
    row(200, train__loss=math.nan, lr__lr=5e-4),
    row(300, train__loss=1.5),
    row(300, "val", val__loss=2.0),
]


def add(path, *lines):
    with AppendFile(path) as file:
        for line in lines:
            file.write_line(dumps(line))


@pytest.fixture
def make(tmp_path):
    """Make the run demo/one, last written at a time."""

    def make(rows=ROWS, events=EVENTS, mtime=None):
        folder = write_run(tmp_path / "demo" / "one", rows, events)
        if mtime is not None:
            for path in folder.iterdir():
                os.utime(path, (mtime, mtime))
        return folder

    return make


def view_of(folder):
    return Tail(folder).read()


def test_the_text_of_a_run(make):
    alarm = {"event": "alarm", "step": 1200, "message": "loss is nan"}
    folder = make(events=[*EVENTS, alarm], mtime=1000)
    assert tail_lines(view_of(folder), now=1012.3, width=60) == [
        "demo/one: step 300 · 2m30s of training · crashed · attempt …",
        "1 alarm, the last at step 1,200: loss is nan",
        "",
        "              last     min    max",
        "val/loss         2       2      4  █  ▁",
        "train/loss     1.5     1.5    2.5   █×▁",
        "lr/lr       0.0005  0.0005  0.001   █▁",
    ]
    head = tail_lines(view_of(folder), now=1012.3, width=200)[0]
    assert head.endswith("of training · crashed · attempt 2 · 307,200 tokens")
    now = time.time()
    os.utime(folder / "metrics.jsonl", (now, now))
    head = tail_lines(view_of(folder), now + 12.25, width=200)[0]
    assert "of training · running · last record 12.2s ago · attempt 2" in head


def test_added_lines_are_read_and_lines_cut_by_a_resume_are_dropped(make):
    folder = make()
    tail = Tail(folder, ["train/*"])
    assert tail.read().metrics.series["train/loss"].statistics.count == 3
    add(folder / "metrics.jsonl", row(400, train__loss=9.0))
    add(folder / "events.jsonl", {"event": "close", "attempt": 2})
    view = tail.read()
    assert view.metrics.series["train/loss"].statistics.max == 9.0
    assert view.metrics.step == 400 and view.events.closed
    assert list(view.metrics.series) == ["train/loss"]
    # A resumed run cuts its file back and writes beyond the position that was read.
    with AppendFile(folder / "metrics.jsonl") as file:
        file.cut_after_step(200, "200")
        for step in (300, 400, 500):
            file.write_line(dumps(row(step, train__loss=0.5)))
    add(folder / "events.jsonl", {"event": "start", "attempt": 3})
    view = tail.read()
    assert view.metrics.step == 500 and view.metrics.records == 6
    assert view.metrics.series["train/loss"].statistics.max == 2.5
    assert (view.events.attempt, view.events.closed) == (3, False)


def test_only_added_lines_are_read(make, monkeypatch):
    folder = make()
    tail = Tail(folder)
    tail.read()
    seen = []
    monkeypatch.setattr(tail._metrics, "add", lambda *block: seen.append(block))
    tail.read()
    assert seen == []
    add(folder / "metrics.jsonl", row(400, train__loss=1.0))
    tail.read()
    assert seen == [([row(400, train__loss=1.0)], 7)]


def test_an_incomplete_last_line_is_read_once_it_is_complete(make):
    folder = make()
    tail = Tail(folder)
    line = dumps(row(400, train__loss=7.0)).encode()
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(line[:20])
    assert tail.read().metrics.step == 300
    with open(folder / "metrics.jsonl", "ab") as file:
        file.write(line[20:] + b"\n")
    view = tail.read()
    assert view.metrics.step == 400 and view.metrics.damaged == 0


def test_a_run_without_records_says_what_is_missing(tmp_path):
    tail = Tail(tmp_path, name="demo/new")
    assert tail_lines(tail.read(), now=0.0) == ["demo/new: no metrics.jsonl yet", ""]
    add(tmp_path / "metrics.jsonl", HEADER)
    assert tail_lines(tail.read(), now=0.0) == ["demo/new: no record yet", ""]
    add(tmp_path / "metrics.jsonl", *ROWS)
    assert tail.read().metrics.step == 300


def test_the_epochs_of_a_tracker_are_followed(tmp_path):
    tail = Tail(tmp_path, name="epochs")
    assert "no metrics.jsonl" in tail_lines(tail.read(), now=0.0)[0]
    write_epochs(tmp_path, epoch(1, 2.0), epoch(2, 3.0))
    assert tail.read().metrics.series["train/loss"].last == 3.0
    write_epochs(tmp_path, epoch(1, 2.0), epoch(2, 1.0), epoch(3, 0.5))
    os.utime(tmp_path / "training_metrics.json", (1000, 1000))
    view = tail.read()
    assert view.metrics.series["train/loss"].statistics.max == 2.0
    assert tail_lines(view, now=1000.0)[0] == "epochs: epoch 3 · last record 0s ago"
    assert view.to_dict()["unit"] == "epoch"
    assert tail.read().metrics is view.metrics  # unchanged files are not read again


def test_telemetry_and_a_log_of_metrics_are_followed(tmp_path):
    line = {
        "step": 5,
        "batch_idx": 1,
        "timestamp": "",
        "gradient_norm": {"overall": 2.0},
    }
    add(tmp_path / "telemetry.jsonl", line)
    assert Tail(tmp_path).read().metrics.series["grad/norm"].last == 2.0
    entry = MetricsEntry(1, 500.0, 2.0, 0.5, 64.0, {"z": 3.0})
    add(tmp_path / "log.jsonl", entry.line())
    view = Tail(tmp_path / "log.jsonl").read()
    assert (view.metrics.seconds, view.metrics.series["z"].last) == (0.5, 3.0)
    assert "extra" not in view.metrics.series


def test_damaged_lines_are_listed_and_counted(make):
    bad = ["[1]", '{"step": "x"}', "nonsense", "{}", "1"]
    view = view_of(make(rows=[*ROWS, *bad], mtime=1))
    assert view.metrics.damaged == 5
    lines = tail_lines(view, now=1.0, width=70)
    assert lines[1:5] == [
        "line 9 was skipped: not JSON (Expecting value: line 1 column 1 (char …",
        "line 10 was skipped: a row without a step of 64 bits",
        "line 11 was skipped: a JSON int",
        "5 lines were skipped",
    ]


def test_control_characters_are_escaped(make):
    hostile = {**row(1), "train/\x1b[31mred": 1.0, "train/note": "\x1b]0;owned\x07hi"}
    view = view_of(make([HEADER, hostile], mtime=1))
    lines = tail_lines(view, now=1.0, width=90)
    assert lines[-2].startswith(r"train/\x1b[31mred")
    assert lines[-1].split() == ["train/note", "'\\\\x1b]0;owned\\\\x07hi'"]
    assert all(line.isprintable() for line in lines)


def test_lines_fit_into_the_window(make):
    many = {f"train/metric_with_a_long_name_{i}": float(i) for i in range(50)}
    view = view_of(make(rows=[HEADER, {**row(1), **many}], mtime=1))
    lines = tail_lines(view, now=1.0, width=40, height=12)
    assert len(lines) <= 12 and all(len(line) <= 40 for line in lines)
    assert lines[-1] == "and 43 more keys"
    assert len(tail_lines(view, now=1.0, width=40)) == 53


@pytest.mark.parametrize("width", [80, 44, 38, 36])
def test_a_long_name_is_shortened_and_numbers_are_whole(make, width):
    rows = [row(n, train__loss=123.456 / n, **{"x" * 200: 1.0}) for n in range(1, 30)]
    lines = tail_lines(view_of(make(rows=[HEADER, *rows])), now=1.0, width=width)
    (loss,) = [line for line in lines if line.startswith("train/loss")]
    assert loss.split()[1:4] == ["4.2571", "4.2571", "123.46"]
    (long,) = [line for line in lines if line.startswith("xxx")]
    assert long.split()[0].endswith("x…") and max(map(len, lines)) <= width
    assert len(loss.split()) == (5 if width > 38 else 4)


def test_losses_stay_in_a_window_that_has_no_room_for_all_keys(make):
    speed = {f"perf/{n}": 1.0 for n in range(20)}
    rows = [{**row(1), **speed, "train/total_loss": 2.0}, row(1, "val", val__loss=3.0)]
    lines = tail_lines(view_of(make(rows=[HEADER, *rows])), now=1.0, height=10)
    names = [line.split()[0] for line in lines[3:6]]
    assert names == ["train/total_loss", "val/loss", "perf/0"]


def test_a_run_without_any_of_the_chosen_keys_says_so(make):
    chosen = Tail(make(), ["loss/*", "nope"]).read()
    assert tail_lines(chosen, 0.0)[-1] == "the run has no key loss/*, nope"


def test_keys_beyond_a_thousand_are_only_counted(make):
    many = {f"k/{i}": 1.0 for i in range(1500)} | {"val/loss": 2.0}
    view = view_of(make(rows=[HEADER, {**row(1), **many}]))
    assert len(view.metrics.series) == 1001 and len(view.metrics.more_keys) == 500
    assert view.to_dict()["more_keys"] == 500
    assert tail_lines(view, 0.0)[3].startswith("val/loss")


def test_a_file_of_metrics_can_be_followed_without_its_folder(make):
    view = view_of(make() / "metrics.jsonl")
    assert (view.name, view.metrics.step) == ("one/metrics.jsonl", 300)


def test_a_view_as_plain_values(make):
    values = Tail(make(), ["train/*"]).read().to_dict()
    assert (values["step"], values["attempt"], values["closed"]) == (300, 2, False)
    assert values["metrics"] == {
        "train/loss": {
            "last": 1.5,
            "last_step": 300,
            "min": 1.5,
            "min_step": 300,
            "max": 2.5,
            "max_step": 100,
            "count": 3,
            "nonfinite": 1,
        }
    }


@pytest.mark.parametrize(("damaged", "line"), [(3, False), (4, True)])
def test_damaged_lines_beyond_the_listed_ones_are_counted(make, damaged, line):
    lines = tail_lines(view_of(make([*ROWS, *["[1]"] * damaged])), now=1.0)
    assert (f"{damaged} lines were skipped" in lines) == line


def test_a_view_that_is_too_narrow_has_no_sparklines(make):
    view = view_of(make())
    one_bar, none = (tail_lines(view, now=1.0, width=width)[3] for width in (36, 35))
    assert one_bar.endswith("4  ▄") and none.endswith("4")
