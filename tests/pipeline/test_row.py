"""Records: one for each call, in the order of the calls, at any step."""

import warnings
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.loggers import rows, steps

import jaxmetrics as jm
from jaxmetrics import TrainingLogger
from jaxmetrics.pipeline import CallReader, Row
from jaxmetrics.pipeline._row import LostValuesError
from jaxmetrics.writers import Memory


def test_each_call_is_a_record_on_disk_once_it_is_flushed(make_logger):
    logger = make_logger()
    logger.log_step(5, loss=1.0)
    logger.log_step(5, split="val", loss=3.0)
    assert logger.flush()  # in the middle of the step
    logger.log_step(5, {"a b": 2.0}, accuracy=0.5)
    assert logger.flush()
    assert rows(logger) == [
        {"step": 5, "split": "train", "time": 0.0, "train/loss": 1.0},
        {"step": 5, "split": "val", "time": 0.0, "val/loss": 3.0},
        {
            "step": 5,
            "split": "train",
            "time": 0.0,
            "train/a b": 2.0,
            "train/accuracy": 0.5,
        },
    ]


CALLS = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(["train", "val", "test"]),
        st.sampled_from(["loss", "accuracy"]),
        st.booleans(),
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def numbered_run(tmp_path_factory):
    """Return a function that creates a logger of another run each time."""
    root, numbers = tmp_path_factory.mktemp("runs"), iter(range(10**6))

    def make():
        return TrainingLogger("p", f"r{next(numbers)}", root=root, console=False)

    return make


@settings(max_examples=30, deadline=None)
@given(CALLS)
def test_no_order_of_steps_splits_and_flushes_is_refused_or_changed(
    numbered_run, calls
):
    with numbered_run() as logger:
        for number, (step, split, name, flushes) in enumerate(calls):
            value = jnp.float32(number) if number % 2 else float(number)
            logger.log_step(step, {name: value}, split=split)
            if flushes:
                assert logger.flush()
    assert [
        (row["step"], row["split"], row[f"{row['split']}/{name}"])
        for row, (_, _, name, _) in zip(rows(logger), calls, strict=True)
    ] == [(step, split, number) for number, (step, split, *_) in enumerate(calls)]


def test_evaluations_may_finish_after_later_steps(make_logger):
    """Scenic logs an evaluation, flushes, and logs the step once more."""
    logger = make_logger()
    for step in (100, 200):
        logger.log_step(step, loss=1.0)
        logger.log_step(step, split="val", loss=2.0)
        logger.flush()
        logger.log_step(step, steps_per_second=3.0)
        logger.log_step(step - 100, split="test", loss=4.0)
    logger.close()
    assert [(row["step"], row["split"]) for row in rows(logger)] == [
        (100, "train"),
        (100, "val"),
        (100, "train"),
        (0, "test"),
        (200, "train"),
        (200, "val"),
        (200, "train"),
        (100, "test"),
    ]
    run = jm.Run.load(logger.run_dir)
    assert run.steps.tolist() == [0, 100, 200]
    assert run["val/loss"][0].tolist() == [100, 200]
    assert run["perf/steps_per_second"][1].tolist() == [3.0, 3.0]


def test_a_record_without_a_step_takes_the_next_one(make_logger):
    logger = make_logger(writers=[memory := Memory()])
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


def test_tokens_and_samples_are_fields_of_the_record(make_logger):
    logger = make_logger()
    logger.log_step(1, tokens=np.int64(2**40), samples=jnp.int32(8), loss=1.0)
    logger.close()
    (row,) = rows(logger)
    assert list(row) == ["step", "split", "time", "tokens", "samples", "train/loss"]
    assert (row["tokens"], row["samples"]) == (2**40, 8)


def test_the_fraction_of_a_count_is_cut_with_a_warning(make_logger, caplog):
    logger = make_logger()
    logger.log_step(1, tokens=np.float32(2.0), samples=5)
    assert logger.flush() and not caplog.text
    for step in (2, 3):
        logger.log_step(step, tokens=2.7, samples=5)
    logger.close()
    assert [row["tokens"] for row in rows(logger)] == [2, 2, 2]
    assert caplog.text.count("tokens is the first value to be cut") == 1


def test_a_call_without_values_is_no_record(make_logger):
    logger = make_logger()
    logger.log_step(1)
    logger.log_step(2, {})
    logger.log_step(3, {"a": {}}, b=None)
    logger.close()
    assert rows(logger) == []


