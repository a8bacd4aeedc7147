"""End of a training: complete, by an error, or stopped."""

import json
import subprocess
import sys

import pytest
from support.loggers import steps

from jaxmetrics import TrainingLogger, runs
from jaxmetrics.pipeline._sink import Sink
from jaxmetrics.record import read_summary
from jaxmetrics.runs import Tail, tail_lines
from jaxmetrics.runs.reading import load_history, summary_facts

SECRET = "hf_" + "abcdefghijklmnopqrstuvwxyz0123456789"[:34]


def train(root, error=None, steps=range(1, 4), **options):
    """Train in a `with` block that an error ends, and return the run directory."""
    try:
        with TrainingLogger("p", "r", root=root, console=False, **options) as logger:
            for step in steps:
                logger.log_step(step, loss=1.0)
            if error is not None:
                raise error
    except BaseException as raised:
        if raised is not error and not str(raised).startswith("log_step() got step 1"):
            raise
    return logger.run_dir


def last_event(folder):
    return json.loads((folder / "events.jsonl").read_text().splitlines()[-1])


def state_of(root):
    """Return the state and the error of a run, which all readers tell alike."""
    (entry,) = runs.list(root)
    folder = root / "p" / "r"
    view = Tail(folder).read()
    assert (view.state, view.error) == (entry.state, entry.error)
    summary = read_summary(folder)
    assert summary["state"] == (entry.state if summary["closed"] else "running")
    facts = dict(summary_facts(load_history(folder)))
    assert facts.get("Ended by") == entry.error
    (folder / "summary.json").rename(folder / "away")  # derived from the record
    (again,) = runs.list(root)
    assert (again.state, again.error) == (entry.state, entry.error)
    (folder / "away").rename(folder / "summary.json")
    return entry.state, entry.error


def test_a_run_that_an_exception_ends_has_crashed_and_says_by_what(tmp_path):
    folder = train(tmp_path, RuntimeError(f"out of memory\n  on {SECRET} " + "x" * 999))
    state, error = state_of(tmp_path)
    assert state == "crashed"
    assert error.startswith("RuntimeError: out of memory on <redacted>")
    assert len(error) == 300 and last_event(folder)["error"] == error
    assert SECRET not in (folder / "events.jsonl").read_text()
    assert f"ended by {error}" in tail_lines(Tail(folder).read(), 0.0, width=400)
    names, (row,) = runs.list(tmp_path).table()
    assert names[-1] == "ended by" and error.startswith(row[-1][:-1])
    for text, names in (
        ("'RuntimeError' in error", ["run", "state", "ended by"]),
        ("'memory' in error and error", ["run", "state", "ended by"]),
        ("state == 'crashed'", ["run", "state", "recent train/loss"]),
    ):
        table = runs.list(tmp_path, where=text, sort="step").table()
        assert table[0][:3] == names and len(table[1]) == 1
        assert (table[1][0][2] == row[-1]) == ("error" in text)
    assert not runs.list(tmp_path, where="not error or 'KeyError' in error")
    page = runs.generate_page(folder).read_text()
    report = runs.generate_report(folder).read_text()
    assert "RuntimeError: out of memory on" in page
    assert "RuntimeError: out of memory on" in report


@pytest.mark.parametrize(
    ("error", "state", "field"),
    [
        (KeyboardInterrupt(), "closed", ("stopped", "KeyboardInterrupt")),
        (SystemExit(0), "closed", ("stopped", "SystemExit: 0")),
        (SystemExit(), "closed", ("stopped", "SystemExit")),
        (GeneratorExit(), "closed", ("stopped", "GeneratorExit")),
        (SystemExit(2), "crashed", ("error", "SystemExit: 2")),
        (SystemExit("no data"), "crashed", ("error", "SystemExit: no data")),
        (KeyError("lr"), "crashed", ("error", "KeyError: 'lr'")),
    ],
)
def test_a_deliberate_stop_is_no_crash_but_is_noted(tmp_path, error, state, field):
    event = last_event(train(tmp_path, error))
    name, text = field
    assert event[name] == text and {"error", "stopped"} - {name} - event.keys()
    assert state_of(tmp_path) == (state, text if state == "crashed" else None)


def test_a_run_that_ends_by_itself_has_no_error(tmp_path):
    event = last_event(train(tmp_path))
    assert not {"error", "stopped"} & event.keys()
    assert state_of(tmp_path) == ("closed", None)
    assert "ended by" not in runs.list(tmp_path).table()[0]


