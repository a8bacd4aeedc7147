"""TrainingLogger: what a training loop calls, and what is on disk afterwards."""

import json
import logging
import sys
import threading

import jax.numpy as jnp
import pytest
from support.faults import tensorboard_steps
from support.loggers import events, rows, run_json, steps
from support.processes import run_python, start_python

from jaxmetrics import TrainingLogger
from jaxmetrics.pipeline import _row
from jaxmetrics.record import AppendFile, hparams_of, read_lines, scalar
from jaxmetrics.runs.reading import load_history, summary_facts
from jaxmetrics.writers import JSONL, Memory


def test_three_lines_are_enough(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with TrainingLogger(print_every=1) as logger:
        logger.log_step(step=1, loss=1.5, lr=3e-4, mfu=0.56)
    assert logger.run_dir.parent == tmp_path / "runs/jaxmetrics"
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
    logger = make_logger(writers=[Memory()])
    for step in range(1, 4):
        logger.log_step(step, loss=jnp.float32(1.0), accuracy=jnp.float32(1.0))
    assert logger.flush()
    assert len(threads) == 6  # once a value, whatever the number of writers
    assert threading.main_thread() not in threads


def test_flush_is_false_after_a_failed_write(make_logger, monkeypatch):
    logger = make_logger()
    monkeypatch.setattr(
        JSONL, "write", lambda self, record: (_ for _ in ()).throw(OSError(28, "full"))
    )
    logger.log_step(1, loss=1.0)
    assert not logger.flush()
    monkeypatch.undo()
    logger.log_step(2, loss=1.0)
    assert logger.flush()
    assert steps(logger) == [1, 2]


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
    logger._max_entries = 1  # no call waits for an idle writer
    for step in range(1, 5):
        logger.log_step(step, loss=1.0)
        if step == 1:
            entered.wait()
    gate.set()
    assert not logger.flush()
    logger.log_step(6, loss=1.0)
    assert not logger.flush()
    assert not logger.close()
    assert steps(logger)[:2] == [1, 2]
    assert len(steps(logger)) < 5
    (noted,) = [e for e in events(logger) if e["event"] == "missing"]
    lost = noted["writers"]["metrics.jsonl"]
    assert lost["rows"] == 5 - len(steps(logger))
    facts = dict(summary_facts(load_history(logger.run_dir)))
    assert facts["Missing records"].startswith(f"{lost['rows']} row")


@pytest.mark.parametrize("timeout", [None, float("inf")])
def test_a_call_without_a_time_limit_waits_as_long_as_it_takes(
    make_logger, tmp_path, timeout
):
    logger = make_logger(mirror=tmp_path / "mirror")
    logger.log_step(1, loss=1.0)
    logger.state()  # begins a copy
    assert logger.flush(timeout) and logger.wait_for_mirror(timeout)
    assert logger.close(timeout)


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
    assert not logger.close()


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
    # Of `print_every` the first step, and the last one at the end.
    assert done.stdout == "".join(
        f"[   0.0m] step={step} │ loss=1.000\n" for step in (25, 26)
    )
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
    for step, seconds in enumerate((100.0, 105.0, 109.9, 110.0, 119.0, 120.0, 121.0)):
        clock.now = seconds
        logger.log_step(step, loss=1.0)
        logger.log_step(step, split="val", loss=1.0)
    logger.state()  # with step 6
    steps_noted = [e["step"] for e in events(logger) if e["event"] == "step"]
    assert steps_noted == [0, 3, 5, 6]


def test_the_ledger_records_events(make_logger, clock):
    logger = make_logger()
    clock.now = 1.5
    logger.ledger.event("compile", seconds=12.5, step=0)
    assert events(logger)[-1] == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "elapsed": 1.5,
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

    logger = make_logger()
    assert logger.flush()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(AppendFile, "write_line", fail)
        patch.setattr(AppendFile, "flush", fail)
        logger.ledger.event("one")
        logger.ledger.event("two")
        assert not logger.flush()
    assert caplog.text.count("The ledger") == 1


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
    parts = "_calls", "_fetched", "_steps", "_known_names"
    before = held(*parts)
    train(range(5, 1000))
    assert held(*parts) <= before + 8 * 8  # longer numbers
    assert held("_fetched") <= 5 * 1024


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


LOOPS = {
    "each step": (range(1, 121), [1, 25, 50, 75, 100, 120]),
    "at 99, 199": (range(99, 1000, 100), list(range(99, 1000, 100))),
    "every 64": (range(64, 641, 64), list(range(64, 641, 64))),
    "epochs": (range(1, 11), [1, 10]),
    "twenty steps": (range(20), [0, 19]),
    "one step": ([1000], [1000]),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_an_ordinary_loop_prints_the_lines_that_a_person_expects(
    make_logger, capsys, loop
):
    logged, printed = LOOPS[loop]
    logger = make_logger(console=True)
    for step in logged:
        logger.log_step(step, loss=1.0)
    logger.log_step(logged[-1], split="val", loss=2.0)
    logger.close()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "VAL" in line] == [
        "[   0.0m] [VAL] val_loss=2.000"
    ]
    assert [line for line in lines if "VAL" not in line] == [
        f"[   0.0m] step={step} │ loss=1.000" for step in printed
    ]
    assert steps(logger) == list(logged)


class Tracker:
    """An object that has values for each step."""

    def __init__(self, **values):
        self.values = values
        self.calls = 0

    def metrics(self):
        self.calls += 1
        return self.values


def test_attached_objects_contribute_to_the_first_train_record_of_a_step(make_logger):
    first = Tracker(mfu=0.5, tokens=7, loss=9.0)
    second = Tracker(lr=jnp.float32(0.25), loss=8.0, accuracy=None)
    logger = make_logger()
    logger.attach(first=first, second=second)
    assert list(logger.attached) == ["first", "second"]
    logger.log_step(1, split="val", loss=3.0)
    logger.log_step(1, loss=1.0)
    logger.log_step(1, more=2.0)
    logger.log_step(2, learning_rate=0.5)
    logger.attach(first=None)
    logger.log_step(3)
    logger.attach(second=None)
    logger.log_step(4)
    logger.close()
    values = [{k: v for k, v in r.items() if k != "time"} for r in rows(logger)]
    attached = {"perf/mfu": 0.5, "lr/lr": 0.25, "tokens": 7}
    train = {"split": "train"}
    assert values == [
        {"step": 1, "split": "val", "val/loss": 3.0},
        {"step": 1, **train, "train/loss": 1.0, **attached},
        {"step": 1, **train, "train/more": 2.0},
        {"step": 2, **train, **attached, "train/loss": 8.0, "lr/lr": 0.5},
        {"step": 3, **train, "train/loss": 8.0, "lr/lr": 0.25},
    ]
    assert (first.calls, second.calls) == (2, 3)


def test_an_attached_object_that_fails_costs_its_values_only(make_logger, caplog):
    class Broken:
        def metrics(self):
            raise OSError("no counter")

    logger = make_logger()
    logger.attach(broken=Broken(), odd=Tracker(note="x", fine=1.0), no=Tracker())
    for step in (1, 2):
        logger.log_step(step, loss=1.0)
    logger.close()
    assert [row["train/fine"] for row in rows(logger)] == [1.0, 1.0]
    assert "train/note" not in rows(logger)[0]
    assert caplog.text.count("attached broken contributes nothing") == 1
    assert caplog.text.count("attached odd is left out: ") == 1


def test_an_object_without_values_and_state_is_not_attached(make_logger):
    logger = make_logger()
    with pytest.raises(TypeError, match="got tracker= of type dict"):
        logger.attach(good=Tracker(), tracker={"loss": 1.0})
    assert dict(logger.attached) == {}
    with pytest.raises(TypeError):
        logger.attached["x"] = Tracker()


SILENT = """
    import sys
    import jax.numpy as jnp
    from jaxmetrics import TrainingLogger
    from jaxmetrics.writers import TensorBoard

    logger = TrainingLogger("p", "run", root=sys.argv[1], writers=[TensorBoard()])
    for step in range(1, 4):
        logger.log_step(step, loss=jnp.float32(step))
    logger.log_step(3, split="val", loss=jnp.float32(0.5))
    assert logger.latest() == {"train/loss": 3.0, "val/loss": 0.5}
    sys.stdin.read()  # silence: no call comes any more
"""


def test_what_was_logged_before_a_silence_is_everywhere_and_survives_a_kill(tmp_path):
    child = start_python(SILENT, tmp_path)
    # Console lines come first of all a second after the call, and the last of the
    # train steps, which was not printed, with the close only.
    lines = [child.stdout.readline() for _ in range(2)]
    assert lines == [
        "[   0.0m] step=1 │ loss=1.000\n",
        "[   0.0m] [VAL] val_loss=0.500\n",
    ]

    def recorded():
        lines, _ = read_lines(tmp_path / "p" / "run" / "metrics.jsonl")
        return [(line["step"], line["split"]) for line in lines[1:]]

    def shown():
        folder = tmp_path / "p" / "run" / "tensorboard"
        return tensorboard_steps(folder, "train/loss"), tensorboard_steps(
            folder, "val/loss"
        )

    expected = [(step, "train") for step in (1, 2, 3)] + [(3, "val")]
    assert recorded() == expected
    assert shown() == ([1, 2, 3], [3])
    child.kill()
    child.communicate()
    assert recorded() == expected
    assert shown() == ([1, 2, 3], [3])
