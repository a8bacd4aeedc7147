"""The command line: what it prints and writes, its exit codes, and what it refuses."""

import csv
import io
import json
import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas
import pytest

from jaxmetrics.cli import main
from jaxmetrics.record import AppendFile, Record, atomic_write, dumps
from jaxmetrics.runs import Tail, find_run, tail_lines
from jaxmetrics.runs.live._sparkline import Course, sparkline
from jaxmetrics.runs.live._watched import Series

COMMAND = [sys.executable, "-m", "jaxmetrics"]
HEADER = {"kind": "header", "schema": 1, "run_id": "r1"}


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
EVENTS = [{"event": "start", "attempt": 1}, {"event": "start", "attempt": 2}]


def add(path, *lines):
    with AppendFile(path) as file:
        for line in lines:
            file.write_line(line if isinstance(line, str) else dumps(line))


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make runs below `runs`, in the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(name="demo/one", rows=ROWS, events=EVENTS, hparams=None, mtime=None):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        add(folder / "metrics.jsonl", *rows)
        add(folder / "events.jsonl", *events)
        described = {"run_name": folder.name, "hparams": hparams or {}}
        atomic_write(folder / "run.json", dumps(described).encode())
        if mtime is not None:
            for path in folder.iterdir():
                os.utime(path, (mtime, mtime))
        return folder

    return make


