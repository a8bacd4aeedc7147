import json
import math
import os
import signal
import sys

import numpy as np
import pytest
from support.processes import run_python

from jaxmetrics.record import AppendFile, CorruptLineError, Record, atomic_write, dumps
from jaxmetrics.runs import Run

HEADER = {"kind": "header", "schema": 1, "run_id": "r1"}
RUN_JSON = {
    "schema": 1,
    "run_id": "r1",
    "project": "p",
    "run_name": "first",
    "hparams": {"lr": 3e-4, "model": {"layers": 2}},
    "attempts": [{"attempt": 1}, {"attempt": 2}],
}


def row(step, split="train", time=None, **values):
    values = {name.replace("__", "/"): value for name, value in values.items()}
    time = step * 0.5 if time is None else time
    return Record(step, split, values, time, tokens=step * 8).line()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "project" / "name"


def write(folder, rows, run_json=None, events=()):
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("metrics.jsonl", rows), ("events.jsonl", events)):
        with AppendFile(folder / name) as file:
            for line in lines:
                file.write_line(line if isinstance(line, str) else dumps(line))
    if run_json is not None:
        atomic_write(folder / "run.json", dumps(run_json).encode())
    return folder


def columns(run, key):
    steps, values = run[key]
    assert steps.dtype == np.int64
    assert values.dtype == np.float64
    return steps.tolist(), values.tolist()


def test_a_finished_run_is_read_back(folder):
    rows = [
        HEADER,
        row(100, train__loss=2.5, perf__mfu=0.25),
        row(100, "val", val__loss=3.0),
        row(200, train__loss=1.5, lr__lr=1e-3),
    ]
    events = [{"event": "compile", "attempt": 1}, {"event": "exit", "attempt": 2}]
    run = Run.load(write(folder, rows, RUN_JSON, events))
    assert columns(run, "train/loss") == ([100, 200], [2.5, 1.5])
    assert columns(run, "val/loss") == ([100], [3.0])
    assert columns(run, "perf/mfu") == ([100], [0.25])
    assert run.keys() == ["train/loss", "perf/mfu", "val/loss", "lr/lr"]
    assert list(run) == run.keys()
    assert run.steps.tolist() == [100, 200]
    assert len(run) == 3
    assert run.name == "first"
    assert run.header == RUN_JSON
    assert run.config == {"lr": 3e-4, "model": {"layers": 2}}
    assert run.events == events
    assert run.bad == []
    assert repr(run) == "Run('first', records=3, keys=4)"


def test_time_tokens_and_samples_are_columns(folder):
    last = {**row(3, train__loss=1.0), "samples": 7}
    run = Run.load(write(folder, [HEADER, row(2, train__loss=1.0), last]))
    assert columns(run, "time") == ([2, 3], [1.0, 1.5])
    assert columns(run, "tokens") == ([2, 3], [16.0, 24.0])
    assert columns(run, "samples") == ([3], [7.0])
    assert "time" in run
    assert "time" not in run.keys()


def test_non_finite_values_and_large_integers_come_back_as_numbers(folder):
    values = [math.nan, math.inf, -math.inf, 2**63, 5, True, 5e-324]
    rows = [row(n, train__x=value) for n, value in enumerate(values)]
    _, read = Run.load(write(folder, [HEADER, *rows]))["train/x"]
    np.testing.assert_array_equal(read, [float(value) for value in values])


def test_values_that_are_not_numbers_are_not_in_a_column(folder):
    lines = [
        HEADER,
        {**row(1), "train/note": "text", "train/none": None, "train/list": ["a"]},
        {"kind": "text", "step": 1, "split": "train", "train/sample": 3},
        {"kind": "header", "run_id": "another"},
    ]
    run = Run.load(write(folder, lines))
    assert run.keys() == []
    assert len(run) == 1
    assert run.header == HEADER


def test_an_unknown_key_is_an_error_that_names_similar_keys(folder):
    rows = [HEADER, row(1, train__loss=1.0, val__loss=2.0, train__accuracy=0.5)]
    run = Run.load(write(folder, rows, RUN_JSON))
    with pytest.raises(KeyError) as caught:
        run["loss"]
    assert "run 'first' has no key 'loss'" in str(caught.value)
    assert "['train/loss', 'val/loss']" in str(caught.value)
    with pytest.raises(KeyError, match="similar keys are .*train/accuracy"):
        run["train/acuracy"]
    with pytest.raises(KeyError, match="it has .*train/loss.*See run.keys"):
        run["zzz"]
    assert "loss" not in run


