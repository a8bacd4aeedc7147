"""Values and errors of rows that were fetched from their devices."""

import contextlib

import jax.numpy as jnp
import numpy as np
import pytest
from support.sinks import Gated, filled_row

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
        assert logger.latest() == {"train/loss": step}
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


def test_a_row_counts_as_fetched_once_its_values_are_the_latest():
    fetched, seen = FetchedValues(), []

    def on_record(row, record):
        seen.append(row.is_fetched)
        fetched.add(row, record)

    row = Row(1, "train", 0.0, on_record=on_record)
    row.values["train/loss"] = 1.0
    row.record()
    assert (seen, row.is_fetched) == ([False], True)
