import csv
import io
import json
import math
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from support.command_line import COMMAND, HEADER, ROWS, add, row
from support.runs import epoch, write_epochs, write_run

from jaxmetrics.figures import THEMES
from jaxmetrics.record import MetricsEntry, dumps


class TestReport:
    def test_one_command_writes_report_page_and_plots(self, make, call):
        folder = make()
        status, out, message = call("report", "demo/one", "--json")
        assert (status, message) == (0, "")
        data = json.loads(out)
        assert data["report"] == "runs/demo/one/training_report.md"
        assert data["page"] == "runs/demo/one/report.html"
        names = {Path(path).stem for path in data["plots"]}
        assert {"loss_linear", "learning_rate", "training_dashboard"} <= names
        assert all(Path(path).is_file() for path in data["plots"])
        text = (folder / "training_report.md").read_text()
        assert "(loss_linear.png)" in text and "train/loss" in text
        # Own files are replaced without a question.
        status, out, _ = call("report", "demo/one", "--no-plots")
        assert status == 0
        assert out.splitlines() == [
            "runs/demo/one/training_report.md",
            "runs/demo/one/report.html",
        ]
        # Those of an earlier report may be out of date.
        assert ".png" not in (folder / "training_report.md").read_text()

    def test_the_text_is_written_before_the_plots(self, make, call):
        folder = make()
        (folder / "loss_log.png").write_bytes(b"mine")
        status, _, message = call("report", "demo/one")
        assert status == 1 and "loss_log.png exists" in message
        assert "train/loss" in (folder / "training_report.md").read_text()
        assert (folder / "report.html").is_file()

    def test_edited_files_are_replaced_only_with_force(self, make, call):
        folder = make()
        mine = {"training_report.md": b"mine", "report.html": b"<p>mine"}
        for name, data in mine.items():
            (folder / name).write_bytes(data)
        status, out, message = call("report", "demo/one", "--no-plots")
        assert (status, out) == (1, "")
        assert "or give --force." in message and "overwrite" not in message
        assert {name: (folder / name).read_bytes() for name in mine} == mine
        assert call("report", "demo/one", "--no-plots", "--force")[0] == 0
        assert b"mine" not in (folder / "report.html").read_bytes()

    def test_plots_go_to_the_output_folder_and_keep_other_files(self, make, call):
        ends = (("start", "01"), ("close", "09"))  # without steps: no time by category
        make(
            events=[
                {"event": name, "attempt": 1, "time": f"2026-01-01T00:00:{at}+00:00"}
                for name, at in ends
            ]
        )
        other = Path("pictures/loss_log.png")
        other.parent.mkdir()
        other.write_bytes(b"mine")
        plot = ("plot", "demo/one", "--output", "pictures", "--dpi", "30")
        status, _, message = call(*plot)
        assert status == 1 and "loss_log.png exists" in message
        assert other.read_bytes() == b"mine"
        status, out, _ = call(*plot, "--force")
        assert status == 0 and "pictures/training_dashboard.png" in out.splitlines()
        assert "goodput_breakdown" not in out
        assert other.read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize(
        ("format", "theme", "start"),
        [("svg", "light", b"<?xml"), ("pdf", "dark", b"%PDF-")],
    )
    def test_plots_have_the_format_and_the_theme(
        self, make, call, format, theme, start
    ):
        make()
        plot = ("plot", "demo/one", "--output", "pictures", "--theme", theme)
        status, out, message = call(*plot, "--format", format)
        assert (status, message) == (0, "")
        path = Path(f"pictures/loss_linear.{format}")
        assert str(path) in out.splitlines()
        content = path.read_bytes()
        assert content.startswith(start)
        if format == "svg":
            background = THEMES[theme].background.encode()
            assert background in content
            assert THEMES["dark"].background.encode() not in content

    def test_an_unknown_format_or_theme_is_refused(self, make, call):
        make()
        for option in (("--format", "gif"), ("--theme", "pink")):
            status, _, message = call("plot", "demo/one", *option)
            assert status == 2 and option[1] in message


