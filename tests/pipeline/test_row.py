"""Rows of a run: which call belongs to which row, and when a row is complete."""

import jax.numpy as jnp
import numpy as np
import pytest
from support.loggers import rows, steps
from support.sinks import filled_row

from jaxmetrics.pipeline._row import OpenRows, RowFiller
from jaxmetrics.writers import JSONL, Memory


def test_calls_for_one_step_and_split_make_one_row(make_logger):
    logger = make_logger()
    logger.log_step(5, loss=1.0)
    logger.log_step(5, split="val", loss=3.0)
    logger.log_step(5, {"a b": 2.0}, accuracy=0.5)
    assert rows(logger) == []
    logger.log_step(6, loss=1.0)
    assert logger.flush()
    assert rows(logger) == [
        {
            "step": 5,
            "split": "train",
            "time": 0.0,
            "train/loss": 1.0,
            "train/a b": 2.0,
            "train/accuracy": 0.5,
        },
        {"step": 5, "split": "val", "time": 0.0, "val/loss": 3.0},
        {"step": 6, "split": "train", "time": 0.0, "train/loss": 1.0},
    ]


def test_a_later_step_of_any_split_completes_a_row(make_logger):
    logger = make_logger(writers=[memory := Memory()])
    logger.log_step(5, loss=1.0)
    logger.log_step(6, split="val", loss=1.0)
    with pytest.raises(ValueError, match="step 5"):
        logger.log_step(5, loss=2.0)
    logger.flush()
    assert [(r.step, r.split) for r in memory.records] == [(5, "train"), (6, "val")]


def test_a_recorded_step_is_refused_with_the_ways_to_go_on(make_logger):
    logger = make_logger()
    logger.log_step(5, loss=1.0)
    logger.flush()
    for step in (5, 4):
        with pytest.raises(ValueError, match="resume_step=.*overwrite=True"):
            logger.log_step(step, loss=2.0)
    logger.log_step(4, split="val", loss=2.0)
    logger.close()
    assert steps(logger) == [5]
    assert steps(logger, "val") == [4]


def test_a_row_without_a_step_takes_the_next_step(make_logger):
    logger = make_logger(writers=[JSONL(), memory := Memory()])
    logger.log_step(loss=1.0)
    logger.log_step(loss=2.0)
    logger.log_step(split="val", loss=3.0)
    logger.log_step(10, loss=4.0)
    logger.log_step(loss=5.0)
    logger.log_step(split="val", loss=6.0)
    logger.close()
    assert steps(logger) == [1, 2, 10, 11]
    assert steps(logger, "val") == [2, 11]
    assert [type(r).__name__ for r in memory.records if r.step in (1, 10)] == [
        "UnnumberedRecord",
        "Record",
    ]


def test_tokens_and_samples_are_fields_of_the_row(make_logger):
    logger = make_logger()
    logger.log_step(1, tokens=np.int64(2**40), samples=jnp.int32(8), loss=1.0)
    logger.close()
    (row,) = rows(logger)
    assert list(row) == ["step", "split", "time", "tokens", "samples", "train/loss"]
    assert (row["tokens"], row["samples"]) == (2**40, 8)


def test_a_name_logged_twice_is_an_error_and_the_first_value_stays(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    with pytest.raises(ValueError, match="'train/loss'"):
        logger.log_step(1, loss=2.0, accuracy=0.5)
    with pytest.raises(ValueError, match="'perf/mfu'"):
        logger.log_step(1, {"perf/mfu": 0.5}, mfu=0.5)
    logger.close()
    (row,) = rows(logger)
    assert (row["train/loss"], row["train/accuracy"]) == (1.0, 0.5)


@pytest.mark.parametrize("step", [1.5, "1", True, -1])
def test_a_step_that_is_not_a_count_is_refused(make_logger, step):
    with pytest.raises((TypeError, ValueError), match="step"):
        make_logger().log_step(step, loss=1.0)


def test_a_step_on_a_device_is_refused(make_logger):
    with pytest.raises(TypeError, match="int\\(step\\)"):
        make_logger().log_step(jnp.int32(1), loss=1.0)


def test_rows_that_are_finished_together_are_in_order_of_steps():
    rows = OpenRows(lambda *_: None)
    for step, split in ((5, "val"), (3, "train")):
        row, _ = rows.begin(step, split, 0.0)
        row.add(f"{split}/loss", 1.0)
    finished = rows.finish()
    assert [(row.step, row.split) for row in finished] == [(3, "train"), (5, "val")]


def test_a_finished_row_is_returned_again_until_it_is_removed():
    rows = OpenRows(lambda *_: None)
    rows.begin(1, "train", 0.0)[0].add("train/loss", 1.0)
    assert [row.step for row in rows.finish()] == [1]
    finished = rows.finish()  # after an interrupt between the two
    assert [row.step for row in finished] == [1]
    del finished[0]
    assert rows.finish() == []


def test_a_row_without_values_is_dropped():
    rows = OpenRows(lambda *_: None)
    rows.begin(1, "train", 0.0)
    assert rows.begin(2, "train", 0.0)[1] == []


def test_calls_with_known_names_and_types_reuse_their_keys():
    filler = RowFiller()
    for step in range(3):
        row = filled_row(step, "train")
        row.values = {}
        assert filler.fill(row, None, {"loss": 1.0, "tokens": step}) == []
        assert row.values == {"train/loss": 1.0, "tokens": step}
    assert len(filler._keys) == 1


def test_a_wrong_value_under_a_known_name_is_refused_in_its_call(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    logger.log_step(2, loss=1.0)
    with pytest.raises(TypeError, match="'loss'"):
        logger.log_step(3, loss="high")
    logger.log_step(4, loss=1.0)
    logger.close()
    assert steps(logger) == [1, 2, 4]