def test_records_are_sorted_by_step(folder):
    rows = [row(n, train__loss=float(n)) for n in (1, 2, 3)]
    rows += [row(1, "val", val__loss=10.0), row(4, train__loss=4.0)]
    run = Run.load(write(folder, [HEADER, *rows]))
    assert columns(run, "train/loss") == ([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])
    assert columns(run, "val/loss") == ([1], [10.0])
    assert columns(run, "tokens")[0] == [1, 2, 3, 4]
    assert len(run) == 5


def test_lines_of_a_step_and_split_are_one_record_and_the_later_value_counts(folder):
    rows = [row(1, a=1.0), row(2, a=2.0, b=20.0), row(3, a=3.0)]
    rows += [row(2, a=-2.0), row(3, a=-3.0, c=math.nan), row(2, "val", a=5.0)]
    rows += [row(3, c=math.nan), row(1, d=1.0)]
    with pytest.warns(UserWarning) as warned:
        run = Run.load(write(folder, [HEADER, *rows]))
    assert columns(run, "a") == ([1, 2, 3], [1.0, 5.0, -3.0])
    assert columns(run, "b") == ([2], [20.0])
    assert len(run) == 4
    assert run.to_pandas()["a"].tolist() == [1.0, -2.0, 5.0, -3.0]
    assert run.conflicts == {"a": (2, 2)}
    (message,) = [str(warning.message) for warning in warned]
    assert "Run 'name' has different values for one step: 'a' at 2 steps" in message
    assert warned[0].filename == __file__


def test_equal_values_of_a_step_are_one_value_without_a_warning(folder):
    rows = [row(1, a=1.0), row(1, b=math.nan), row(1, a=1.0, b=math.nan)]
    run = Run.load(write(folder, [HEADER, *rows, row(1, "val", a=1.0)]))
    assert run.summary()["a"]["count"] == 1 and run.conflicts == {}


def test_the_time_of_a_step_is_that_of_its_first_line(folder):
    late = row(1, "val", time=9.0, val__loss=1.0)  # evaluated while step 2 was running
    rows = [row(1, time=1.0, train__loss=1.0), row(2, time=2.0), late]
    run = Run.load(write(folder, [HEADER, *rows, row(1, time=8.0, extra=1.0)]))
    assert columns(run, "time") == ([1, 2], [1.0, 2.0])
    assert run.to_pandas()["time"].tolist() == [1.0, 9.0, 2.0]
    assert run.summary()["seconds"] == 9.0


def test_arrays_are_apart_from_numbers(folder):
    matrix = [[3, 1], ["NaN", 2]]
    rows = [{**row(2, train__loss=1.0), "val/confusion": matrix}]
    rows += [{**row(1), "val/confusion": [[0, 0], [0, 0]]}, row(3, "val")]
    run = Run.load(write(folder, [HEADER, *rows]))
    assert run.keys() == ["train/loss"] and "val/confusion" not in run
    steps, values = run["val/confusion"]
    assert (steps.tolist(), values.shape, values.dtype) == ([1, 2], (2, 2, 2), float)
    np.testing.assert_array_equal(values[1], [[3, 1], [math.nan, 2]])
    assert list(run.arrays) == ["val/confusion"] and run.left_out == {}
    with pytest.raises(KeyError, match="similar keys are .*val/confusion"):
        run["confusion"]


def test_arrays_of_integers_stay_integers(folder):
    big = 2**62 + 1
    rows = [
        {**row(1), "val/ids": [7, big], "val/mixed": [1, 2], "val/large": [2**63, 0]},
        {**row(2), "val/ids": [5, -big], "val/mixed": [1.0, 2], "val/large": [1, 2]},
    ]
    run = Run.load(write(folder, [HEADER, *rows]))
    ids = run["val/ids"][1]
    assert ids.dtype == np.int64 and ids.tolist() == [[7, big], [5, -big]]
    assert run.arrays["val/ids"][1][0].dtype == np.int64
    assert run["val/mixed"][1].dtype == run["val/large"][1].dtype == np.float64


def test_arrays_print_as_a_summary(folder):
    rows = [{**row(n), "val/top": list(range(1000)), "b": [[0.5]]} for n in (1, 9)]
    rows.append({**row(9), "c": [n / 2 for n in range(4)]})
    run = Run.load(write(folder, [HEADER, *rows]))
    assert repr(run.arrays) == (
        "{'val/top': 2 arrays of int64[1000], steps 1 to 9, 'b': 2 arrays of "
        "float64[1, 1], steps 1 to 9, 'c': 1 array of float64[4], step 9}"
    )


