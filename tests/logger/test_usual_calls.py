"""Calls like earlier ones, which take the short way: their records are the same."""

import threading

import jax.numpy as jnp
import numpy as np
import pytest
from support.loggers import events, rows, steps

import jaxmetrics as jm


def test_both_ways_give_the_same_records(make_logger, clock):
    def log(logger, step):
        clock.now = step / 7
        values = {"lr": 0.5, "loss": jnp.float32(step), "opt/beta": 2, "tokens": step}
        logger.log_step(step, values)
        logger.log_step(step, loss=float(step))
        logger.log_step(step, jm.Mean("x").update(x=jnp.full(2, step)))
        logger.log_step(step, split="val", loss=1.0)

    usual, other = make_logger("usual"), make_logger("other")
    for step in range(1, 6):
        log(usual, step)
    for step in range(1, 6):
        other._expect({})  # as if no call had been seen
        log(other, step)
    for logger in (usual, other):
        assert logger.close()
    first, second = (logger.run_dir / "metrics.jsonl" for logger in (usual, other))
    lines = first.read_bytes().splitlines()[1:]
    assert lines == second.read_bytes().splitlines()[1:]
    assert len(lines) == 20
    assert usual._last_train_step == 5 and other._last_train_step == -1


def test_a_mapping_may_be_changed_after_the_call(make_logger):
    logger = make_logger()
    values = {"loss": 0.0}
    for step in range(1, 4):
        values["loss"] = float(step)
        logger.log_step(step, values)
    values.clear()
    logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("step", "error"), [(True, TypeError), (-1, ValueError), (2**63, ValueError)]
)
def test_a_wrong_step_is_refused_in_its_call(make_logger, step, error):
    logger = make_logger()
    metrics = jm.Mean("x").update(x=1.0)
    logger.log_step(1, loss=1.0)
    logger.log_step(1, metrics)
    for arguments in ({"loss": 1.0}, {"metrics": metrics}):
        with pytest.raises(error, match="step"):
            logger.log_step(step, **arguments)
    logger.close()
    assert steps(logger) == [1, 1]


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_an_array_of_numpy_under_a_known_name_is_read_in_its_call(make_logger, shape):
    logger = make_logger()
    if np.prod(shape) == 1:
        logger.log_step(1, {"value": 1.0})
    value = np.zeros(shape)
    for step in range(2, 5):
        value[...] = step
        logger.log_step(step, {"value": value})
    logger.close()
    values = [row["train/value"] for row in rows(logger)]
    expected = [[float(step)] * 3 for step in range(2, 5)]
    assert values == (expected if shape == (3,) else [1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("wrong", [np.zeros(2), "one", np.str_("one"), [1.0], object()])
def test_a_wrong_value_is_refused_in_every_call(make_logger, wrong):
    logger = make_logger()
    logger.log_step(1, loss=np.ones(1))
    for step in range(2, 5):
        with pytest.raises(TypeError, match="'loss'"):
            logger.log_step(step, loss=wrong)
        logger.log_step(step, loss=None)
    logger.log_step(5, loss=np.float32(2.0))
    logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [1.0, 2.0]


@pytest.mark.parametrize("value", [1.5, 2, True, np.float32(1.5), np.bool_(1)])
def test_numbers_that_never_change_take_the_short_way(make_logger, value):
    logger = make_logger()
    for step in range(1, 4):
        logger.log_step(step, loss=1.0, value=value)
    logger.close()
    assert logger._last_train_step == 3  # known from rows of the short way alone
    assert [row["train/value"] for row in rows(logger)] == [value] * 3


def test_numbers_continue_after_usual_calls(make_logger):
    logger = make_logger()
    for step in (1, 2, 7):
        logger.log_step(step, loss=1.0)
    logger.log_step(loss=1.0)
    logger.log_step(split="val", loss=1.0)
    assert logger.state()["last_steps"] == {"train": 8, "val": 8}
    logger.log_step(9, loss=1.0)
    assert "<td>9</td>" in logger._repr_html_()
    logger.close()
    assert events(logger)[-1]["step"] == 9


def test_the_ledger_notes_the_step_every_ten_seconds(make_logger, clock):
    logger = make_logger()
    for step in range(1, 41):
        clock.now = float(step)
        logger.log_step(step, loss=1.0)
    logger.close()
    noted = [event["step"] for event in events(logger) if event["event"] == "step"]
    assert noted == [1, 11, 21, 31]


def test_the_guard_and_a_restore_are_those_of_other_calls(make_logger):
    logger = make_logger()
    for step in range(1, 5):
        logger.log_step(step, loss=1.0)
    state = logger.state()
    for step in range(5, 8):
        logger.log_step(step, loss=1.0)
    logger.load_state(state)
    assert logger.state()["last_steps"] == {"train": 4}
    logger.log_step(5, loss=2.0)
    logger.close()
    assert steps(logger) == [1, 2, 3, 4, 5]
    later = make_logger()
    with pytest.raises(ValueError, match="earlier attempt"):
        later.log_step(5, loss=1.0)
    later.log_step(6, loss=1.0)


def test_attached_objects_contribute_to_the_next_usual_call(make_logger):
    class Speed:
        def metrics(self):
            return {"perf/speed": 3.0}

    logger = make_logger()
    logger.log_step(1, loss=1.0)
    logger.log_step(2, loss=1.0)
    logger.attach(speed=Speed())
    logger.log_step(3, loss=1.0)
    logger.attach(speed=None)
    logger.log_step(4, loss=1.0)
    logger.log_step(5, loss=1.0)
    logger.close()
    assert [row.get("perf/speed") for row in rows(logger)] == [
        None,
        None,
        3.0,
        None,
        None,
    ]


def test_a_fault_is_raised_by_the_next_call(make_logger):
    logger = make_logger()
    logger.log_step(1, loss=jnp.float32(1.0), other=1.0)
    donated = jnp.float32(2.0)
    donated.delete()
    logger.log_step(2, loss=donated, other=1.0)
    logger._sinks.fetch()
    with pytest.raises(RuntimeError, match="'train/loss' logged at step 2"):
        logger.log_step(3, loss=jnp.float32(3.0), other=1.0)
    logger.log_step(4, loss=jnp.float32(4.0), other=1.0)
    logger.close()
    assert [row.get("train/loss") for row in rows(logger)] == [1.0, None, 3.0, 4.0]


@pytest.mark.parametrize("whole", [False, True])
def test_a_call_that_another_thread_overtakes_with_a_close_is_refused(
    make_logger, clock, whole
):
    values = {"metrics": jm.Mean("x").update(x=1.0)} if whole else {"loss": 1.0}

    class Closing:
        armed = False

        def __call__(self):
            if self.armed and threading.current_thread() is threading.main_thread():
                self.armed = False
                thread = threading.Thread(target=logger.close)
                thread.start()
                thread.join(60)
            return 0.0

    closing = Closing()
    logger = make_logger(monotonic=closing)
    logger.log_step(1, **values)
    closing.armed = True
    with pytest.raises(ValueError, match="closed"):
        logger.log_step(2, **values)
    assert steps(logger) == [1]


def test_calls_that_no_writer_takes_are_not_kept(make_logger):
    logger = make_logger()
    logger._max_entries = 8
    hold = logger._sinks.intake.lock
    release = threading.Event()

    def block():
        with hold:  # as a writer's thread that hands out
            held.set()
            release.wait(60)

    held = threading.Event()
    thread = threading.Thread(target=block)
    thread.start()
    held.wait(60)
    for step in range(1, 8):
        logger.log_step(step, loss=1.0)
    assert len(logger._entries) == 7
    release.set()
    thread.join(60)
    logger.log_step(8, loss=1.0)
    for step in range(9, 100):
        logger.log_step(step, loss=1.0)
        assert len(logger._entries) < 8
    logger.close()
    assert steps(logger) == list(range(1, 100))