@pytest.fixture
def call(capsys):
    """Run a command: its exit status, what it printed, and what it complained of."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call


def modules_after(*arguments, cwd):
    """What is imported by a command, in a process of its own."""
    script = (
        "import sys; from jaxmetrics.cli import main; status = main(sys.argv[1:]);"
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stderr.split()}, done.stdout


def test_help_names_every_verb_and_imports_next_to_nothing(tmp_path):
    loaded, text = modules_after("--help", cwd=tmp_path)
    for verb in ("demo", "report", "plot", "compare", "tail", "export", "doctor"):
        assert f"\n    {verb} " in text
    assert not loaded & {"jax", "numpy", "matplotlib", "pandas", "rich", "pyarrow"}


@pytest.mark.parametrize(
    "verb", [["export", "--format", "json"], ["tail", "--once"]], ids=lambda v: v[0]
)
def test_reading_a_run_imports_neither_jax_nor_a_plotter(make, tmp_path, verb):
    make()
    loaded, text = modules_after(verb[0], "demo/one", *verb[1:], cwd=tmp_path)
    assert "train/loss" in text
    assert not loaded & {"jax", "matplotlib", "pandas", "rich", "pyarrow", "flax"}


def test_the_script_and_the_module_are_the_same_program(tmp_path):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"jaxmetrics": "jaxmetrics.cli:main"}
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == project["project"]["version"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["report"],
        ["export", "demo"],
        ["export", "demo", "--format", "xml"],
        ["export", "demo", "--output", "out.xml"],
        ["compare", "demo/one"],
        ["compare", "a", "b", "--target", "val/loss"],
        ["compare", "a", "b", "--better", "val/loss=least"],
        ["compare", "a", "b", "--x", "epoch"],
        ["tail", "demo", "--every", "0"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_2_and_say_why(make, call, arguments):
    make()
    status, out, complaint = call(*arguments)
    assert (status, out) == (2, "")
    assert complaint.startswith(("usage: jaxmetrics", "jaxmetrics "))


def shown_commands():
    """The commands that the page on the command line shows, but those that train."""
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = "".join(blocks).splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert {"tail", "report", "compare", "export"} <= {words[0] for words in commands}
    return [words for words in commands if words[0] not in ("demo", "doctor")]


@pytest.mark.parametrize("words", shown_commands(), ids=" ".join)
def test_a_command_of_the_documentation_runs(make, call, words):
    make()
    make("demo/two")
    assert words.count(">") <= 1
    arguments = words[: words.index(">")] if ">" in words else words
    status, out, complaint = call(*arguments)
    assert (status, complaint) == (0, "") and out


def test_demo_has_its_own_options(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--steps", "0", "--kill-at", "-1"])
    assert ended.value.code == 2
    assert "usage: jaxmetrics demo" in capsys.readouterr().err


class TestFinding:
    def test_a_run_is_found_by_path_by_name_and_by_project(self, make, tmp_path):
        old, new = make("demo/one", mtime=1000), make("demo/two", mtime=2000)
        make("demo/two.old-1", mtime=3000)
        (tmp_path / "runs/demo/cache").mkdir()
        assert find_run(old) == old
        assert find_run(old / "metrics.jsonl") == old / "metrics.jsonl"
        assert find_run("demo/one", tmp_path / "runs") == old
        assert find_run("demo", tmp_path / "runs") == new
        assert find_run(tmp_path / "runs/demo") == new
        assert find_run("demo/two.old-1", tmp_path / "runs").name == "two.old-1"

    @pytest.mark.parametrize(
        "given, advice",
        [
            ("demo/onee", "Did you mean demo/one?"),
            ("runs/demo/onn", "Did you mean demo/one?"),
            ("one", "Did you mean demo/one?"),
            ("nothing-like-it", "The latest run in runs is demo/three."),
        ],
    )
    def test_a_wrong_name_is_1_and_names_the_nearest(self, make, call, given, advice):
        make("demo/one", mtime=1000)
        make("demo/three", mtime=2000)
        status, out, complaint = call("report", given)
        assert (status, out) == (1, "")
        assert complaint == (
            f"jaxmetrics report: There is no run at {given}, and no {given} in runs. "
            f"{advice}\n"
        )

    def test_without_any_run_it_says_what_to_give(self, call, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        status, _, complaint = call("tail", "x", "--root", tmp_path / "none")
        assert status == 1
        assert "There are no runs in" in complaint and "--root" in complaint

    def test_debug_shows_where_it_came_from(self, make):
        with pytest.raises(FileNotFoundError):
            main(["report", "x", "--debug", "--root", "none"])


class TestReport:
    def test_one_command_writes_report_page_and_plots(self, make, call):
        folder = make()
        status, out, complaint = call("report", "demo/one", "--json")
        assert (status, complaint) == (0, "")
        told = json.loads(out)
        assert told["report"] == "runs/demo/one/training_report.md"
        assert told["page"] == "runs/demo/one/report.html"
        assert len(told["plots"]) >= 11
        assert all(Path(path).is_file() for path in told["plots"])
        text = (folder / "training_report.md").read_text()
        assert "(loss_linear.png)" in text and "train/loss" in text
        # Files of ours are made anew without a question.
        status, out, _ = call("report", "demo/one", "--no-plots")
        assert status == 0
        assert out.splitlines() == [
            "runs/demo/one/training_report.md",
            "runs/demo/one/report.html",
        ]

    def test_what_somebody_has_edited_is_replaced_only_by_force(self, make, call):
        folder = make()
        mine = {"training_report.md": b"mine", "report.html": b"<p>mine"}
        for name, data in mine.items():
            (folder / name).write_bytes(data)
        status, out, complaint = call("report", "demo/one", "--no-plots")
        assert (status, out) == (1, "")
        assert "give --force" in complaint and "overwrite=True" not in complaint
        assert {name: (folder / name).read_bytes() for name in mine} == mine
        assert call("report", "demo/one", "--no-plots", "--force")[0] == 0
        assert b"mine" not in (folder / "report.html").read_bytes()

    def test_plots_go_elsewhere_and_a_picture_of_others_is_kept(self, make, call):
        make()
        other = Path("pictures/loss_log.png")
        other.parent.mkdir()
        other.write_bytes(b"mine")
        plot = ("plot", "demo/one", "--output", "pictures", "--dpi", "30")
        status, _, complaint = call(*plot)
        assert status == 1 and "loss_log.png is there" in complaint
        assert other.read_bytes() == b"mine"
        status, out, _ = call(*plot, "--force")
        assert status == 0 and "pictures/training_dashboard.png" in out.splitlines()
        assert other.read_bytes().startswith(b"\x89PNG")


class TestCompare:
    def test_tables_name_what_differs_and_when_a_target_was_reached(self, make, call):
        make(hparams={"lr": 0.1, "api_key": "hunter2hunter2"})
        slower = [HEADER, row(100, train__loss=3.0), row(400, "val", val__loss=2.5)]
        make("demo/two", slower, hparams={"lr": 0.2, "api_key": "other"})
        arguments = ("compare", "demo/one", "demo/two", "--target", "val/loss=2.2")
        status, out, complaint = call(*arguments, "--page", "out/page.html")
        assert (status, complaint) == (0, "page: out/page.html\n")
        lines = out.splitlines()
        assert lines[0] == "Only one has lr/lr."
        cells = [line.split() for line in lines]
        assert ["lr", "0.1", "0.2"] in cells
        assert ["val/loss", "2", "2.5"] in cells
        assert ["val/loss", "≤", "2.2", "300", "not", "reached"] in cells
        assert "hunter2" not in out
        assert b"Comparison of runs" in Path("out/page.html").read_bytes()

    def test_data_and_plots(self, make, call):
        make()
        make("demo/two", ROWS[:3], hparams={"token": "hunter2hunter2"})
        arguments = ("compare", "demo/one", "demo/two", "--x", "tokens", "--json")
        status, out, _ = call(*arguments, "--plots", "plots")
        told = json.loads(out)
        assert status == 0 and told["x"] == "tokens" and "hunter2" not in out
        losses = {r["run"]: r for r in told["results"] if r["key"] == "train/loss"}
        assert losses["one"]["last"] == 1.5 and losses["one"]["nonfinite"] == 1
        assert losses["two"]["last_at"] == 102400
        assert Path("plots/compare_train_loss.png").is_file()

    def test_runs_without_a_metric_in_common_are_1(self, make, call):
        make()
        make("demo/two", [HEADER, row(1, test__other=1.0)])
        status, out, complaint = call("compare", "demo/one", "demo/two")
        assert status == 1
        assert "These runs have no metric in common" in out
        assert complaint.endswith("these runs have no metric in common\n")

    def test_a_target_that_cannot_be_judged_says_which_option_to_give(self, make, call):
        make()
        make("demo/two")
        arguments = ["compare", "demo/one", "demo/two", "--target", "lr/lr=6e-4"]
        status, _, complaint = call(*arguments)
        assert status == 1 and "Give --better KEY=min or KEY=max." in complaint
        arguments += ["--better", "lr/lr=min", "--json", "--keys", "lr/*"]
        status, out, _ = call(*arguments)
        assert {found["key"] for found in json.loads(out)["results"]} == {"lr/lr"}
        assert [found["at"] for found in json.loads(out)["targets"]] == [200, 200]


class TestExport:
    def test_csv_keeps_missing_and_nan_apart(self, make, call):
        make()
        status, out, complaint = call("export", "demo/one", "--format", "csv")
        assert (status, complaint) == (0, "")
        assert out == (
            "step,split,time,tokens,val/loss,train/loss,lr/lr\n"
            "0,val,0.0,,4.0,,\n"
            "100,train,50.0,102400,,2.5,0.001\n"
            "200,train,100.0,204800,,nan,0.0005\n"
            "300,val,150.0,,2.0,,\n"
            "300,train,150.0,307200,,1.5,\n"
        )

    def test_every_format_reads_back_with_the_same_numbers(self, make, call):
        folder = make()
        values = np.random.default_rng(0).normal(size=5000) * 1e-7
        rows = [row(i + 1, train__x=float(v)) for i, v in enumerate(values)]
        add(folder / "metrics.jsonl", *rows)  # more than one stretch of records
        read = {
            "csv": pandas.read_csv,
            "json": pandas.read_json,
            "parquet": pandas.read_parquet,
        }
        for form, reader in read.items():
            path = f"out/run.{form}"
            status, out, _ = call("export", "demo/one", "--output", path)
            assert (status, out) == (0, f"{path}\n")
            options = {"precise_float": True} if form == "json" else {}
            frame = reader(path, **options)
            kept = frame[frame["train/x"].notna()]
            np.testing.assert_allclose(kept["train/x"], values, rtol=4e-16)
            assert kept["step"].tolist() == list(range(1, 5001))
            assert set(kept["split"]) == {"train"}
        told = {
            row["step"]: row for row in json.loads(Path("out/run.json").read_text())
        }
        assert told[200]["train/loss"] == "NaN" and "train/loss" not in told[201]

    def test_parquet_has_nulls_where_there_is_no_value(self, make, call):
        from pyarrow import parquet

        make()
        assert call("export", "demo/one", "--output", "run.parquet")[0] == 0
        columns = parquet.read_table("run.parquet").to_pydict()
        assert columns["tokens"] == [None, 102400, 204800, None, 307200]
        assert columns["split"] == ["val", "train", "train", "val", "train"]
        losses = columns["train/loss"]
        assert losses[0] is None and math.isnan(losses[2]) and losses[4] == 1.5

    def test_a_file_is_not_replaced_without_asking(self, make, call):
        make()
        out = Path("out.csv")
        out.write_text("mine")
        status, _, complaint = call("export", "demo/one", "--output", out)
        assert status == 1
        assert complaint == (
            "jaxmetrics export: out.csv is there. Move it away, choose another file, "
            "or give --force to replace it.\n"
        )
        assert out.read_text() == "mine"
        assert call("export", "demo/one", "--output", out, "--force")[0] == 0
        assert out.read_text().startswith("step,")

    @pytest.mark.parametrize("answer, status", [("y", 0), ("n", 1), ("", 1)])
    def test_somebody_at_a_terminal_is_asked(self, make, tmp_path, answer, status):
        make()
        out = tmp_path / "out.csv"
        out.write_text("mine")
        theirs, ours = pty.openpty()
        os.write(theirs, f"{answer}\n".encode())
        done = subprocess.run(
            [*COMMAND, "export", "demo/one", "--output", "out.csv"],
            stdin=ours,
            stderr=ours,
            stdout=subprocess.PIPE,
        )
        shown = os.read(theirs, 10_000).decode()
        os.close(theirs)
        os.close(ours)
        assert "out.csv is there.\r\nReplace it? [y/N] " in shown
        assert done.returncode == status
        assert (out.read_text() == "mine") == (status == 1)

    def test_parquet_without_pyarrow_says_what_to_install(
        self, make, call, monkeypatch
    ):
        make()
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        status, _, complaint = call("export", "demo/one", "--output", "a.parquet")
        assert status == 1 and "pip install pyarrow" in complaint
        assert not Path("a.parquet").exists()

    def test_names_are_no_formulas_for_a_spreadsheet(self, make, call):
        make(rows=[HEADER, {**row(1, "=1+1"), "=cmd()": 1.0, "a,\nb": 2.0}])
        _, out, _ = call("export", "demo/one", "--format", "csv")
        head, cells = list(csv.reader(io.StringIO(out)))
        assert head[-2:] == ["'=cmd()", r"a,\x0ab"]
        assert cells[1] == "'=1+1"

    def test_a_reader_that_goes_away_ends_it_quietly(self, make, tmp_path):
        folder = make()
        add(folder / "metrics.jsonl", *(row(i, train__x=1.0) for i in range(301, 2000)))
        nobody, pipe = os.pipe()
        os.close(nobody)
        command = [*COMMAND, "export", "demo/one", "--format", "json"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE)
        os.close(pipe)
        assert (done.returncode, done.stderr) == (141, b"")


class TestBadInput:
    @pytest.mark.parametrize("verb", ["report", "plot", "export"])
    def test_a_damaged_line_is_named_and_may_be_passed_over(self, make, call, verb):
        make(rows=[*ROWS, '{"step": 400, "split', row(500, train__loss=1.0)])
        option = {
            "report": ["--no-plots"],
            "plot": ["--dpi", "20"],
            "export": ["--format", "csv"],
        }[verb]
        status, out, complaint = call(verb, "demo/one", *option)
        assert (status, out) == (1, "")
        assert "metrics.jsonl, line 7: not JSON" in complaint
        assert "with --skip-damaged" in complaint
        status, out, complaint = call(verb, "demo/one", *option, "--skip-damaged")
        assert status == 0 and out
        assert complaint.startswith(
            f"jaxmetrics {verb}: metrics.jsonl, line 7 was passed over: not JSON"
        )

    @pytest.mark.parametrize("verb", ["report", "plot", "export"])
    def test_a_run_without_values_is_1(self, make, call, verb):
        make(rows=[HEADER])
        option = ["--format", "csv"] if verb == "export" else []
        status, out, complaint = call(verb, "demo/one", *option)
        assert (status, out) == (1, "")
        assert complaint.startswith(f"jaxmetrics {verb}: runs/demo/one has no ")

    def test_a_metric_of_texts_is_named(self, make, call):
        texts = [{**row(i), "train/note": f"note {i}"} for i in (1, 2)]
        make(rows=[HEADER, *texts])
        status, _, complaint = call("plot", "demo/one")
        assert status == 1
        assert "train/note: 2 values are no numbers, and are left out" in complaint
        assert "has no values yet that are numbers" in complaint
        status, out, complaint = call("export", "demo/one", "--format", "csv")
        assert status == 0 and "train/note: 2 values" in complaint
        assert out.splitlines()[0] == "step,split,time,tokens"

    def test_no_message_holds_what_a_terminal_would_obey(self, make, call):
        make("demo/one", [*ROWS, '"\x1b]0;owned\x07"', row(500)])
        status, _, complaint = call("export", "demo/one\x1b[2J", "--format", "csv")
        assert status == 1 and r"one\x1b[2J" in complaint and "\x1b" not in complaint

    def test_a_pipe_in_the_place_of_a_file_is_refused(self, tmp_path, call):
        os.mkfifo(tmp_path / "pipe")
        folder = tmp_path / "run"
        folder.mkdir()
        atomic_write(folder / "run.json", b"{}")
        os.mkfifo(folder / "metrics.jsonl")
        for verb in (["tail", "--once"], ["export", "--format", "csv"]):
            status, _, complaint = call(verb[0], folder, *verb[1:])
            assert status == 1 and "not a regular file" in complaint


class TestTail:
    def view(self, folder, **options):
        return Tail(folder, **options).read()

    def test_its_text(self, make):
        alarm = {"event": "alarm", "step": 200, "message": "loss is nan"}
        folder = make(events=[*EVENTS, alarm], mtime=1000)
        assert tail_lines(self.view(folder), now=1012.3, width=60) == [
            "demo/one: step 300 · 2 min 30 s of training · 307,200 token…",
            "1 alarm, the last at step 200: loss is nan",
            "",
            "              last   least  greatest",
            "val/loss         2       2         4  █▁",
            "train/loss     1.5     1.5       2.5  █×▁",
            "lr/lr       0.0005  0.0005     0.001  █▁",
        ]
        head = tail_lines(self.view(folder), now=1012.3, width=200)[0]
        assert head.endswith("tokens · attempt 2 · last record 12.3 s ago")

    def test_it_follows_what_is_added_cut_back_and_closed(self, make):
        folder = make()
        tail = Tail(folder, ["train/*"])
        assert tail.read().metrics.series["train/loss"].count == 3
        add(folder / "metrics.jsonl", row(400, train__loss=9.0))
        add(folder / "events.jsonl", {"event": "close", "attempt": 2})
        view = tail.read()
        assert view.metrics.series["train/loss"].greatest == 9.0
        assert view.metrics.step == 400 and view.events.closed
        assert list(view.metrics.series) == ["train/loss"]
        # A resumed run cuts its file back and goes on, past where it had been read.
        with AppendFile(folder / "metrics.jsonl") as file:
            file.cut_after_step(200, "200")
            for step in (300, 400, 500):
                file.write_line(dumps(row(step, train__loss=0.5)))
        add(folder / "events.jsonl", {"event": "start", "attempt": 3})
        view = tail.read()
        assert view.metrics.step == 500 and view.metrics.records == 6
        assert view.metrics.series["train/loss"].greatest == 2.5
        assert (view.events.attempt, view.events.closed) == (3, False)

    def test_only_new_bytes_are_read(self, make, monkeypatch):
        folder = make()
        tail = Tail(folder)
        tail.read()
        seen = []
        monkeypatch.setattr(
            tail._metrics, "add", lambda n, rows: seen.append((n, rows))
        )
        tail.read()
        assert seen == []
        add(folder / "metrics.jsonl", row(400, train__loss=1.0))
        tail.read()
        assert seen == [(7, [row(400, train__loss=1.0)])]

    def test_a_torn_last_line_is_no_row_until_it_is_whole(self, make):
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

    def test_a_run_that_has_not_begun_says_so(self, tmp_path):
        tail = Tail(tmp_path, name="demo/new")
        assert tail_lines(tail.read(), now=0.0) == ["demo/new: no record yet", ""]
        add(tmp_path / "metrics.jsonl", *ROWS)
        assert tail.read().metrics.step == 300

    def test_damaged_lines_are_named_and_counted(self, make):
        bad = ["[1]", '{"step": "x"}', "nonsense", "{}", "1"]
        view = self.view(make(rows=[*ROWS, *bad], mtime=1))
        assert view.metrics.damaged == 5
        shown = tail_lines(view, now=1.0, width=70)
        assert shown[1:5] == [
            "line 9 was passed over: not JSON (Expecting value: line 1 column 1 (c…",
            "line 10 was passed over: a row without a step of 64 bits",
            "line 11 was passed over: a JSON int",
            "5 lines were passed over",
        ]

    def test_texts_are_shown_and_nothing_is_obeyed(self, make):
        evil = {**row(1), "train/\x1b[31mred": 1.0, "train/note": "\x1b]0;owned\x07hi"}
        view = self.view(make("demo/one", [HEADER, evil], mtime=1))
        shown = tail_lines(view, now=1.0, width=90)
        assert shown[-2].startswith(r"train/\x1b[31mred")
        assert shown[-1].split() == ["train/note", "'\\\\x1b]0;owned\\\\x07hi'"]
        assert all(line.isprintable() for line in shown)

    def test_it_fits_the_window(self, make):
        many = {f"train/metric_with_a_long_name_{i}": float(i) for i in range(50)}
        view = self.view(make(rows=[HEADER, {**row(1), **many}], mtime=1))
        shown = tail_lines(view, now=1.0, width=40, height=12)
        assert len(shown) <= 12 and all(len(line) <= 40 for line in shown)
        assert shown[-1] == "and 43 more keys"
        assert len(tail_lines(view, now=1.0, width=40)) == 53

    def test_what_it_keeps_does_not_grow_with_the_run(self):
        values = np.sin(np.arange(1_000_000) / 1e5)
        values[123_456], values[777] = 9.0, math.inf
        of = Series()
        for part in np.array_split(values, 37):
            of.add(range(len(part)), part)
        assert of.greatest == 9.0 and of.nonfinite == 1 and of.count == 1_000_000
        means = of.course.means(40)
        assert len(means) <= 40 and np.isnan(means[0]) and np.isfinite(means[1:]).all()
        assert len(of.course._sums) == 128
        whole = Course()
        whole.add(values[1000:2000])
        np.testing.assert_allclose(
            whole.means(128), [part.mean() for part in np.split(values[1000:2000], 125)]
        )

    def test_more_keys_than_anybody_reads_are_only_counted(self, make):
        many = {f"k/{i}": 1.0 for i in range(1500)}
        view = self.view(make(rows=[HEADER, {**row(1), **many}]))
        assert len(view.metrics.series) == 1000 and len(view.metrics.more_keys) == 500

    @pytest.mark.parametrize(
        "values, line",
        [
            ([], ""),
            ([3.0], "▄"),
            ([math.nan, math.nan], "××"),
            ([-1e308, 1e308, 0.0], "▁█▅"),
            (list(range(8)), "▁▂▃▄▅▆▇█"),
        ],
    )
    def test_a_sparkline(self, values, line):
        assert sparkline(np.array(values, np.float64)) == line

    def test_as_data(self, make, call):
        folder = make()
        status, out, _ = call("tail", "demo", "--json", "--keys", "train/*")
        told = json.loads(out)
        assert status == 0 and told["step"] == 300 and told["closed"] is False
        assert told["metrics"] == {
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
        status, out, _ = call("tail", folder / "metrics.jsonl", "--once")
        assert status == 0 and out.startswith("one/metrics.jsonl: step 300")

    def test_in_a_terminal_it_goes_on_until_interrupted(self, make):
        make()
        theirs, ours = pty.openpty()
        child = subprocess.Popen(
            [*COMMAND, "tail", "demo/one", "--every", "0.05"],
            stdin=ours,
            stdout=ours,
            stderr=subprocess.PIPE,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "20"},
        )
        shown = b""
        while b"lr/lr" not in shown:
            shown += os.read(theirs, 10_000)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, complaint = child.communicate(timeout=60)
        os.close(theirs)
        os.close(ours)
        assert (child.returncode, complaint) == (130, b"")
        assert "train/loss" in shown.decode()