class TestCompare:
    def test_tables_show_differences_and_targets(self, make, call):
        make(hparams={"lr": 0.1, "api_key": "hunter2hunter2"})
        slower = [HEADER, row(100, train__loss=3.0), row(400, "val", val__loss=2.5)]
        make("demo/two", slower, hparams={"lr": 0.2, "api_key": "other"})
        arguments = ("compare", "demo/one", "demo/two", "--target", "val/loss=2.2")
        status, out, message = call(*arguments, "--page", "out/page.html")
        assert (status, message) == (0, "page: out/page.html\n")
        lines = out.splitlines()
        assert lines[0] == "Only one has lr/lr."
        cells = [line.split() for line in lines]
        assert ["lr", "0.1", "0.2"] in cells
        assert ["val/loss", "2", "2.5"] in cells
        start = cells.index(["run", "val/loss", "≤", "2.2"])
        assert cells[start + 1 :] == [["one", "300"], ["two", "not", "reached"]]
        assert "hunter2" not in out
        assert b"Comparison of runs" in Path("out/page.html").read_bytes()

    def test_a_project_or_a_pattern_stands_for_its_runs(self, make, call):
        for n, loss in enumerate((3.0, 1.0, 2.0)):
            make(f"sweep/lr{n}", [HEADER, row(1, train__loss=loss)])
        make("sweep/other", [HEADER, row(1, train__loss=0.5)])
        for name, ranked in (
            ("sweep", ["other", "lr1", "lr2", "lr0"]),
            ("sweep/lr*", ["lr1", "lr2", "lr0"]),
        ):
            status, out, message = call("compare", name)
            assert (status, message) == (0, "")
            rows = [line.split() for line in out.splitlines()]
            ranked_by = ["Ranked", "by", "train/loss,"]
            start = next(i for i, row in enumerate(rows) if row[:3] == ranked_by) + 2
            assert [row[0] for row in rows[start : start + len(ranked)]] == ranked
        arguments = ("--rank-by", "train/loss", "--better", "train/loss=max")
        out = call("compare", "sweep", *arguments, "--json")[1]
        assert json.loads(out)["ranked"] == ["lr0", "lr2", "lr1", "other"]
        out = call("compare", "sweep/lr*", "--keys", "lr/*")[1]
        names = [line.split()[:1] for line in out.splitlines()]
        assert [["lr1"], ["lr2"], ["lr0"]] in [names[n : n + 3] for n in range(9)]
        status, _, message = call("compare", "sweep/lr0", "runs/sweep/lr0")
        assert status == 2 and "or a project that has them" in message

    def test_json_and_plots(self, make, call):
        make()
        make("demo/two", ROWS[:3], hparams={"token": "hunter2hunter2"})
        arguments = ("compare", "demo/one", "demo/two", "--x", "tokens", "--json")
        status, out, _ = call(*arguments, "--plots", "plots")
        data = json.loads(out)
        assert status == 0 and data["x"] == "tokens" and "hunter2" not in out
        losses = {r["run"]: r for r in data["results"] if r["key"] == "train/loss"}
        assert losses["one"]["last"] == 1.5 and losses["one"]["nonfinite"] == 1
        assert losses["two"]["last_x"] == 102400
        assert Path("plots/compare_train_loss.png").is_file()

    def test_runs_without_a_metric_in_common_are_1(self, make, call):
        make()
        make("demo/two", [HEADER, row(1, test__other=1.0)])
        status, out, message = call("compare", "demo/one", "demo/two")
        assert status == 1
        assert "These runs have no metric in common" in out
        assert message.endswith("these runs have no metric in common\n")

    def test_a_target_of_unknown_direction_names_the_option(self, make, call):
        make()
        make("demo/two")
        arguments = ["compare", "demo/one", "demo/two", "--target", "lr/lr=6e-4"]
        status, _, message = call(*arguments)
        assert status == 1 and "Give --better 'lr/lr=min' or 'lr/lr=max'." in message
        arguments += ["--better", "lr/lr=min", "--json", "--keys", "lr/*"]
        status, out, _ = call(*arguments)
        keys = {found["key"] for found in json.loads(out)["results"]}
        assert keys == {"lr/lr", "val/loss"}  # and the one by which they are ranked
        assert [found["x"] for found in json.loads(out)["targets"]] == [200, 200]


