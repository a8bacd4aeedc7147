"""The index of a record says what reading it whole would say."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.record import (
    AppendFile,
    RecordIndex,
    RunSummary,
    _index,
    dumps,
    read_lines,
    read_summary,
)

HEADER = {"kind": "header", "schema": 2}


@pytest.fixture(autouse=True)
def small_segments(monkeypatch):
    monkeypatch.setattr(_index, "_SEGMENT_BYTES", 150)
    monkeypatch.setattr(_index, "_MAX_SEGMENTS", 4)


def record(folder, rows):
    """Write rows as a run does, and return their index."""
    summary = RunSummary(folder)
    with AppendFile(folder / "metrics.jsonl") as file:
        for row in [HEADER, *rows] if not file.position else rows:
            file.write_line(dumps(row))
            summary.add(row, file.position)
    summary.write({})
    return summary.index


def test_seconds_and_steps_are_the_largest_of_rows_up_to_a_step(tmp_path):
    rows = [
        {"step": 1, "split": "train", "time": 5.0},
        {"kind": "text", "step": 4, "split": "train", "time": 6.0},
        {"step": 2, "split": "val", "time": 3.0},  # the clock was set back
        {"step": 3, "split": "train", "time": 1e300},
        {"step": 2, "split": "train", "time": "high"},
        {"step": 9, "split": "train", "time": 7.0},
    ]
    assert RecordIndex.of(tmp_path).last() == ({}, 0.0)
    for index in (record(tmp_path, rows), RecordIndex.of(tmp_path)):
        assert index.last(4) == ({"train": 3, "val": 2}, 6.0)
        assert index.last() == ({"train": 9, "val": 2}, 7.0)


STEPS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["train", "val"])), max_size=40
)


@given(before=STEPS, after=STEPS, step=st.integers(-1, 31))
@settings(max_examples=60, deadline=None)
def test_an_index_cuts_as_reading_the_whole_file_does(
    tmp_path_factory, before, after, step
):
    whole, indexed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("index")
    for folder in (whole, indexed):
        for number, part in enumerate((before, after)):
            record(
                folder,
                [
                    {"step": n, "split": split, "time": 100.0 * number + n}
                    for n, split in part
                ],
            )
    (whole / "summary.json").unlink()
    assert RecordIndex.of(whole).last(step) == RecordIndex.of(indexed).last(step)
    summary = RunSummary(indexed)
    with AppendFile(whole / "metrics.jsonl") as file:
        file.cut_after_step(step, "cut")
    with AppendFile(indexed / "metrics.jsonl") as file:
        file.cut_after_step(step, "cut", summary.index.line_steps(step))
    summary.note_cut_after(step)
    left, _ = read_lines(whole / "metrics.jsonl")
    assert read_lines(indexed / "metrics.jsonl")[0] == left
    assert summary.index.last() == RecordIndex.of(whole).last()
    position = (indexed / "metrics.jsonl").stat().st_size
    assert summary.index.position == position


def test_only_the_segment_around_a_step_is_read(tmp_path, monkeypatch):
    record(tmp_path, [{"step": n, "split": "train", "time": n} for n in range(1, 200)])
    read = []
    scan = _index.scan_lines

    def counted(*arguments, **options):
        for line in scan(*arguments, **options):
            read.append(line)
            yield line

    monkeypatch.setattr(_index, "scan_lines", counted)
    index = RecordIndex.of(tmp_path)
    assert read == []
    assert index.last(150) == ({"train": 150}, 150.0)
    assert 0 < len(read) < 100


@pytest.mark.parametrize(
    "damage",
    [
        {"position": 10},
        {"position": "many"},
        {"position": 10**9},
        {"crc": 1},
        {"segments": None},
        {"segments": [[1, 2]]},
        {"segments": [["x", 0, 0, {}, 0.0]]},
        {"segments": []},
        {"position": 10**30, "segments": [[10**30, 0, 0, {}, 0.0]], "crc": None},
    ],
)
def test_a_summary_that_does_not_fit_is_not_used(tmp_path, damage):
    record(tmp_path, [{"step": n, "split": "train", "time": n} for n in range(1, 20)])
    file = tmp_path / "summary.json"
    file.write_text(json.dumps(read_summary(tmp_path) | damage))
    assert RecordIndex.of(tmp_path).last() == ({"train": 19}, 19.0)
    for text in ("", "[]", "\xff"):
        file.write_text(text)
        assert read_summary(tmp_path) == {}
        assert RecordIndex.of(tmp_path).last() == ({"train": 19}, 19.0)


def test_rows_after_the_summary_are_read(tmp_path):
    record(tmp_path, [{"step": 1, "split": "train", "time": 1.0}])
    with AppendFile(tmp_path / "metrics.jsonl") as file:
        file.write_line(dumps({"step": 2, "split": "val", "time": 2.0}))
    assert RecordIndex.of(tmp_path).last() == ({"train": 1, "val": 2}, 2.0)


def test_a_record_of_the_same_size_with_other_rows_does_not_fit(tmp_path):
    record(tmp_path, [{"step": 1, "split": "train", "time": 1.0}])
    file = tmp_path / "metrics.jsonl"
    file.write_text(file.read_text().replace('"step":1', '"step":7'))
    assert RecordIndex.of(tmp_path).last() == ({"train": 7}, 1.0)


def test_a_damaged_line_in_the_segment_of_a_cut_is_set_aside_and_named(
    tmp_path, caplog
):
    record(tmp_path, [{"step": n % 9, "split": "val", "time": n} for n in range(40)])
    file = tmp_path / "metrics.jsonl"
    lines = file.read_text().splitlines(True)
    lines[20] = "x" * (len(lines[20]) - 1) + "\n"
    file.write_text("".join(lines))
    with AppendFile(file) as opened:
        saved = opened.cut_after_step(3, "cut", RecordIndex.of(tmp_path).line_steps(3))
    steps = [row["step"] for row in read_lines(file)[0][1:]]
    assert steps == [n % 9 for n in range(40) if n % 9 <= 3 and n != 19]
    assert lines[20] in saved.read_text()
    assert "damaged line before byte" in caplog.text


def test_a_summary_tells_the_last_values_and_how_far_the_run_is(tmp_path):
    now = [0.0]
    summary = RunSummary(tmp_path, lambda: now[0])
    with AppendFile(tmp_path / "metrics.jsonl") as file:
        for step in range(1, 4):
            row = {"step": step, "split": "train", "time": 2.0, "train/loss": step / 2}
            file.write_line(dumps(row | {"train/per_class": [1, 2]}))
            summary.add(row, file.position)
            now[0] += 5.0
    assert read_summary(tmp_path)["step"] == 3  # 10 seconds after the first
    summary.write({"rows": 1}, state="closed")
    written = read_summary(tmp_path)
    assert written["last"] == {"train/loss": 1.5}
    assert (written["state"], written["missing"]) == ("closed", {"rows": 1})
    assert written["last_steps"] == {"train": 3}
    with AppendFile(tmp_path / "metrics.jsonl") as file:
        file.cut(0, "0")
    summary.note_cut(0)
    summary.write({})
    assert read_summary(tmp_path)["last"] == {}


def test_a_summary_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "summary.json").mkdir()
    RunSummary(tmp_path).write({})


def test_nothing_is_opened_for_rows_that_are_not_there(tmp_path, monkeypatch):
    record(tmp_path, [{"step": 1, "split": "train", "time": 1.0}])
    monkeypatch.setattr(_index, "scan_lines", None)
    assert RecordIndex.of(tmp_path).last() == ({"train": 1}, 1.0)
