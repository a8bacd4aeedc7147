"""Steps are timed by their completion; sections are part of them or apart."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.machine import PEAK, Machine, run, tracker

import jaxmetrics as jm


def test_a_step_is_timed_by_completion_while_the_next_one_is_in_flight():
    machine = Machine()
    performance = tracker(machine, flops_per_step=3000, sequence_length=8)
    machine.sleep(60)  # compiling
    for step in range(12):
        output = machine.dispatch(2.0)
        performance.update(4, output=output)
        assert machine.now < output.ready, "update waited for the step itself"
        if step:
            assert machine.now == output.ready - 2.0, (
                "the previous step is not complete"
            )
    assert performance.step_seconds() == 2.0
    assert performance.step_seconds(1.0) == 2.0, "a warm-up step was timed"
    assert performance.tokens_per_second == 4 * 8 / 2.0
    assert performance.mfu == performance.recent_mfu == 3000 / (2.0 * 2 * PEAK)
    assert performance.steps == 12
    assert performance.tokens == performance.padded_tokens == 12 * 4 * 8


def test_without_an_output_the_loop_is_timed():
    machine = Machine()
    performance = tracker(machine, flops_per_step=1000)
    for _ in range(10):
        machine.sleep(0.5)
        performance.update(4)
    assert performance.step_seconds() == 0.5
    assert performance.tokens_per_second == 8.0


def test_pausing_sections_are_not_step_time():
    machine = Machine()
    performance = tracker(machine)
    run(performance, machine, 5)
    with performance.evaluation():
        assert machine.now == machine.busy_until, "a step is still in flight"
        machine.sleep(30)
    run(performance, machine, 3)
    with performance.checkpoint():
        machine.sleep(20)
        with performance.logging():
            machine.sleep(1)
    run(performance, machine, 2)
    values = performance.metrics()
    assert values["perf/step_seconds"] == 2.0
    assert values["perf/step_max_seconds"] == 2.125, "the first step after a section"
    assert values["perf/evaluation_seconds"] == 30.0
    assert values["perf/checkpoint_seconds"] == 21.0
    assert "perf/logging_seconds" not in values, "a part of the checkpoint"


def test_without_outputs_the_time_before_a_section_is_step_time():
    machine = Machine()
    performance = tracker(machine, warmup_steps=1)
    for _ in range(4):
        machine.sleep(0.25)
        with performance.evaluation():
            machine.sleep(10)
        machine.sleep(0.5)
        performance.update(4)
    assert performance.step_seconds() == performance.step_seconds(1.0) == 0.75


def test_data_waits_and_logging_are_step_time():
    machine = Machine()
    performance = tracker(machine, warmup_steps=1)
    for _ in range(9):
        with performance.data_wait():
            machine.sleep(3.0)
        performance.update(1, output=machine.dispatch(1.0))
        with performance.logging():
            machine.sleep(0.875)
    values = performance.metrics()
    assert values["perf/step_seconds"] == 4.0
    assert values["perf/data_wait_seconds"] == 3.0
    assert values["perf/data_wait_frac"] == 0.75
    assert values["perf/logging_seconds"] == 9 * 0.875


def test_profiled_steps_are_counted_but_not_timed():
    machine = Machine()
    performance = tracker(machine, flops_per_step=1000)
    run(performance, machine, 5)
    before = performance.metrics()
    with performance.profile():
        run(performance, machine, 3, seconds=50.0)
        machine.sleep(10)
    values = performance.metrics()
    assert values.pop("perf/profile_seconds") == 150.125
    assert values == pytest.approx(before, rel=1e-6)
    assert performance.steps == 8
    run(performance, machine, 3)
    assert performance.step_seconds(1.0) == 2.125


def test_a_profile_may_begin_and_end_inside_other_sections():
    machine = Machine()
    performance = tracker(machine)
    run(performance, machine, 5)
    profile = performance.profile()
    with performance.logging():
        profile.__enter__()
    run(performance, machine, 3, seconds=50.0)
    with performance.data_wait():
        machine.sleep(7)
    with performance.evaluation():
        machine.sleep(9)
        profile.__exit__(None, None, None)
    run(performance, machine, 3)
    assert performance.step_seconds(1.0) == 2.125
    assert performance.metrics()["perf/data_wait_seconds"] == 0.0


def test_a_pause_within_a_data_wait_is_no_data_wait():
    machine = Machine()
    performance = tracker(machine, warmup_steps=0)
    for _ in range(4):
        with performance.data_wait():
            machine.sleep(1.0)
            with performance.evaluation():
                machine.sleep(50)
            machine.sleep(0.5)
        machine.sleep(1.0)
        performance.update(1)
    values = performance.metrics()
    assert values["perf/data_wait_seconds"] == 1.5
    assert values["perf/data_wait_frac"] == 0.6


@pytest.mark.parametrize("restored", [True, False])
def test_a_restore_within_a_pause_ends_no_step_before_its_beginning(restored):
    machine = Machine()
    performance = tracker(machine, warmup_steps=0)
    state = performance.state()
    with performance.checkpoint():
        machine.sleep(30)
        performance.load_state(state) if restored else performance.reset()
        machine.sleep(5)
    run(performance, machine, 3)
    assert performance.step_seconds(1.0) == 2.125


def test_a_section_ends_with_an_exception():
    machine = Machine()
    performance = tracker(machine)
    run(performance, machine, 4)
    with pytest.raises(KeyError), performance.evaluation():
        machine.sleep(30)
        raise KeyError
    run(performance, machine, 2)
    assert performance.metrics()["perf/evaluation_seconds"] == 30.0
    assert performance.step_seconds(1.0) == 2.125


def test_a_donated_output_is_refused():
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    performance = jm.PerformanceTracker()
    x = jnp.zeros(3)
    performance.update(1, output=x)
    x = step(x)
    with pytest.raises(ValueError, match="was donated to a later step"):
        performance.update(1, output=x)
    performance = jm.PerformanceTracker()
    for _ in range(5):
        x = step(x)
        performance.update(1, output={"loss": x.sum()})
    assert performance.step_seconds() > 0
    assert performance.tokens == 5


def test_the_shapes_of_a_state_do_not_change():
    machine = Machine()
    performance = tracker(machine)
    shapes = jax.tree.map(np.shape, performance.state())
    run(performance, machine, 100)
    assert jax.tree.map(np.shape, performance.state()) == shapes


def test_sections_are_events_of_the_ledger(tmp_path):
    machine = Machine()
    with jm.TrainingLogger("p", "r", root=tmp_path, writers=[]) as logger:
        performance = tracker(machine, ledger=logger.ledger)
        for _ in range(3):
            with performance.data_wait():
                machine.sleep(1.5)
            run(performance, machine, 1)
        with performance.evaluation():
            machine.sleep(4)
        performance.metrics()
        performance.metrics()
    lines = (tmp_path / "p" / "r" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    events_with_seconds = [(e["event"], e["seconds"]) for e in events if "seconds" in e]
    assert events_with_seconds == [("evaluation", 4.0), ("data_wait", 4.5)]
