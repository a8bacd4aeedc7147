import json
import math
from datetime import datetime

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics import TrainingLogger, runs
from jaxmetrics.record._ledger import Ledger
from jaxmetrics.runs import goodput
from jaxmetrics.runs.reading._goodput import goodput_of_events
from jaxmetrics.writers import JSONL


class Clock:
    def __init__(self, now=1e9):
        self.now = now

    def __call__(self):
        return self.now


class Training:
    """A simulated training whose steps take ten seconds, with its ledger."""

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
                self.ledger.event("step", step=self.step)

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


def goodput_parts(training):
    """Return ratio and seconds by category, which must add up to the elapsed time."""
    seconds = goodput(training.path)
    ratio = seconds.pop("goodput")
    assert math.isclose(sum(seconds.values()), training.elapsed(), abs_tol=1e-9)
    return ratio, seconds


def test_a_run_without_interruptions(training):
    training.start()
    training.wait(5)
    training.steps(100)
    training.end()
    ratio, seconds = goodput_parts(training)
    assert ratio == pytest.approx(0.995, abs=0.005)
    assert seconds == {"step": 1000, "init": 5}


def test_a_kill_costs_the_outage_and_the_repeated_steps(training):
    training.start()
    training.wait(5)
    training.steps(60)
    training.killed()
    training.wait(600)
    training.start(restored=50)
    training.wait(5)
    training.steps(50)
    training.end()
    ratio, seconds = goodput_parts(training)
    assert ratio == pytest.approx(0.585, abs=0.005)
    assert seconds == {"step": 1000, "idle": 600, "rewind": 100, "init": 10}


def test_an_outage_counts_even_if_no_step_is_repeated(training):
    training.start()
    training.wait(5)
    training.steps(60)
    training.end()
    training.wait(600)
    training.start(restored=60)
    training.wait(5)
    training.steps(40)
    training.end()
    ratio, seconds = goodput_parts(training)
    assert ratio == pytest.approx(0.62, abs=0.005)
    assert seconds == {"step": 1000, "idle": 600, "init": 10}


def test_progress_may_be_reported_every_few_steps(training):
    training.start()
    training.wait(5)
    training.steps(60, every=7)
    training.killed()
    training.wait(600)
    training.start(restored=50)
    training.wait(5)
    training.steps(50, every=7)
    training.end()
    ratio, seconds = goodput_parts(training)
    assert ratio == pytest.approx(0.585, abs=0.01)
    # Steps 57 to 60 were not reported before the kill: they count as idle.
    assert seconds["idle"] == 640 and seconds["rewind"] == pytest.approx(60)
    assert seconds["init"] == pytest.approx(10)


def test_measured_time_is_not_step_time(training):
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
    _, seconds = goodput_parts(training)
    assert seconds == {
        "step": 960,
        "compile": 50,
        "data_wait": 40,
        "evaluation": 15,
        "init": 8,
        "my own thing": 5,
        "checkpoint": 2,
    }


def test_overlapping_measurements_count_once(training):
    training.start()
    training.steps(1)
    training.wait(20)
    training.ledger.event("evaluation", seconds=20)
    training.ledger.event("compile", seconds=5)
    training.steps(1)
    training.end()
    _, seconds = goodput_parts(training)
    assert seconds == {"step": 20, "evaluation": 15, "compile": 5}


def test_a_restore_within_an_attempt_is_a_rewind(training):
    training.start()
    training.steps(10)
    training.ledger.event("restore", step=6)
    training.step = 6
    training.steps(4)
    training.end()
    assert goodput_parts(training)[1] == {"step": 100, "rewind": 40}


def test_a_restore_after_the_start_rewinds_the_earlier_attempt(training):
    training.start()
    training.steps(10)
    training.killed()
    training.start()
    training.wait(3)
    training.ledger.event("restore", step=8)
    training.step = 8
    training.steps(2)
    training.end()
    assert goodput_parts(training)[1] == {"step": 100, "rewind": 20, "init": 3}


def test_a_clock_that_goes_back_gives_no_negative_time(training):
    training.start()
    training.steps(5)
    training.clock.now -= 1000
    training.steps(5)
    training.end()
    assert goodput(training.path) == {"goodput": 1.0, "step": 50}


def test_a_run_without_events_has_no_goodput(tmp_path):
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


def seconds_of(event):
    """Return the time of an event in seconds; None if it cannot be used."""
    try:
        return datetime.fromisoformat(event["time"]).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=20))
def test_any_events_add_up_to_the_time_between_the_first_and_the_last(events):
    spent = goodput_of_events(events)
    ratio = spent.pop("goodput")
    assert all(seconds > 0 for seconds in spent.values())
    assert math.isnan(ratio) == (not spent) and (not spent or 0 <= ratio <= 1)
    times = [seconds_of(event) for event in events if isinstance(event["event"], str)]
    times = [time for time in times if time is not None]
    length = max(times) - times[0] if times else 0.0
    assert math.isclose(sum(spent.values()), length, rel_tol=1e-9, abs_tol=1e-3)


CLOCKED = st.fixed_dictionaries(
    {
        "time": st.datetimes().map(lambda t: t.isoformat() + "+00:00"),
        "attempt": st.integers(1, 3),
        "event": st.sampled_from(["start", "step", "close", "compile", "other"]),
    },
    optional={
        "elapsed": st.floats(-5, 1e4) | st.just("Infinity") | st.none(),
        "seconds": st.floats(0, 100),
        "step": st.integers(0, 50),
        "repeated": st.just({"count": 3}) | st.none(),
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(CLOCKED, max_size=20))
def test_any_elapsed_seconds_give_shares_of_one_whole(events):
    spent = goodput_of_events(events)
    ratio = spent.pop("goodput")
    assert all(seconds > 0 for seconds in spent.values())
    assert math.isnan(ratio) == (not spent) and (not spent or 0 <= ratio <= 1)


def test_merged_waits_cost_what_they_did_one_by_one(training):
    training.start()
    for _ in range(300):
        training.step += 1
        training.clock.now += 10
        for _ in range(2):
            training.ledger.event("data_wait", seconds=0.04)
        training.ledger.event("step", step=training.step)
    training.end()
    rows = [json.loads(line) for line in training.path.read_text().splitlines()]
    assert any("repeated" in row for row in rows)
    _, seconds = goodput_parts(training)
    assert seconds["data_wait"] == pytest.approx(600 * 0.04)
    assert seconds["step"] == pytest.approx(3000 - 600 * 0.04)


def test_compilations_are_reported_with_the_name_of_the_function(tmp_path):
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
    spent = goodput(logger.run_dir)
    total = sum(e["seconds"] for e in compiled)
    assert 0 < spent["compile"] <= total + 1e-3


def test_events_that_begin_without_a_start_begin_with_its_initialization():
    events = [
        {"event": "restore", "step": 0, "time": "2026-01-01T00:00:00Z"},
        {"event": "restore", "step": 0, "time": "2026-01-01T00:00:05Z"},
        {"event": "step", "step": 1, "time": "2026-01-01T00:00:15Z"},
        {"event": "step", "step": 2, "time": "2026-01-01T00:00:25Z"},
    ]
    seconds = goodput_of_events(events)
    assert (seconds["init"], seconds["step"]) == (5, 20)
