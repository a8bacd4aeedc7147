"""TrainingLogger: what a training loop calls, and what is on disk afterwards."""

import json
import logging
import sys
import threading
from pathlib import Path

import jax.numpy as jnp
import pytest
from support.loggers import events, rows, run_json, steps
from support.processes import run_python

from jaxmetrics import TrainingLogger
from jaxmetrics.pipeline import _row
from jaxmetrics.record import AppendFile, hparams_of, read_lines, scalar
from jaxmetrics.writers import JSONL, Memory


def test_three_lines_are_enough(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with TrainingLogger(print_every=1) as logger:
        logger.log_step(step=1, loss=1.5, lr=3e-4, mfu=0.56)
    assert logger.run_dir.parent == Path("runs/jaxmetrics")
    assert capsys.readouterr().out == (
        "[   0.0m] step=1 │ loss=1.500 │ lr=3.000e-04 │ mfu=56.0%\n"
    )
    (row,) = rows(logger)
    assert {name: row[name] for name in ("step", "split", "train/loss")} == {
        "step": 1,
        "split": "train",
        "train/loss": 1.5,
    }
    assert row["lr/lr"] == 3e-4
    assert row["perf/mfu"] == 0.56


def test_no_file_holds_a_secret(make_logger):
    logger = make_logger(hparams={"lr": 1, "wandb": {"api_key": "hush"}})
    logger.ledger.event("note", url="https://me:hush@host")
    logger.close()
    assert hparams_of(run_json(logger)) == {
        "lr": 1,
        "wandb": {"api_key": "<redacted>"},
    }
    for file in logger.run_dir.iterdir():
        assert "hush" not in file.read_text()


def test_the_training_thread_fetches_no_value(make_logger, monkeypatch):
    threads = []

    def watched(value):
        threads.append(threading.current_thread())
        return scalar(value)

    monkeypatch.setattr(_row, "scalar", watched)
    logger = make_logger(writers=[JSONL(), Memory()])
    for step in range(1, 4):
        logger.log_step(step, loss=jnp.float32(1.0), accuracy=jnp.float32(1.0))
    assert logger.flush()
    assert len(threads) == 6  # once a value, whatever the number of writers
    assert threading.main_thread() not in threads


def test_flush_is_false_after_a_failed_write(make_logger, monkeypatch):
    logger = make_logger()
    monkeypatch.setattr(
        JSONL, "write", lambda self, record: (_ for _ in ()).throw(OSError("full"))
    )
    logger.log_step(1, loss=1.0)
    assert not logger.flush()
    monkeypatch.undo()
    logger.log_step(2, loss=1.0)
    assert logger.flush()
    assert steps(logger) == [2]


def test_flush_is_false_after_the_record_dropped_rows(make_logger, monkeypatch):
    gate, entered = threading.Event(), threading.Event()
    write = JSONL.write

    def slow(self, record):
        entered.set()
        gate.wait()
        write(self, record)

    monkeypatch.setattr(JSONL, "write", slow)
    logger = make_logger()
    queue = logger._sinks._sinks["metrics.jsonl"]._queue
    queue._capacity, queue._put_timeout = 1, 0.0
    for step in range(1, 5):
        logger.log_step(step, loss=1.0)
        if step == 2:
            entered.wait()
    gate.set()
    assert not logger.flush()
    logger.log_step(6, loss=1.0)
    assert logger.flush()
    assert steps(logger)[:2] == [1, 2]
    assert len(steps(logger)) < 5


def test_closing_twice_is_the_same_as_once(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    assert logger.close()
    assert logger.close()
    assert logger.flush()
    assert [event["event"] for event in events(logger)] == ["start", "step", "close"]
    assert events(logger)[-1]["writers"]["metrics.jsonl"]["written"] == 1
    with pytest.raises(ValueError, match="closed"):
        logger.log_step(2, loss=1.0)


def test_an_error_of_the_loop_takes_precedence_over_one_of_the_log(make_logger):
    donated = jnp.float32(1.0) + 1
    with pytest.raises(ZeroDivisionError), make_logger() as logger:
        logger.log_step(1, loss=donated)
        donated.delete()
        raise ZeroDivisionError
    assert logger.close()


def test_a_loop_that_never_closes_loses_no_row(tmp_path):
    script = """
        import sys
        from jaxmetrics import TrainingLogger
        logger = TrainingLogger("p", "run", root=sys.argv[1])
        logger.log_step(25, loss=1.0)
        logger.log_step(26, loss=1.0)
        raise SystemExit(3)
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 3
    assert done.stdout == "[   0.0m] step=25 │ loss=1.000\n"
    lines, _ = read_lines(tmp_path / "p" / "run" / "metrics.jsonl")
    assert [row.get("step") for row in lines] == [None, 25, 26]


def test_a_forked_child_writes_nothing(tmp_path):
    script = """
        import os, sys
        from jaxmetrics import TrainingLogger
        logger = TrainingLogger("p", "run", root=sys.argv[1], print_every=1)
        logger.log_step(1, loss=1.0)
        child = os.fork()
        if child == 0:
            logger.log_step(2, loss=2.0)
            assert not logger.flush()
            logger.ledger.event("child")
            sys.exit(0)  # which runs what is registered for the exit
        assert os.waitpid(child, 0)[1] == 0
        logger.log_step(2, loss=3.0)
        assert logger.close()
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step=") == 2
    run = tmp_path / "p" / "run"
    lines, _ = read_lines(run / "metrics.jsonl")
    assert [row.get("train/loss") for row in lines] == [None, 1.0, 3.0]
    lines, _ = read_lines(run / "events.jsonl")
    assert [event["event"] for event in lines] == ["start", "step", "close"]


def test_training_seconds_never_go_back(make_logger, clock):
    logger = make_logger()
    for now in (1.0, 3.0, 2.0):
        clock.now = now
        logger.log_step(loss=1.0)
    logger.close()
    assert [row["time"] for row in rows(logger)] == [1.0, 3.0, 3.0]


def test_steps_are_in_the_ledger_at_most_every_ten_seconds(make_logger, clock):
    logger = make_logger()
    for step, seconds in enumerate((100.0, 105.0, 109.9, 110.0, 119.0, 50.0, 51.0)):
        clock.now = seconds
        logger.log_step(step, loss=1.0)
        logger.log_step(step, split="val", loss=1.0)
    logger.state()
    # Step 5 comes after the clock was set back, step 6 with the state.
    steps_noted = [e["step"] for e in events(logger) if e["event"] == "step"]
    assert steps_noted == [0, 3, 5, 6]


def test_the_ledger_records_events(make_logger, clock):
    logger = make_logger()
    clock.now = 1.5
    logger.ledger.event("compile", seconds=12.5, step=0)
    assert events(logger)[-1] == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "attempt": 1,
        "event": "compile",
        "seconds": 12.5,
        "step": 0,
    }
    with pytest.raises(ValueError, match="attempt"):
        logger.ledger.event("x", attempt=3)
    logger.close()
    logger.ledger.event("too late")
    assert events(logger)[-1]["event"] == "close"


def test_a_failing_ledger_stops_nothing_and_fails_the_flush(
    make_logger, monkeypatch, caplog
):
    def fail(*_):
        raise OSError("disk gone")

    logger = make_logger(writers=[Memory()])
    assert logger.flush()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(AppendFile, "write_line", fail)
        patch.setattr(AppendFile, "flush", fail)
        logger.ledger.event("one")
        logger.ledger.event("two")
        assert not logger.flush()
    assert caplog.text.count("disk gone") == 1


def test_the_memory_of_a_logger_is_small_and_does_not_grow(make_logger):
    def held(*parts):
        seen, size, left = set(), 0, [getattr(logger, part) for part in parts]
        while left:
            x = left.pop()
            if id(x) in seen or isinstance(x, type) or callable(x):
                continue
            seen.add(id(x))
            size += sys.getsizeof(x)
            left += [*x, *x.values()] if isinstance(x, dict) else []
            left += x if isinstance(x, list | tuple | set) else []
            left += vars(x).values() if hasattr(x, "__dict__") else []
        return size

    def train(steps):
        for step in steps:
            logger.log_step(step, {f"value_{i}": step / 7 for i in range(10)})
        logger.flush()

    logger = make_logger(writers=[Memory()])
    train(range(1, 5))
    before = held("_rows", "_fetched", "_filler")
    train(range(5, 1000))
    assert held("_rows", "_fetched", "_filler") <= before + 8 * 8  # longer numbers
    assert held("_rows", "_fetched") <= 5 * 1024


def test_creating_a_logger_does_not_start_jax(tmp_path):
    script = """
        import sys
        from jaxmetrics import TrainingLogger
        logger = TrainingLogger("p", "run", root=sys.argv[1])
        logger.log_step(1, loss=1.0)
        logger.flush()
        assert "jax" not in sys.modules
        import jax
        logger.log_step(2, loss=1.0)
        logger.flush()
        from jax._src import xla_bridge
        assert not xla_bridge.backends_are_initialized()
        logger.log_step(3, loss=jax.numpy.float32(1.0))
        logger.close()
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "p" / "run" / "run.json").read_text())
    assert run["devices"] is None or run["devices"]["processes"] == 1
