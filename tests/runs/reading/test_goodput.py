"""Where the time of a run went, over preemptions too."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics import TrainingLogger, runs
from jaxmetrics.record._ledger import Ledger
from jaxmetrics.runs import goodput
from jaxmetrics.runs.reading._goodput import goodput_of
from jaxmetrics.writers import JSONL


class Clock:
    def __init__(self, now=1e9):
        self.now = now

    def __call__(self):
        return self.now


class Training:
    """A loop whose steps take ten seconds, and what its ledger says of it."""

    def __init__(self, folder):
        self.clock = Clock()
        self.path = folder / "events.jsonl"
        self.attempt = 0
        self.step = 0

    def start(self, restored=None):
        self.attempt += 1
        self.ledger = Ledger(self.path, self.attempt, self.clock)
        self.ledger.event("start", restored_step=restored)
        self.step = restored or 0

    def wait(self, seconds, event=None):
        self.clock.now += seconds
        if event is not None:
            self.ledger.event(event, seconds=seconds)

    def steps(self, number, every=1):
        for _ in range(number):
            self.step += 1
            self.clock.now += 10
            if self.step % every == 0:
                self.ledger.progress(self.step)

    def end(self):
        self.ledger.event("close", step=self.step)
        self.ledger.close()

    def killed(self):
        self.ledger.close()

    def elapsed(self):
        return self.clock.now - 1e9


@pytest.fixture
def training(tmp_path):
    return Training(tmp_path)


def parts(training):
    found = goodput(training.path)
    ratio = found.pop("goodput")
    assert math.isclose(sum(found.values()), training.elapsed(), abs_tol=1e-9)
    return ratio, found


def test_an_undisturbed_run(training):
    training.start()
    training.wait(5)
    training.steps(100)
    training.end()
    ratio, found = parts(training)
    assert ratio == pytest.approx(0.995, abs=0.005)
    assert found == {"step": 1000, "init": 5}


def test_a_kill_costs_the_outage_and_the_steps_that_are_done_again(training):
    training.start()
    training.wait(5)
    training.steps(60)
    training.killed()
    training.wait(600)
    training.start(restored=50)
    training.wait(5)
    training.steps(50)
    training.end()
    ratio, found = parts(training)
    assert ratio == pytest.approx(0.585, abs=0.005)
    assert found == {"step": 1000, "idle": 600, "rewind": 100, "init": 10}


def test_an_outage_counts_even_if_no_step_was_lost(training):
    training.start()
    training.wait(5)
    training.steps(60)
    training.end()
    training.wait(600)
    training.start(restored=60)
    training.wait(5)
    training.steps(40)
    training.end()
    ratio, found = parts(training)
    assert ratio == pytest.approx(0.62, abs=0.005)
    assert found == {"step": 1000, "idle": 600, "init": 10}


def test_signs_may_be_far_apart(training):
    training.start()
    training.wait(5)
    training.steps(60, every=7)
    training.killed()
    training.wait(600)
    training.start(restored=50)
    training.wait(5)
    training.steps(50, every=7)
    training.end()
    ratio, found = parts(training)
    assert ratio == pytest.approx(0.585, abs=0.01)
    # Steps 57 to 60 left no sign: they count as idle.
    assert found["idle"] == 640 and found["rewind"] == pytest.approx(60)
    assert found["init"] == pytest.approx(10)


def test_what_was_measured_is_no_step(training):
    training.start()
    training.wait(8, "init")
    training.wait(30, "compile")
    training.steps(50)
    training.wait(20, "compile")
    training.wait(15, "evaluation")
    training.wait(5, "my own thing")
    training.steps(50)
    training.ledger.event("data_wait", seconds=40)
    training.wait(2, "checkpoint")
    training.end()
    _, found = parts(training)
    assert found == {
        "step": 960,
        "compile": 50,
        "data_wait": 40,
        "evaluation": 15,
        "init": 8,
        "my own thing": 5,
        "checkpoint": 2,
    }


def test_time_that_two_things_took_counts_once(training):
    training.start()
    training.steps(1)
    training.wait(20)
    training.ledger.event("evaluation", seconds=20)
    training.ledger.event("compile", seconds=5)
    training.steps(1)
    training.end()
    _, found = parts(training)
    assert found == {"step": 20, "evaluation": 15, "compile": 5}


def test_going_back_within_an_attempt_is_a_rewind(training):
    training.start()
    training.steps(10)
    training.ledger.event("restore", step=6)
    training.step = 6
    training.steps(4)
    training.end()
    assert parts(training)[1] == {"step": 100, "rewind": 40}


def test_a_restore_after_the_start_says_where_the_attempt_begins(training):
    training.start()
    training.steps(10)
    training.killed()
    training.start()
    training.wait(3)
    training.ledger.event("restore", step=8)
    training.step = 8
    training.steps(2)
    training.end()
    assert parts(training)[1] == {"step": 100, "rewind": 20, "init": 3}


def test_a_clock_that_goes_back_makes_no_negative_time(training):
    training.start()
    training.steps(5)
    training.clock.now -= 1000
    training.steps(5)
    training.end()
    found = goodput(training.path)
    assert found == {"goodput": 1.0, "step": 50}


def test_no_events_and_events_of_no_length(tmp_path):
    with pytest.raises(FileNotFoundError, match="directory of a run"):
        runs.goodput(tmp_path)
    (tmp_path / "events.jsonl").write_text("")
    assert math.isnan(goodput(tmp_path)["goodput"])


EVENTS = st.fixed_dictionaries(
    {
        "time": st.one_of(
            st.datetimes().map(lambda t: t.isoformat() + "+00:00"), st.text()
        ),
        "event": st.sampled_from(
            ["start", "step", "close", "restore", "compile", "data_wait", "other", 3]
        ),
    },
    optional={
        "seconds": st.floats() | st.integers() | st.text(),
        "step": st.integers(-5, 50) | st.booleans() | st.none(),
        "restored_step": st.integers(-5, 50) | st.none(),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=20))
def test_any_events_add_up_to_the_time_between_the_first_and_the_last(events):
    found = goodput_of(events)
    ratio = found.pop("goodput")
    assert all(seconds > 0 for seconds in found.values())
    times = [np.nan]
    for event in events:
        try:
            times.append(np.datetime64(event["time"].removesuffix("+00:00"), "us"))
        except ValueError:
            continue
    assert math.isnan(ratio) == (not found) and (not found or 0 <= ratio <= 1)


def test_compiling_is_told_by_jax_and_named(tmp_path):
    with TrainingLogger(root=tmp_path, run_name="run", writers=[JSONL()]) as logger:

        @jax.jit
        def late_program(x):
            for i in range(60):
                x = jnp.sin(x @ x) + i
            return x

        logger.log_step(49, loss=1.0)
        late_program(jnp.ones((3, 3)))
        logger.log_step(50, loss=1.0)
    lines = (logger.run_dir / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    compiled = [e for e in events if e["event"] == "compile"]
    assert any("late_program" in str(e.get("function")) for e in compiled)
    found = goodput(logger.run_dir)
    total = sum(e["seconds"] for e in compiled)
    assert 0 < found["compile"] <= total + 1e-3