def test_outputs_may_be_below_the_home_directory(make, call, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    make(), make("demo/two")
    for command in (
        ("report", "demo/one", "--output=~/report", "--no-plots"),
        ("plot", "demo/one", "--output=~/plots"),
        ("compare", "demo", "--page=~/page.html", "--plots=~/compared"),
        ("export", "demo", "--output=~/all.csv"),
    ):
        assert call(*command)[0] == 0
    assert not Path("~").exists()
    assert {path.name for path in home.iterdir()} == (
        {"report", "plots", "page.html", "compared", "all.csv"}
    )


class TestOtherFiles:
    """Folders of epochs and files of a `MetricsLog` are taken like runs."""

    @pytest.fixture
    def paths(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_epochs(tmp_path / "a", epoch(1, 2.0), epoch(2, 1.0))
        entries = [MetricsEntry(n, 9.0, 1.0 / n, 1.0, 8.0, {"z": n}) for n in (1, 2)]
        add(tmp_path / "log.jsonl", *(dumps(entry.line()) for entry in entries))
        return "a", "log.jsonl"

    def test_they_are_exported_compared_and_followed(self, paths, call):
        for path, last in zip(
            paths, ("2,train,1.0", "2,train,0.009,9.0,0.5,1.0,8.0,2.0")
        ):
            status, out, message = call("export", path, "--format", "csv")
            assert (status, message, out.splitlines()[-1]) == (0, "", last)
            status, out, message = call("tail", path, "--once")
            assert (status, message) == (0, "") and "no record" not in out
        assert call("tail", "a", "--once")[1].startswith(
            Path.cwd().name + "/a: epoch 2"
        )
        status, out, message = call("compare", *paths)
        assert (status, message) == (0, "")
        assert out.splitlines()[0] == "The steps of a are epochs."
        assert ["train/loss", "1", "0.5"] in [line.split() for line in out.splitlines()]

    def test_a_run_without_metrics_says_what_is_missing(self, tmp_path, call):
        write_run(tmp_path / "run", [])
        (tmp_path / "run" / "metrics.jsonl").unlink()
        for command in ("report", "plot"):
            status, _, message = call(command, tmp_path / "run")
            assert status == 1 and "has no metrics.jsonl, the record" in message
        assert "no metrics.jsonl yet" in call("tail", tmp_path / "run", "--once")[1]


class TestExport:
    def test_csv_keeps_missing_and_nan_apart(self, make, call):
        make()
        status, out, message = call("export", "demo/one", "--format", "csv")
        assert (status, message) == (0, "")
        assert out == (
            "step,split,time,tokens,val/loss,train/loss,lr/lr\n"
            "0,val,0.0,,4.0,,\n"
            "100,train,50.0,102400,,2.5,0.001\n"
            "200,train,100.0,204800,,nan,0.0005\n"
            "300,val,150.0,,2.0,,\n"
            "300,train,150.0,307200,,1.5,\n"
        )

    def test_what_is_left_out_is_said_in_one_line_each(self, make, call):
        rows = [HEADER, row(1, train__loss=1.0), row(1, train__loss=2.0)]
        make(rows=[*rows, {**row(2), "val/confusion": [[1, 2], [3, 4]]}])
        for more in ((), ("--output", "out.csv")):
            arguments = ("export", "demo/one", "--format", "csv", *more)
            status, _, message = call(*arguments, "--force")
            assert status == 0
            assert message.splitlines() == [
                "jaxmetrics export: train/loss: 1 steps from 1 have different values; "
                "the later one counts",
                "jaxmetrics export: CSV has no arrays, so that the arrays of "
                "val/confusion are left out. Export json to have all of them.",
            ]

    def test_every_format_reads_back_with_the_same_numbers(self, make, call):
        folder = make()
        values = np.random.default_rng(0).normal(size=5000) * 1e-7
        rows = [row(i + 1, train__x=float(v)) for i, v in enumerate(values)]
        add(folder / "metrics.jsonl", *rows)  # more than one chunk of records
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
        rows_by_step = {
            row["step"]: row for row in json.loads(Path("out/run.json").read_text())
        }
        assert rows_by_step[200]["train/loss"] == "NaN"
        assert "train/loss" not in rows_by_step[201]

    def test_parquet_has_nulls_where_there_is_no_value(self, make, call):
        from pyarrow import parquet

        make()
        assert call("export", "demo/one", "--output", "run.parquet")[0] == 0
        columns = parquet.read_table("run.parquet").to_pydict()
        assert columns["tokens"] == [None, 102400, 204800, None, 307200]
        assert columns["split"] == ["val", "train", "train", "val", "train"]
        losses = columns["train/loss"]
        assert losses[0] is None and math.isnan(losses[2]) and losses[4] == 1.5

    def test_a_project_stands_for_all_of_its_runs(self, make, call):
        for name in ("demo/one", "demo/two"):
            make(name, [HEADER, row(1, train__loss=1.0)])
        status, out, message = call("export", "demo", "--format", "csv")
        assert (status, message) == (0, "")
        lines = [line.split(",")[:2] for line in out.splitlines()]
        assert lines == [["run", "step"], ["one", "1"], ["two", "1"]]

    def test_a_file_is_not_replaced_without_force(self, make, call):
        make()
        out = Path("out.csv")
        out.write_text("mine")
        status, _, message = call("export", "demo/one", "--output", out)
        assert status == 1
        assert message == (
            "jaxmetrics export: out.csv exists. Move it away, write to another path, "
            "or give --force.\n"
        )
        assert out.read_text() == "mine"
        assert call("export", "demo/one", "--output", out, "--force")[0] == 0
        assert out.read_text().startswith("step,")

    @pytest.mark.parametrize("answer, status", [("y", 0), ("n", 1), ("", 1)])
    def test_a_user_at_a_terminal_is_asked(self, make, tmp_path, answer, status):
        make()
        out = tmp_path / "out.csv"
        out.write_text("mine")
        terminal, child_end = pty.openpty()
        os.write(terminal, f"{answer}\n".encode())
        done = subprocess.run(
            [*COMMAND, "export", "demo/one", "--output", "out.csv"],
            stdin=child_end,
            stderr=child_end,
            stdout=subprocess.PIPE,
        )
        shown = os.read(terminal, 10_000).decode()
        os.close(terminal)
        os.close(child_end)
        assert "out.csv exists.\r\nReplace it? [y/N] " in shown
        assert done.returncode == status
        assert (out.read_text() == "mine") == (status == 1)

    def test_parquet_without_pyarrow_says_what_to_install(
        self, make, call, monkeypatch
    ):
        make()
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        status, _, message = call("export", "demo/one", "--output", "a.parquet")
        assert status == 1 and "pip install jaxmetrics[pandas]" in message
        assert not Path("a.parquet").exists()

    def test_names_cannot_be_formulas_in_a_spreadsheet(self, make, call):
        make(rows=[HEADER, {**row(1, "=1+1"), "=cmd()": 1.0, "a,\nb": 2.0}])
        _, out, _ = call("export", "demo/one", "--format", "csv")
        head, cells = list(csv.reader(io.StringIO(out)))
        assert head[-2:] == ["'=cmd()", r"a,\x0ab"]
        assert cells[1] == "'=1+1"

    def test_a_closed_pipe_ends_the_command_quietly(self, make, tmp_path):
        folder = make()
        add(folder / "metrics.jsonl", *(row(i, train__x=1.0) for i in range(301, 2000)))
        reader, pipe = os.pipe()
        os.close(reader)
        command = [*COMMAND, "export", "demo/one", "--format", "json"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE)
        os.close(pipe)
        assert (done.returncode, done.stderr) == (141, b"")


class TestTail:
    def test_json_and_a_single_view(self, make, call):
        folder = make()
        status, out, _ = call("tail", "demo/one", "--json", "--keys", "train/*")
        data = json.loads(out)
        assert [data] == json.loads(
            call("tail", "demo", "--json", "--keys", "train/*")[1]
        )
        assert status == 0 and data["step"] == 300 and data["closed"] is False
        assert data["metrics"] == {
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

    def test_several_runs_have_a_line_each(self, make, call):
        folder = make()
        make("demo/two")
        status, out, _ = call("tail", "demo", "--once", "--keys", "train/*")
        assert status == 0 and out.startswith("2 runs: train/loss\n")
        assert [line.split()[0] for line in out.splitlines()[2:]] == ["one", "two"]
        status, out, _ = call("tail", folder, "demo/two", "--json")
        assert [view["run"] for view in json.loads(out)] == ["demo/one", "demo/two"]

    def test_a_terminal_is_updated_until_interrupted(self, make):
        make()
        terminal, child_end = pty.openpty()
        child = subprocess.Popen(
            [*COMMAND, "tail", "demo/one", "--every", "0.05"],
            stdin=child_end,
            stdout=child_end,
            stderr=subprocess.PIPE,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "20"},
        )
        shown = b""
        while b"lr/lr" not in shown:
            shown += os.read(terminal, 10_000)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, message = child.communicate(timeout=60)
        os.close(terminal)
        os.close(child_end)
        assert (child.returncode, message) == (130, b"")
        assert "train/loss" in shown.decode()


class TestDoctor:
    @pytest.fixture
    def checks(self, monkeypatch):
        """Replace the checks by one that passes and, on request, one that fails."""
        from jaxmetrics import doctor

        results = [doctor.Check("sums", True, "exact", "")]
        monkeypatch.setattr(doctor, "checks", lambda root: iter(results))
        return results

    def test_passed_checks_are_0(self, checks, call):
        status, out, _ = call("doctor")
        assert (status, out.splitlines()[-1]) == (0, "all 1 checks passed")
        assert "sums" in out.splitlines()[0]

    def test_failed_checks_are_1(self, checks, call):
        checks.append(checks[0]._replace(name="clock", passed=False))
        status, out, _ = call("doctor")
        assert (status, out.splitlines()[-1]) == (1, "1 of 2 checks failed")

    def test_json_has_only_the_results(self, checks, call):
        checks.append(checks[0]._replace(name="clock", passed=False))
        status, out, _ = call("doctor", "--json")
        data = json.loads(out)
        assert status == 1 and data["passed"] is False
        assert [check["name"] for check in data["checks"]] == ["sums", "clock"]