def test_a_value_of_a_call_wins_over_one_that_its_metric_computes(make_logger, caplog):
    metrics = jm.Collection(loss=jm.Mean("loss"), worst=jm.Max("loss"))
    metrics = metrics.update(loss=jnp.array([1.0, 3.0]))
    logger = make_logger()
    for step in (1, 2):
        logger.log_step(step, metrics, loss=7.0, worst=jnp.float32(3.0))
    assert logger.close()
    assert [(r["train/loss"], r["train/worst"]) for r in rows(logger)] == [(7, 3)] * 2
    assert caplog.text.count("train/loss was logged beside metrics") == 1
    assert "train/worst" not in caplog.text  # both are 3


def test_a_value_of_a_call_wins_over_an_array_or_a_scalar_of_its_metric(
    make_logger, caplog
):
    row = Row(1, "train", 0.0)
    computed = {"row": np.zeros(3), "mean": 2.0, "same": np.array([1.0, np.nan])}
    row.values = {
        "(metrics)": lambda _: computed,
        "train/row": 0.5,
        "train/mean": np.array([1.0, 2.0]),
        "train/same": computed["same"].copy(),
    }
    record = row.fetch()
    assert record.values == {"train/row": 0.5}
    assert list(record.arrays) == ["train/mean", "train/same"]
    assert row.replaced == ["train/row", "train/mean"]

    logger = make_logger()
    logger.log_step(1, jm.Collection(row=per_class(3)), row=0.5)
    assert logger.latest() == {"train/row": 0.5}
    assert logger.close() and rows(logger)[0]["train/row"] == 0.5
    assert "train/row was logged beside metrics" in caplog.text


def test_a_fetched_row_keeps_no_metrics():
    class Taken:
        def record(self, split):
            return {"loss": 1.0}

        def better(self, values):
            return {}

    taken, row = Taken(), Row(1, "train", 0.0)
    row.values, row.better = {"(metrics)": taken.record}, taken.better
    row.fetch()
    reference = weakref.ref(taken)
    del taken
    assert reference() is None


class PerClass(jm.Metric):
    """A metric of a configurable shape: zeros, or the sum at every place."""

    sums: jm.Array = jm.sum_leaf()
    shape: tuple[int, ...] = (2,)

    def observe(self, *, loss, mask=None):
        return {"sums": jm.total(loss, mask)}

    def compute(self):
        xp = jm.namespace(self)
        return xp.zeros(self.shape) + self.sums


def per_class(*shape):
    return PerClass(shape=shape).update(loss=jnp.array([1.0, np.nan]))


def test_arrays_of_metrics_are_lists_in_the_record(make_logger, caplog):
    names = {"row": (3,), "matrix": (2, 2), "one": (1,), "cube": (2, 2, 2)}
    metrics = jm.Collection(**{name: per_class(*s) for name, s in names.items()})
    logger = make_logger(writers=[memory := Memory()])
    for step in (1, 2):
        logger.log_step(step, metrics, loss=0.5)
    logger.close()
    first, _ = rows(logger)
    assert first["train/row"] == ["NaN"] * 3
    assert first["train/matrix"] == [["NaN"] * 2] * 2
    assert first["train/one"] == ["NaN"]
    assert "train/cube" not in first
    assert caplog.text.count("train/cube is an array") == 1
    (record, _) = memory.records
    assert dict(record.values) == {"train/loss": 0.5}
    assert set(record.arrays) == {"train/row", "train/matrix", "train/one"}
    assert logger.latest() == {"train/loss": 0.5}


def test_an_array_of_more_than_ten_thousand_numbers_is_left_out(make_logger, caplog):
    metrics = jm.Collection(large=per_class(101, 100), limit=per_class(100, 100))
    logger = make_logger()
    logger.log_step(1, metrics)
    logger.close()
    (row,) = rows(logger)
    assert np.shape(row["train/limit"]) == (100, 100)
    assert "train/large" not in row
    assert "train/large is the first value to be cut or left out" in caplog.text


def test_a_default_is_used_where_neither_call_nor_metric_has_a_value():
    row = Row(1, "train", 0.0)
    row.values = {
        "train/loss": 1.0,
        "(metrics)": lambda _: {"accuracy": 0.5, "spread": np.zeros(2)},
    }
    names = ("train/loss", "train/accuracy", "train/spread", "perf/mfu")
    row.defaults = dict.fromkeys(names, 9.0)
    record = row.record()
    assert record.values == {"train/loss": 1.0, "train/accuracy": 0.5, "perf/mfu": 9.0}
    assert record.arrays == {"train/spread": [0.0, 0.0]}