def test_arrays_of_different_shapes_are_not_stacked(folder):
    rows = [{**row(n), "top": list(range(n))} for n in (2, 2, 3, 4, 5)]
    run = Run.load(write(folder, [HEADER, *rows]))
    with pytest.raises(ValueError, match=r"\(2,\) at step 2, \(3,\) at step 3.*arrays"):
        run["top"]
    steps, arrays = run.arrays["top"]
    assert steps.tolist() == [len(array) for array in arrays] == [2, 3, 4, 5]


def test_an_unknown_key_of_a_run_without_metrics_names_the_missing_file(folder):
    folder.mkdir(parents=True)
    atomic_write(folder / "run.json", dumps({"run_id": "r"}).encode())
    with pytest.raises(KeyError, match=r"has no metrics\.jsonl, the record"):
        Run.load(folder)["train/loss"]


def test_a_caller_cannot_change_the_run_through_a_column(folder):
    run = Run.load(write(folder, [HEADER, row(1, a=1.0)]))
    steps, values = run["a"]
    steps[0], values[0] = 9, 9.0
    assert columns(run, "a") == ([1], [1.0])


def test_a_live_run_is_read_up_to_its_last_complete_line(folder):
    write(folder, [HEADER, row(1, a=1.0)], RUN_JSON)
    with AppendFile(folder / "metrics.jsonl") as file:
        file.write_line(dumps(row(2, a=2.0)))
        assert columns(Run.load(folder), "a") == ([1, 2], [1.0, 2.0])
        file.write_line(dumps(row(3, a=3.0)))
        assert columns(Run.load(folder), "a")[0] == [1, 2, 3]


def test_a_run_killed_within_a_line_is_read_up_to_that_line(folder):
    write(folder, [HEADER], RUN_JSON)
    result = run_python(
        """
        import os, signal, sys
        from jaxmetrics.record import AppendFile, Record, dumps

        write, lines = os.write, 0

        def write_or_die(fd, data):
            global lines
            lines += 1
            if lines <= 5:
                return write(fd, data)
            write(fd, bytes(data)[:30])
            os.kill(os.getpid(), signal.SIGKILL)

        file = AppendFile(sys.argv[1])
        os.write = write_or_die
        for step in range(1, 100):
            values = {"train/loss": 1 / step}
            file.write_line(dumps(Record(step, "train", values, step * 0.5).line()))
        """,
        folder / "metrics.jsonl",
    )
    assert result.returncode == -signal.SIGKILL
    assert not (folder / "metrics.jsonl").read_bytes().endswith(b"\n")
    steps, values = columns(Run.load(folder), "train/loss")
    assert steps == [1, 2, 3, 4, 5]
    assert values == [1 / step for step in steps]
    with pytest.warns(UserWarning, match="cut off by a kill"):
        write(folder, [row(6, train__loss=0.5)])
    assert columns(Run.load(folder), "train/loss")[0] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "line", ['{"step":2,', "[]", '{"split":"train"}', '{"step":"2"}']
)
def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(folder, line):
    write(folder, [HEADER, row(1, a=1.0), line, row(3, a=3.0)])
    with pytest.raises(CorruptLineError, match=r"metrics\.jsonl, line 3: "):
        Run.load(folder)
    run = Run.load(folder, errors="skip")
    assert columns(run, "a") == ([1, 3], [1.0, 3.0])
    assert [(name, number) for name, number, _ in run.bad] == [("metrics.jsonl", 3)]


@pytest.mark.parametrize(
    "line",
    [
        f'{{"step":{2**63}}}',
        '{"step":true}',
        '{"step":1.5}',
        '{"step":null}',
        '{"step":1,"split":3}',
    ],
)
def test_a_row_without_a_valid_step_and_split_is_damage(folder, line):
    write(folder, [HEADER, line])
    with pytest.raises(CorruptLineError, match="line 2: a row"):
        Run.load(folder)


def test_damage_in_events_and_in_run_json_is_reported(folder):
    write(folder, [HEADER, row(1, a=1.0)], [1, 2], ["damage", {"event": "x"}])
    with pytest.raises(CorruptLineError, match=r"run\.json is not .*a JSON list"):
        Run.load(folder)
    run = Run.load(folder, errors="skip")
    assert run.header == HEADER
    assert run.events == [{"event": "x"}]
    assert [name for name, _, _ in run.bad] == ["run.json", "events.jsonl"]
    (folder / "run.json").write_bytes(b"[" * 100_000)
    with pytest.raises(CorruptLineError, match="nested too deep"):
        Run.load(folder)