@pytest.mark.parametrize("error", [None, RuntimeError("first"), "kill"])
def test_a_restart_that_is_refused_leaves_the_ending(tmp_path, error):
    if error == "kill":
        code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        run_program(tmp_path, code)
    else:
        train(tmp_path, error)
    before = state_of(tmp_path)
    assert before == {
        None: ("closed", None),
        "kill": ("crashed", None),
    }.get(error, ("crashed", "RuntimeError: first"))
    for _ in range(2):
        folder = train(tmp_path)
        assert last_event(folder)["error"].startswith("ValueError: log_step() got step")
        assert state_of(tmp_path) == before
    train(tmp_path, KeyboardInterrupt(), steps=())
    assert state_of(tmp_path) == before
    # One that goes on has an ending of its own.
    train(tmp_path, KeyError("second"), steps=range(4, 6))
    assert state_of(tmp_path) == ("crashed", "KeyError: 'second'")
    train(tmp_path, steps=range(6, 8))
    assert state_of(tmp_path) == ("closed", None)
    train(tmp_path, KeyError("third"), steps=(), resume_step=5)  # its record is shorter
    assert state_of(tmp_path) == ("crashed", "KeyError: 'third'")


def test_an_error_before_the_first_record_is_recorded(tmp_path):
    train(tmp_path, ValueError("shapes"), steps=())
    assert state_of(tmp_path) == ("crashed", "ValueError: shapes")


def test_an_error_that_has_no_text_is_recorded_by_its_type(tmp_path):
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    train(tmp_path, Mute())
    assert state_of(tmp_path) == ("crashed", "Mute")


def test_close_takes_the_error_of_a_loop_without_a_with_block(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    assert logger.close(error=OSError("disk"))
    assert last_event(logger.run_dir)["error"] == "OSError: disk"


def test_a_close_that_is_interrupted_takes_nothing_more_and_is_completed(
    make_logger, monkeypatch
):
    logger = make_logger()
    for step in (1, 2):
        logger.log_step(step, loss=1.0)
    wait = Sink.finish_close

    def interrupt(sink, future, deadline):
        monkeypatch.setattr(Sink, "finish_close", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(Sink, "finish_close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        logger.close()
    assert repr(logger).endswith("closed)") and not logger.flush()
    with pytest.raises(ValueError, match="closed"):
        logger.log_step(3, loss=1.0)
    assert logger.close() and logger.close()
    assert last_event(logger.run_dir)["event"] == "close"
    assert steps(logger) == [1, 2]


def test_a_logger_that_another_one_replaces_has_not_crashed(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    again = make_logger()
    assert "error" not in last_event(logger.run_dir) and again.run_dir == logger.run_dir


def run_program(root, code, *options):
    """Run a program that logs three steps without a `with` block, then some code."""
    program = f"""
import sys
from jaxmetrics import TrainingLogger
logger = TrainingLogger("p", "r", root={str(root)!r}, console=False)
for step in range(1, 4):
    logger.log_step(step, loss=1.0)
logger.flush()
{code}
"""
    command = [sys.executable, *options, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("raise RuntimeError('out of memory')", "RuntimeError: out of memory"),
        ("raise KeyboardInterrupt", None),
        ("sys.exit(0)", None),
        ("", None),
        ("sys.ps1 = '> '; raise RuntimeError('of an input')", None),
    ],
)
def test_a_process_that_an_exception_ends_has_crashed_without_a_with_block(
    tmp_path, code, ending
):
    run_program(tmp_path, code)
    assert state_of(tmp_path) == (("crashed" if ending else "closed"), ending)


def test_sigterm_is_noted(tmp_path):
    code = """
import os, signal
from jaxmetrics import close_all
close_all()
logger = TrainingLogger("p", "r", root=sys.argv[0] and logger.run_dir.parent.parent,
                        console=False, install_sigterm=True)
os.kill(os.getpid(), signal.SIGTERM)
logger.log_step(4, loss=1.0)
logger.flush()
"""
    run_program(tmp_path, code)
    event = last_event(tmp_path / "p" / "r")
    assert (event["event"], event["stopped"]) == ("close", "SIGTERM")
    assert state_of(tmp_path) == ("closed", None)
