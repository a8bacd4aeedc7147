import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.command_line import COMMAND, HEADER, ROWS, row

import jaxmetrics
from jaxmetrics.cli import main
from jaxmetrics.record import atomic_write


def modules_after(*arguments, cwd):
    """Return the modules that a command imports in a new process, and its output."""
    script = (
        "import sys; from jaxmetrics.cli import main; status = main(sys.argv[1:]);"
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stderr.split()}, done.stdout


def test_help_lists_every_command_and_imports_no_third_party(tmp_path):
    loaded, text = modules_after("--help", cwd=tmp_path)
    for command in ("demo", "report", "plot", "compare", "tail", "export", "doctor"):
        assert f"\n    {command} " in text
    assert not loaded & {"jax", "numpy", "matplotlib", "pandas", "rich", "pyarrow"}


@pytest.mark.parametrize(
    "command",
    [["export", "--format", "json"], ["tail", "--once"]],
    ids=lambda command: command[0],
)
def test_reading_a_run_imports_neither_jax_nor_a_plotter(make, tmp_path, command):
    make()
    loaded, text = modules_after(command[0], "demo/one", *command[1:], cwd=tmp_path)
    assert "train/loss" in text
    assert not loaded & {"jax", "matplotlib", "pandas", "rich", "pyarrow", "flax"}


def test_the_script_and_the_module_are_the_same_program(tmp_path):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"jaxmetrics": "jaxmetrics.cli:main"}
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True)
    assert project["project"]["dynamic"] == ["version"]
    assert done.stdout.strip() == jaxmetrics.__version__