def test_a_run_without_records_is_empty(folder):
    folder.mkdir(parents=True)
    atomic_write(folder / "run.json", dumps({"run_id": "r"}).encode())
    run = Run.load(folder)
    assert (len(run), run.keys(), run.steps.tolist()) == (0, [], [])
    assert (run.name, run.config) == ("name", {})
    summary = run.summary()
    assert summary["steps"] == summary["attempts"] == 0
    assert math.isnan(summary["seconds"])
    with pytest.raises(KeyError, match="it has \\[\\]"):
        Run.load(write(folder, [HEADER]))["train/loss"]


def test_a_folder_without_a_run_is_an_error(folder, tmp_path):
    for path in (tmp_path, folder, "no/such"):
        with pytest.raises(FileNotFoundError, match="found neither.*run directory"):
            Run.load(path)
    with pytest.raises(ValueError, match="expected 'raise' or 'skip'"):
        Run.load(write(folder, [HEADER]), errors="ignore")


def test_the_summary_has_totals_and_statistics_of_each_key(folder):
    losses = [4.0, math.nan, 1.0, 2.0, 1.0, math.inf]
    rows = [row(10 * n, train__loss=loss) for n, loss in enumerate(losses, 1)]
    rows.append(row(60, "val", val__loss=7.0, time=31.5))
    summary = Run.load(write(folder, [HEADER, *rows], RUN_JSON)).summary()
    assert summary["train/loss"] == {
        "last": math.inf,
        "last_step": 60,
        "min": 1.0,
        "min_step": 30,
        "max": 4.0,
        "max_step": 10,
        "mean": 2.0,
        "count": 6,
        "nonfinite": 2,
    }
    assert summary["val/loss"]["mean"] == 7.0
    assert summary["steps"] == 60
    assert summary["seconds"] == 31.5
    rows.append(dict(kind="text", step=60, split="train", time=40.0, values={"a": "b"}))
    assert Run.load(write(folder, [HEADER, *rows], RUN_JSON)).seconds == 40.0
    assert summary["attempts"] == 2
    assert list(summary) == ["steps", "seconds", "attempts", "train/loss", "val/loss"]


def test_a_key_without_a_finite_value_has_no_minimum_and_maximum(folder):
    run = Run.load(write(folder, [HEADER, row(1, a=math.nan)]))
    summary = run.summary()["a"]
    assert all(math.isnan(summary[name]) for name in ("last", "min", "max", "mean"))
    assert summary["min_step"] is None
    assert (summary["count"], summary["nonfinite"]) == (1, 1)


@pytest.mark.parametrize(
    ("run_json", "events", "attempts"),
    [
        (None, [], 1),
        (RUN_JSON, [], 2),
        (RUN_JSON, [{"attempt": 3}, {"attempt": "x"}, {}], 3),
        ({"run_id": "r1"}, [], 1),
    ],
)
def test_attempts_are_counted_by_run_json_or_events(folder, run_json, events, attempts):
    run = Run.load(write(folder, [HEADER, row(1, a=1.0)], run_json, events))
    assert run.summary()["attempts"] == attempts


def test_a_data_frame_has_a_row_for_each_record(folder):
    rows = [
        row(2, train__loss=1.0),
        row(2, "val", val__loss=2.0),
        row(1, "val", val__loss=3.0),
    ]
    frame = Run.load(write(folder, [HEADER, *rows])).to_pandas()
    assert list(frame.columns) == [
        "step",
        "split",
        "time",
        "tokens",
        "train/loss",
        "val/loss",
    ]
    assert frame["step"].tolist() == [1, 2, 2]
    assert frame["step"].dtype == np.int64
    assert frame["split"].tolist() == ["val", "train", "val"]
    assert frame["val/loss"].tolist()[::2] == [3.0, 2.0]
    assert np.isnan(frame["val/loss"][1])
    assert frame["tokens"].tolist() == [8.0, 16.0, 16.0]


def test_an_empty_run_is_an_empty_frame(folder):
    frame = Run.load(write(folder, [HEADER])).to_pandas()
    assert list(frame.columns) == ["step", "split"]
    assert len(frame) == 0


def test_without_pandas_the_error_names_the_package_to_install(folder, monkeypatch):
    run = Run.load(write(folder, [HEADER, row(1, a=1.0)]))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install jaxmetrics\[pandas\]"):
        run.to_pandas()


def test_files_can_be_read_by_any_json_reader(folder):
    write(folder, [HEADER, row(1, train__loss=0.1, train__nan=math.nan)])
    text = (folder / "metrics.jsonl").read_text(encoding="ascii")
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[1]["train/loss"] == 0.1
    assert lines[1]["train/nan"] == "NaN"


def test_a_run_in_the_working_directory_has_the_name_of_the_folder(folder):
    write(folder, [HEADER])
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert Run.load(".").name == "name"
    finally:
        os.chdir(before)