def test_known_names_and_types_reuse_their_keys_and_new_types_are_checked():
    reader = CallReader()
    for step in range(3):
        call = reader.read("train", False, {"loss": 1.0, "tokens": step}, {})
        assert call.values == {"train/loss": 1.0, "tokens": step}
    for wrong in ("high", jnp.zeros(2), None):
        call = reader.read("train", False, {"loss": wrong, "tokens": 1}, {})
        assert call.values == {"tokens": 1}
        assert len(call.errors) == (wrong is not None)
    call = reader.read("train", False, {"loss": 1.0, "tokens": 3}, {})
    assert call.values == {"train/loss": 1.0, "tokens": 3}


def test_equal_names_have_the_keys_of_their_own_call():
    reader = CallReader()
    value = {"val/loss": 1.0}
    for _ in range(2):  # the second time they are known
        assert reader.read("train", False, value, {}).split == "val"
        assert list(reader.read("train", True, value, {}).values) == ["train/val/loss"]
        assert list(reader.read(None, True, {"loss": 1.0}, {}).values) == ["loss"]
        assert list(reader.read("val", True, {"loss": 1.0}, {}).values) == ["val/loss"]


def test_names_that_differ_in_every_call_take_no_memory_without_limit():
    reader = CallReader()
    for number in range(3000):
        reader.read("train", False, {f"name{number}": 1.0}, {})
    assert len(reader._known) <= 1024


def test_a_wrong_value_under_a_known_name_is_refused_in_its_call(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    logger.log_step(2, loss=1.0)
    with pytest.raises(TypeError, match="'loss'"):
        logger.log_step(3, loss="high")
    logger.log_step(4, loss=1.0)
    logger.close()
    assert steps(logger) == [1, 2, 4]


def test_a_vector_under_the_name_of_a_device_scalar_loses_nothing_else(make_logger):
    """A value of a known name and type is checked when it is fetched."""
    logger = make_logger()
    logger.log_step(1, loss=jnp.float32(1.0), accuracy=0.5)
    logger.log_step(2, loss=jax.numpy.zeros(2), accuracy=0.25)
    with pytest.raises((TypeError, RuntimeError), match="'train/loss'"):
        logger.flush()
    assert [row["train/accuracy"] for row in rows(logger)] == [0.5, 0.25]


def test_diagnostics_of_metrics_are_recorded_with_one_warning(make_logger, caplog):
    metrics = jm.Collection(first=jm.Accuracy(), second=jm.F1(classes=2))
    logits, labels = np.array([[2.0, 1.0], [np.nan, 0.0]]), np.array([0, 1])
    logger = make_logger()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one way to say it is enough
        for split in ("train", "val"):
            state = metrics.update(logits=logits, labels=labels)
            logger.log_step(1, state, split=split)
        assert logger.flush()
    for split, row in zip(("train", "val"), rows(logger), strict=True):
        counts = {key: x for key, x in row.items() if key.startswith("health/")}
        assert counts == {
            f"health/invalid/{split}/first": 1,
            f"health/invalid/{split}/second": 1,
        }
    (warning,) = caplog.messages
    assert warning.startswith("health/invalid/train/first is not 0")


def test_nothing_is_diagnosed_in_valid_data(make_logger, caplog):
    state = jm.Accuracy().update(logits=np.eye(2), labels=np.array([0, 1]))
    logger = make_logger()
    logger.log_step(1, state)
    assert logger.flush()
    assert rows(logger)[0].keys() == {"step", "split", "time", "train/accuracy"}
    assert state.diagnostics() == {} and not caplog.messages


class DeadHost:
    """Metrics whose reduction fails on the devices, as when a host has died."""

    def compute(self):
        raise RuntimeError("Gloo AllReduce failed: connection closed by peer")


def lost_row(step, **values):
    row = Row(step, "train", 0.0)
    row.values = {"(metrics)": lambda split: DeadHost().compute(), **values}
    return row


def test_a_row_without_any_value_is_not_recorded_and_fails_for_every_writer():
    row = lost_row(1)
    for _ in range(2):
        with pytest.raises(LostValuesError, match="AllReduce failed.*has ended"):
            row.record()
    row.fetch()  # does not raise
    assert row.is_fetched and "donate" not in row.faults[0]


@pytest.mark.parametrize("value", [{"train/loss": 1.0}, {"tokens": 5}])
def test_a_row_with_another_value_is_recorded(value):
    record = lost_row(1, **value).record()
    assert record.line().items() >= value.items()


def test_lost_rows_block_no_step_of_the_next_attempt(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=1.0)
    logger._sinks.offer([lost_row(2), lost_row(3)])
    assert not logger.flush()
    assert logger.counters()["metrics.jsonl"]["failed"] == 2
    logger.close()
    with make_logger() as logger:
        logger.log_step(2, loss=2.0)
    assert steps(logger) == [1, 2]