@pytest.mark.parametrize("command", ["list", "export demo/one --format csv", "--help"])
def test_a_command_without_an_output_ends_without_a_traceback(make, tmp_path, command):
    make()
    script = shlex.join([*COMMAND, *shlex.split(command)])
    options = {"shell": True, "stderr": subprocess.PIPE, "cwd": tmp_path}
    done = subprocess.run(f"{script} >&-", **options)
    assert (done.returncode, done.stderr) == (0, b"")


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
        ["compare", "a", "b", "--target", "val/loss=nan"],
        ["tail", "demo", "--every", "0"],
        ["plot", "demo", "--dpi", "abc"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_2_with_a_message(make, call, arguments):
    make()
    status, out, message = call(*arguments)
    assert (status, out) == (2, "")
    assert message.startswith(("usage: jaxmetrics", "jaxmetrics "))
    assert "invalid _" not in message  # the name of a function


def documented_commands():
    """Return the commands in the documentation, without those that do not soon end."""
    page = Path(__file__).parents[2] / "docs" / "command-line.md"
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = "".join(blocks).splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert {"tail", "report", "compare", "export"} <= {words[0] for words in commands}
    left_out = ("demo", "doctor", "view")  # they have tests of their own
    return [words for words in commands if words[0] not in left_out]


@pytest.mark.parametrize("words", documented_commands(), ids=" ".join)
def test_commands_of_the_documentation_run(make, call, words):
    make()
    make("demo/two")
    for name in ("sweep/a", "sweep/b"):
        make(name, hparams={"lr": 0.01, "width": 512}, events=[], mtime=1e9)
    assert words.count(">") <= 1
    arguments = words[: words.index(">")] if ">" in words else words
    status, out, message = call(*arguments)
    assert (status, message) == (0, "") and out


def test_demo_has_its_own_options(capsys):
    assert main(["demo", "--steps", "0"]) == 2
    message = capsys.readouterr().err
    assert "usage: jaxmetrics demo" in message and "at least 10, got 0" in message
    assert main(["demo", "--help"]) == 0


class TestRunNames:
    @pytest.mark.parametrize(
        ("name", "suggestion"),
        [
            ("demo/onee", "Did you mean demo/one?"),
            ("nothing-like-it", "The latest run in runs is demo/three."),
        ],
    )
    def test_an_unknown_run_is_1_with_a_suggestion(self, make, call, name, suggestion):
        make("demo/one", mtime=1000)
        make("demo/three", mtime=2000)
        status, out, message = call("report", name)
        assert (status, out) == (1, "")
        assert message == (
            f"jaxmetrics report: There is no run at {name}, and no {name} in runs. "
            f"{suggestion}\n"
        )

    def test_without_any_run_the_message_names_the_option(
        self, call, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        status, _, message = call("tail", "x", "--root", tmp_path / "none")
        assert status == 1
        assert "There are no runs in" in message
        assert "with --root." in message and "root=" not in message

    def test_debug_raises_the_error(self, make):
        with pytest.raises(FileNotFoundError):
            main(["report", "x", "--debug", "--root", "none"])


class TestBadInput:
    @pytest.mark.parametrize("command", ["report", "plot", "export"])
    def test_a_damaged_line_is_an_error_or_is_skipped(self, make, call, command):
        make(rows=[*ROWS, '{"step": 400, "split', row(500, train__loss=1.0)])
        option = {
            "report": ["--no-plots"],
            "plot": ["--dpi", "20"],
            "export": ["--format", "csv"],
        }[command]
        status, out, message = call(command, "demo/one", *option)
        assert (status, out) == (1, "")
        assert "metrics.jsonl, line 7: not JSON" in message
        assert "lines with --skip-damaged." in message and "errors=" not in message
        status, out, message = call(command, "demo/one", *option, "--skip-damaged")
        assert status == 0 and out
        assert message.startswith(
            f"jaxmetrics {command}: metrics.jsonl, line 7 was skipped: not JSON"
        )

    @pytest.mark.parametrize("command", ["report", "plot", "export"])
    def test_a_run_without_values_is_1(self, make, call, command):
        make(rows=[HEADER])
        option = ["--format", "csv"] if command == "export" else []
        status, out, message = call(command, "demo/one", *option)
        assert (status, out) == (1, "")
        assert message.startswith(f"jaxmetrics {command}: runs/demo/one has no ")

    def test_a_run_of_arrays_alone_has_a_report(self, make, call):
        make(rows=[HEADER, {"step": 1, "split": "val", "val/confusion": [[1, 2]]}])
        status, out, message = call("report", "demo/one", "--no-plots")
        assert (status, message) == (0, "") and out

    def test_a_folder_that_is_missing_is_no_advice_about_root(self, make, call):
        assert call("list", "nowhere") == (
            1,
            "",
            "jaxmetrics list: There is no folder nowhere. Give the folder of all "
            "projects, such as runs, a project or a run.\n",
        )

    def test_a_key_with_texts_is_named(self, make, call):
        texts = [{**row(i), "train/note": f"note {i}"} for i in (1, 2)]
        make(rows=[HEADER, *texts])
        status, _, message = call("plot", "demo/one")
        assert status == 1
        assert "train/note: 2 values are not numbers, and are left out" in message
        assert "has no numeric values yet" in message
        status, out, message = call("export", "demo/one", "--format", "csv")
        assert status == 0 and "train/note: 2 values" in message
        assert out.splitlines()[0] == "step,split,time,tokens"

    def test_messages_have_no_control_characters(self, make, call):
        make("demo/one", [*ROWS, '"\x1b]0;owned\x07"', row(500)])
        status, _, message = call("export", "demo/one\x1b[2J", "--format", "csv")
        assert status == 1 and r"one\x1b[2J" in message and "\x1b" not in message

    def test_a_named_pipe_instead_of_a_file_is_refused(self, tmp_path, call):
        os.mkfifo(tmp_path / "pipe")
        folder = tmp_path / "run"
        folder.mkdir()
        atomic_write(folder / "run.json", b"{}")
        os.mkfifo(folder / "metrics.jsonl")
        for command in (["tail", "--once"], ["export", "--format", "csv"]):
            status, _, message = call(command[0], folder, *command[1:])
            assert status == 1 and "not a regular file" in message
