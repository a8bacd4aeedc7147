"""Values and errors of rows that were fetched from their devices."""

import contextlib
import math

import jax.numpy as jnp
import numpy as np
import pytest
from support.sinks import Gated, filled_row

import jaxmetrics as jm
from jaxmetrics.pipeline._fetched import FetchedValues
from jaxmetrics.pipeline._row import Row
from jaxmetrics.writers import Memory


@contextlib.contextmanager
def hold(logger, name):
    """Keep the thread of a writer from taking rows."""
    with logger._sinks._sinks[name]._queue._lock:
        yield


def test_a_donated_value_is_reported_once_by_name(make_logger):
    logger = make_logger(writers=[slow := Gated()])
    logger.log_step(1, loss=0.0)
    slow.entered.wait()
    with hold(logger, "metrics.jsonl"):
        logger.log_step(2, loss=(donated := jnp.float32(1.0) + 1), accuracy=0.5)
        logger.log_step(3, loss=2.0)
        donated.delete()
    slow.gate.set()
    with pytest.raises(RuntimeError, match="'train/loss'.*step 2"):
        logger.flush()
    assert logger.flush()
    assert [r.values for r in slow.records] == [
        {"train/loss": 0.0},
        {"train/accuracy": 0.5},
        {"train/loss": 2.0},
    ]


def test_latest_values_and_the_one_to_compare_checkpoints_by(make_logger):
    logger = make_logger(writers=[Memory(every=10)])
    for step in range(1, 12):
        logger.log_step(step, loss=jnp.float32(step))
    logger.log_step(11, split="val", loss=0.25)
    logger.log_step(5, split="val", loss=9.0)  # an evaluation that took long
    assert logger.latest() == {"train/loss": 11.0, "val/loss": 0.25}
    best = logger.best_fn("val/loss")
    assert best(logger.latest()) == 0.25
    with pytest.raises(KeyError, match="val/accuracy"):
        logger.best_fn("val/accuracy")(logger.latest())


def test_latest_values_are_there_before_any_writer_has_them(make_logger):
    logger = make_logger(writers=[slow := Gated()])
    for step in range(1, 4):
        logger.log_step(step, loss=jnp.float32(step), tokens=step)
        assert logger.latest() == {"train/loss": step, "tokens": step}
    assert slow.records == []
    slow.gate.set()


@pytest.mark.parametrize("options", [{"root": None}, {"root": None, "console": True}])
def test_latest_values_need_neither_a_folder_nor_a_writer_that_takes_them(
    make_logger, options
):
    logger = make_logger(print_every=1000, **options)
    for step in range(1, 4):
        logger.log_step(step, loss=float(step))
    assert logger.latest() == {"train/loss": 3.0}
    logger.close()
    assert logger.latest() == {"train/loss": 3.0}


def test_the_latest_value_is_that_of_the_last_step_in_any_order_of_fetching():
    fetched = FetchedValues()
    rows = [filled_row(step) for step in (1, 2, 2)]
    for number, row in enumerate(rows, 1):
        row.number, row.values = number, {"train/loss": float(number)}
    for row in reversed(rows):
        fetched.add(row, row.record())
    assert fetched.latest() == {"train/loss": 3.0}


