"""Which train steps a writer takes, as laws over any order of steps."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmetrics.pipeline._cadence import Cadence

EVERY = st.integers(1, 12)
STEPS = st.lists(st.integers(0, 200), max_size=120)
"""Steps of records in any order, several for one step included."""
RISING = STEPS.map(lambda steps: sorted(set(steps)))


def taken(cadence, steps):
    return [step for step in steps if cadence.takes(step)]


@given(EVERY, RISING)
def test_rising_steps_are_taken_at_the_first_and_at_every_crossing(every, steps):
    expected = [
        step
        for earlier, step in zip([None, *steps], steps)
        if earlier is None or step // every > earlier // every
    ]
    assert taken(Cadence(every), steps) == expected


@given(EVERY, STEPS)
def test_all_records_of_a_recent_step_share_one_decision(every, steps):
    cadence, decisions = Cadence(every), {}
    for step in steps:
        decision = cadence.takes(step)
        recent = list(decisions)[-64:]
        assert step not in recent or decisions[step] == decision
        decisions.setdefault(step, decision)


@given(EVERY, STEPS)
def test_a_late_step_is_taken_if_it_is_a_multiple(every, steps):
    cadence, highest, seen = Cadence(every), -1, set()
    for step in steps:
        decision = cadence.takes(step)
        if step < highest and step not in seen:
            assert decision == (step % every == 0)
        seen.add(step)
        highest = max(highest, step) if decision else highest


@given(EVERY, STEPS, st.integers(0, 120))
def test_a_restored_cadence_decides_as_an_uninterrupted_one(every, steps, saved_at):
    uninterrupted = taken(Cadence(every), steps)
    before, after = steps[:saved_at], steps[saved_at:]
    cadence, restored = Cadence(every), Cadence(every)
    kept = taken(cadence, before)
    state = json.loads(json.dumps(cadence.state()))
    taken(cadence, after)  # what is logged after the save changes nothing
    taken(restored, range(0, 500, 7))
    restored.load_state(state)
    assert kept + taken(restored, after) == uninterrupted


def test_an_empty_state_takes_the_next_record_as_the_first():
    cadence = Cadence(10)
    assert taken(cadence, range(5)) == [0]
    cadence.load_state({})
    assert taken(cadence, range(3, 25)) == [3, 10, 20]
    assert Cadence(10).state() == {}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (range(99, 1000, 100), range(99, 1000, 100)),
        (range(0, 641, 64), [0, 128, 256, 320, 448, 512, 640]),
        (range(1, 11), [1]),
        (range(1, 21), [1]),
        ([100, 99, 98, 200], [100, 200]),
    ],
)
def test_steps_of_ordinary_loops(steps, expected):
    assert taken(Cadence(100), steps) == list(expected)


def test_the_memory_of_decisions_is_bounded():
    cadence = Cadence(2)
    taken(cadence, range(10_000))
    assert len(cadence.state()["decided"]) == 64
