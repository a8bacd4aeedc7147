"""Values and errors of rows that were fetched from their devices."""

import logging
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from support.loggers import rows
from support.sinks import filled_row

import jaxmetrics as jm
from jaxmetrics.pipeline._fetched import FetchedValues
from jaxmetrics.pipeline._row import Row
from jaxmetrics.writers import JSONL, Memory


def test_a_donated_value_is_reported_once_by_name(make_logger):
    gate = threading.Event()

    class Slow(Memory):
        def write(self, record):
            gate.wait()
            super().write(record)

    logger = make_logger(writers=[slow := Slow()])
    logger.log_step(1, loss=0.0)
    logger.log_step(2, loss=(donated := jnp.float32(1.0) + 1), accuracy=0.5)
    logger.log_step(3, loss=2.0)
    donated.delete()
    gate.set()
    with pytest.raises(RuntimeError, match="'train/loss'.*step 2"):
        logger.flush()
    assert logger.flush()
    assert [r.values for r in slow.records] == [
        {"train/loss": 0.0},
        {"train/accuracy": 0.5},
        {"train/loss": 2.0},
    ]


class SumAndNegative(jm.Metric):
    """A metric whose value is an array of two numbers."""

    sums: jm.Array = jm.sum_leaf()

    def observe(self, *, loss, mask=None):
        return {"sums": jm.total(loss, mask)}

    def compute(self):
        return jm.namespace(self).stack([self.sums, -self.sums])


def test_an_array_of_a_metric_is_left_out_with_one_warning(make_logger, caplog):
    metrics = jm.Collection(loss=jm.Mean("loss"), spread=SumAndNegative())
    metrics = metrics.update(loss=jnp.array([1.0]))
    logger = make_logger()
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        logger.log_step(1, metrics)
        logger.log_step(2, metrics)
        logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [1.0, 1.0]
    (warning,) = [r for r in caplog.records if "train/spread" in r.getMessage()]
    assert warning.levelname == "WARNING"


def test_a_name_that_a_metric_computes_too_is_an_error_after_the_fetch(make_logger):
    metrics = jm.Collection(loss=jm.Mean("loss")).update(loss=jnp.array([1.0]))
    logger = make_logger()
    logger.log_step(1, metrics, loss=7.0)
    with pytest.raises(RuntimeError, match="'train/loss'"):
        logger.close()
    assert rows(logger)[0]["train/loss"] == 7.0


def test_latest_values_and_the_one_to_compare_checkpoints_by(make_logger):
    logger = make_logger(writers=[JSONL(), Memory(every=10)])
    for step in range(1, 12):
        logger.log_step(step, loss=jnp.float32(step))
    logger.log_step(11, split="val", loss=0.25)
    logger.flush()
    assert logger.latest() == {"train/loss": 11.0, "val/loss": 0.25}
    best = logger.best_fn("val/loss")
    assert best(logger.latest()) == 0.25
    with pytest.raises(KeyError, match="val/accuracy"):
        logger.best_fn("val/accuracy")(logger.latest())


def test_the_latest_value_is_that_of_the_last_step_in_any_order_of_fetching():
    fetched = FetchedValues()
    rows = [Row(step, "train", 0.0, on_record=fetched.add) for step in (1, 2)]
    for row in rows:
        row.add("train/loss", float(row.step))
    for row in reversed(rows):
        row.record()
    assert fetched.latest() == {"train/loss": 2.0}


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


def test_a_row_declares_what_its_record_leaves_out():
    row = filled_row(1)
    assert (row.faults, row.array_keys, row.cuts) == ([], [], {})
    row.record()
    assert (row.faults, row.array_keys, row.cuts) == ([], [], {})


def test_restored_values_are_replaced_by_those_of_any_step():
    fetched = FetchedValues()
    fetched.restore({"train/loss": "NaN", "train/accuracy": 0.5})
    row = filled_row(1, loss=2.0)
    fetched.add(row, row.record())
    assert fetched.latest() == {"train/loss": 2.0, "train/accuracy": 0.5}