def test_a_checkpoint_manager_compares_by_best_fn(make_logger, tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    logger = make_logger()
    options = ocp.CheckpointManagerOptions(
        best_fn=logger.best_fn("val/loss"), best_mode="min"
    )
    with ocp.CheckpointManager(tmp_path / "checkpoints", options=options) as manager:
        for step, loss in ((1, 2.0), (2, 1.0), (3, 3.0)):
            logger.log_step(step, split="val", loss=loss)
            logger.flush()
            manager.save(
                step,
                args=ocp.args.StandardSave({"x": np.zeros(1)}),
                metrics=logger.latest(),
            )
        manager.wait_until_finished()
        assert manager.best_step() == 2


def test_restored_values_are_replaced_by_those_of_any_step():
    fetched = FetchedValues()
    fetched.restore({"train/loss": "NaN", "train/accuracy": 0.5})
    row = filled_row(1, loss=2.0)
    fetched.add(row, row.record())
    assert fetched.latest() == {"train/loss": 2.0, "train/accuracy": 0.5}


def conflicts(caplog):
    return [r.getMessage() for r in caplog.records if "has two values" in r.msg]


def test_a_key_with_two_values_of_one_step_is_a_warning_that_names_both(
    make_logger, caplog
):
    logger = make_logger()
    metrics = jm.Collection(grad_norm=jm.Mean("norm")).update(norm=np.float32([0.25]))
    for step in range(1, 4):
        logger.log_step(step, metrics)
        logger.log_step(step, {"grad/norm": jnp.float32(0.5)})
    logger.flush()
    (message,) = conflicts(caplog)
    first, later = "0.25 from the metric 'grad_norm'", "0.5 from the value 'grad/norm'"
    assert message.startswith("grad/norm has two values at step 1: ")
    assert message.index(first) < message.index(later)
    logger.close()
    with pytest.warns(UserWarning, match="'grad/norm' at 3 steps from 1"):
        jm.Run.load(logger.run_dir)


class Source:
    """Object whose value differs in each step."""

    def metrics(self):
        return {"perf/mfu": 0.25}


@pytest.mark.parametrize("fast", [False, True])
def test_values_conflict_whoever_logs_them(make_logger, caplog, fast):
    logger = make_logger()
    if fast:  # values like those of an earlier call
        logger.log_step(1, lr=0.5, mfu=0.5)
    else:
        logger.attach(speed=Source())
        logger.log_step(2, {"other": 0.0})
    logger.log_step(2, lr=0.5, mfu=0.5)
    logger.log_step(2, learning_rate=0.25, mfu=0.125, tokens=3)
    logger.log_step(2, lr=0.5, split="val")
    logger.close()
    messages = conflicts(caplog)
    if not fast:
        assert "0.25 from an attached object" in messages.pop(0)
    (message,) = messages
    assert "0.5 from the value 'lr'" in message
    assert "0.25 from the value 'learning_rate'" in message
    assert message.endswith("Other such keys: 1.") == fast


def test_what_readers_find_equal_is_no_conflict(make_logger, caplog):
    logger = make_logger()
    for value in (math.nan, 0.5):
        logger.log_step(None, loss=value)
    logger.log_step(5, loss=math.nan, tokens=3)
    logger.log_step(5, loss=math.nan, tokens=3)
    logger.log_step(5, loss=1.0, tokens=3, split="val")
    state = logger.state()
    logger.load_state(state)
    logger.log_step(6, loss=2.0)
    logger.close()
    assert conflicts(caplog) == []
    assert jm.Run.load(logger.run_dir).conflicts == {}


def test_a_conflict_is_found_in_any_order_of_fetching(caplog):
    fetched = FetchedValues()
    rows = [filled_row(2), filled_row(2)]
    for number, row in enumerate(rows, 1):
        row.number, row.values = number, {"train/loss": float(number)}
        row.names = {"train/loss": f"loss{number}"}
    for row in reversed(rows):
        fetched.add(row, row.record())
    (message,) = conflicts(caplog)
    assert message.index("1.0 from the value 'loss1'") < message.index("2.0 from")
    assert fetched.latest() == {"train/loss": 2.0}


def test_a_row_counts_as_fetched_once_its_values_are_the_latest():
    fetched, seen = FetchedValues(), []

    def on_record(row, record):
        seen.append(row.is_fetched)
        fetched.add(row, record)

    row = Row(1, "train", 0.0, on_record=on_record)
    row.values["train/loss"] = 1.0
    row.record()
    assert (seen, row.is_fetched) == ([False], True)
