"""MFU, tokens a second and step times, on a clock that the tests turn."""

import json
import logging
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.loop.performance import HostTimes
from jaxmetrics.telemetry import FlopCount, count_flops, transformer_flops

PEAK = 1000.0


class Machine:
    """A host and a device that works behind it, step after step."""

    def __init__(self):
        self.now = self.busy_until = 100.0

    def __call__(self):
        return self.now

    def dispatch(self, seconds, host=0.125):
        """A step of so many seconds; the host goes on at once."""
        self.now += host
        self.busy_until = max(self.busy_until, self.now) + seconds
        return Output(self, self.busy_until)

    def sleep(self, seconds):
        self.now += seconds


class Output:
    def __init__(self, machine, ready):
        self.machine, self.ready = machine, ready

    def block_until_ready(self):
        self.machine.now = max(self.machine.now, self.ready)
        return self


def tracker(machine, **options):
    options = {"world_size": 2, "peak_flops_per_second": PEAK} | options
    return jm.PerformanceTracker(clock=machine, **options)


def run(performance, machine, steps, seconds=2.0, **given):
    for _ in range(steps):
        output = machine.dispatch(seconds)
        performance.update(4, output=output, **given)


def test_a_step_is_timed_by_completion_and_the_next_one_is_under_way():
    machine = Machine()
    performance = tracker(machine, flops_per_step=3000, sequence_length=8)
    machine.sleep(60)  # compiling
    for step in range(12):
        output = machine.dispatch(2.0)
        performance.update(4, output=output)
        assert machine.now < output.ready, "it waited for the step itself"
        if step:
            assert machine.now == output.ready - 2.0, "the step before is complete"
    assert performance.step_seconds() == 2.0
    assert performance.step_seconds(1.0) == 2.0, "the first steps are left out"
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


def test_nothing_is_known_before_a_step_was_timed():
    performance = tracker(Machine(), flops_per_step=1000)
    assert performance.mfu is performance.recent_mfu is performance.hfu is None
    assert performance.tokens_per_second is performance.step_seconds() is None
    assert performance.metrics() == {}
    performance.update(4)
    performance.update(4)
    assert performance.metrics() == {}, "two steps of warm-up"
    assert performance.tokens == 8


def test_quantiles_are_of_recent_steps():
    machine = Machine()
    performance = tracker(machine, warmup_steps=0)
    for seconds in [1000.0] + [1.0] * 45 + [2.0, 3.0, 8.0]:
        machine.sleep(seconds)
        performance.update(1)
    assert performance.step_seconds() == 1.0
    assert performance.step_seconds(1.0) == 8.0, "the first has left the window"
    assert performance.step_seconds(0.95) == pytest.approx(
        np.quantile([1.0] * 45 + [2.0, 3.0, 8.0], 0.95)
    )
    assert performance.metrics()["perf/step_max_seconds"] == 8.0


def test_recent_mfu_follows_and_mfu_remembers():
    machine = Machine()
    performance = tracker(machine, flops_per_step=1000, warmup_steps=0, world_size=1)
    for seconds in [1.0] * 48 + [2.0] * 48:
        machine.sleep(seconds)
        performance.update()
    assert performance.recent_mfu == 0.5
    assert performance.mfu == pytest.approx(2 / 3)


def test_hardware_and_palm_figures_come_from_the_count():
    machine = Machine()
    count = FlopCount(model=600, hardware=800, palm=900)
    performance = tracker(machine, flops_per_token=count, sequence_length=5)
    run(performance, machine, 8)
    per_second = 4 * 5 / 2.0
    assert performance.mfu == 600 * per_second / (2 * PEAK)
    assert performance.hfu / performance.mfu == pytest.approx(4 / 3)
    assert performance.mfu_palm / performance.mfu == pytest.approx(3 / 2)


def test_a_traced_step_beside_a_formula_gives_all_three_figures():
    machine = Machine()
    x = jax.ShapeDtypeStruct((5, 5), jnp.float32)
    traced = count_flops(jnp.matmul, x, x)
    formula = transformer_flops(
        layers=1, d_model=8, heads=1, d_ff=8, vocab=0, sequence_length=4
    )
    performance = tracker(machine, flops_per_step=traced, flops_per_token=formula)
    run(performance, machine, 8)
    assert performance.mfu == performance.hfu == 250 / (4 * PEAK)
    assert performance.mfu_palm == pytest.approx(4 * formula.palm / (4 * PEAK))
    assert performance.describe()["flops"] == {
        "per_step": 250,
        "hardware_per_step": 250,
        "source": "traced",
    }


@pytest.mark.parametrize("params", [70, {"w": np.zeros((10, 6)), "b": np.zeros(10)}])
def test_parameters_count_six_operations_a_token(params):
    machine = Machine()
    performance = tracker(machine, params=params, sequence_length=3)
    run(performance, machine, 6)
    assert performance.mfu == 6 * 70 * 4 * 3 / (2 * 2 * PEAK)
    assert performance.describe() == {
        "flops": {"per_token": 420, "hardware_per_token": 420, "source": "6N"},
        "peak": {"flops_per_second": PEAK, "device_kind": "cpu", "source": "given"},
    }


@pytest.mark.parametrize("on_device", [False, True])
def test_real_and_padded_tokens_are_apart(on_device):
    machine = Machine()
    performance = tracker(machine, flops_per_token=100, sequence_length=8)
    for _ in range(6):
        tokens = jnp.int32(24) if on_device else 24
        performance.update(4, tokens=tokens, output=machine.dispatch(2.0))
    assert performance.padded_tokens == 6 * 32
    assert performance.tokens == 6 * 24
    found = performance.metrics()
    assert found["perf/tokens_per_second"] == 12.0
    assert found["perf/padded_tokens_per_second"] == 16.0
    assert found["perf/tokens_per_second_per_device"] == 6.0
    assert found["perf/mfu"] == 100 * 16 / (2 * PEAK)
    assert found["perf/effective_mfu"] == pytest.approx(found["perf/mfu"] * 3 / 4)


def test_tokens_alone_will_do():
    machine = Machine()
    performance = tracker(machine, flops_per_token=100)
    for count in (10, jnp.int32(20), np.int64(30), 40):
        performance.update(tokens=count, output=machine.dispatch(1.0))
    assert performance.tokens == performance.padded_tokens == 100
    assert performance.tokens_per_second == 30.0, "the fourth is under way"
    assert json.dumps(performance.tokens) == "100"


def test_sections_between_steps_are_no_step_time():
    machine = Machine()
    performance = tracker(machine)
    run(performance, machine, 5)
    with performance.evaluation():
        assert machine.now == machine.busy_until, "steps in flight come first"
        machine.sleep(30)
    run(performance, machine, 3)
    with performance.checkpoint():
        machine.sleep(20)
        with performance.logging():
            machine.sleep(1)
    run(performance, machine, 2)
    found = performance.metrics()
    assert found["perf/step_seconds"] == 2.0
    assert found["perf/step_max_seconds"] == 2.125, "the first one after a section"
    assert found["perf/evaluation_seconds"] == 30.0
    assert found["perf/checkpoint_seconds"] == 21.0
    assert "perf/logging_seconds" not in found, "it was a part of the checkpoint"


def test_a_loop_that_is_timed_keeps_the_time_before_a_section():
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
    found = performance.metrics()
    assert found["perf/step_seconds"] == 4.0
    assert found["perf/data_wait_seconds"] == 3.0
    assert found["perf/data_wait_frac"] == 0.75
    assert found["perf/logging_seconds"] == 9 * 0.875


def test_profiled_steps_are_counted_but_not_timed():
    machine = Machine()
    performance = tracker(machine, flops_per_step=1000)
    run(performance, machine, 5)
    before = performance.metrics()
    with performance.profile():
        run(performance, machine, 3, seconds=50.0)
        machine.sleep(10)
    found = performance.metrics()
    assert found.pop("perf/profile_seconds") == 150.125
    assert found == pytest.approx(before, rel=1e-6)
    assert performance.steps == 8
    run(performance, machine, 3)
    assert performance.step_seconds(1.0) == 2.125


def test_a_profile_may_begin_and_end_anywhere():
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


def test_a_section_that_fails_is_closed():
    machine = Machine()
    performance = tracker(machine)
    run(performance, machine, 4)
    with pytest.raises(KeyError), performance.evaluation():
        machine.sleep(30)
        raise KeyError
    run(performance, machine, 2)
    assert performance.metrics()["perf/evaluation_seconds"] == 30.0
    assert performance.step_seconds(1.0) == 2.125


def test_an_unknown_section_is_refused():
    with pytest.raises(ValueError, match="got 'lunch'; expected one of .*'evaluation'"):
        tracker(Machine()).timed("lunch")


def test_an_unknown_chip_gives_no_mfu_and_one_warning(caplog):
    machine = Machine()
    performance = tracker(machine, flops_per_step=1, peak_flops_per_second=None)
    run(performance, machine, 5)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for _ in range(3):
            assert not {"perf/mfu", "perf/recent_mfu"} & performance.metrics().keys()
    assert [r.message for r in caplog.records] == [
        "The peak of 'cpu' is not known, so there is no MFU. Give PerformanceTracker "
        "its peak_flops_per_second."
    ]
    peak = {"flops_per_second": None, "device_kind": "cpu", "source": None}
    assert performance.describe()["peak"] == peak


def test_without_operations_nobody_misses_the_peak(caplog):
    machine = Machine()
    performance = tracker(machine, peak_flops_per_second=None)
    run(performance, machine, 5)
    assert "perf/mfu" not in performance.metrics()
    assert not caplog.records
    assert performance.describe()["flops"] == {"source": None}


def test_an_impossible_mfu_is_kept_with_a_warning(caplog):
    machine = Machine()
    performance = tracker(machine, flops_per_step=10 * PEAK)
    run(performance, machine, 5)
    assert performance.metrics()["perf/mfu"] == performance.metrics()["perf/mfu"] == 2.5
    (record,) = caplog.records
    assert record.message.startswith("MFU is above 1")


def test_operations_that_could_not_be_counted_are_named(caplog):
    count = FlopCount(10, 10, ("pallas_call flash", "while"), source="traced")
    performance = tracker(Machine(), flops_per_step=count)
    (record,) = caplog.records
    assert "lower bound: pallas_call flash, while could not" in record.message
    assert performance.describe()["flops"]["unknown"] == ["pallas_call flash", "while"]


@pytest.mark.parametrize("given", [0, -1.0, math.nan, math.inf, True, "1e12"])
def test_operations_must_be_a_positive_number(given):
    with pytest.raises(ValueError, match="flops_per_step=.*expected a positive number"):
        jm.PerformanceTracker(flops_per_step=given)


@pytest.mark.parametrize("given", [0, -3, 1.5, {}])
def test_parameters_must_be_some(given):
    with pytest.raises(ValueError, match="params=.*expected how many"):
        jm.PerformanceTracker(params=given)


def test_arrays_in_flight_and_a_donated_output():
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


def test_a_state_goes_on_where_it_was_saved():
    machine = Machine()
    first = tracker(machine, flops_per_step=1000, sequence_length=8)
    run(first, machine, 6)
    with first.checkpoint():
        state = first.state()
        machine.sleep(5)
    before = first.metrics()
    later = Machine()
    second = tracker(later, flops_per_step=1000, sequence_length=8)
    second.load_state(jax.tree.map(np.asarray, state))
    assert second.steps == 6
    assert second.tokens == 6 * 4 * 8
    found = second.metrics()
    before.pop("perf/checkpoint_seconds")
    assert found == before
    later.sleep(1000)
    run(second, later, 8)
    assert second.steps == 14
    assert second.step_seconds(1.0) == first.step_seconds(1.0), "a new warm-up"


def test_the_shapes_of_a_state_do_not_change():
    machine = Machine()
    performance = tracker(machine)
    shapes = jax.tree.map(np.shape, performance.state())
    run(performance, machine, 100)
    assert jax.tree.map(np.shape, performance.state()) == shapes


def test_the_ledger_hears_of_sections(tmp_path):
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
    told = [(e["event"], e["seconds"]) for e in events if "seconds" in e]
    assert told == [("evaluation", 4.0), ("data_wait", 4.5)]


def test_the_record_has_the_numbers(tmp_path):
    machine = Machine()
    performance = tracker(machine, flops_per_step=1000)
    run(performance, machine, 6)
    writers = [jm.writers.JSONL()]
    with jm.TrainingLogger("p", "r", root=tmp_path, writers=writers) as logger:
        metrics = performance.metrics()
        logger.log_step(performance.steps, metrics, tokens=performance.tokens)
    loaded = jm.Run.load(tmp_path / "p" / "r")
    for name, value in metrics.items():
        assert loaded[name] == ([6], [value])


def test_what_the_trackers_hold_is_small():
    machine = Machine()
    performance = tracker(machine)
    run(performance, machine, 100)
    assert performance._timer.window.nbytes <= 1024
    assert len(performance._timer._pending) == 1
    losses = jm.LossTracker()
    for _ in range(300):
        losses.update(**{f"loss_{i}": 1.0 for i in range(10)})
    assert 0 < losses.nbytes <= 10 * 1024


def test_one_process_is_its_own_slowest():
    machine = Machine()
    performance = tracker(machine)
    assert math.isnan(performance.hosts().step_seconds[0])
    run(performance, machine, 6)
    times = performance.hosts()
    assert times.step_seconds == (2.0,)
    assert times.data_wait_seconds == (0.0,)
    assert times.slowest == 0
    assert times.slowest_host == times.names[0]
    assert times.metrics() == {}


def test_the_slowest_host_is_named():
    times = HostTimes(
        ("a", "b", "c", "d"), (2.0, 3.0, math.nan, 2.0), (0.5, 0.0, math.nan, 1.0)
    )
    assert (times.slowest, times.slowest_host) == (1, "b")
    assert (times.hungriest, times.hungriest_host) == (3, "d")
    assert times.metrics() == {
        "perf/slowest_host": 1,
        "perf/slowest_host_step_seconds": 3.0,
        "perf/hungriest_host": 3,
        "perf/hungriest_host_data_wait_seconds": 1.0,
        "perf/host_spread": 1.5,
    }
    assert HostTimes(("a", "b"), (math.nan,) * 2, (math.nan,) * 2).metrics() == {}


def test_losses_average_over_their_last_values():
    losses = jm.LossTracker(window=30)
    for i in range(100):
        losses.update(ce_loss=float(i), **({"rare": 5} if i == 50 else {}))
    assert losses.get_average("ce_loss") == np.mean(range(80, 100))
    assert losses.get_average("ce_loss", window=30) == np.mean(range(70, 100))
    assert losses.get_average("ce_loss", window=1) == 99.0
    assert losses.get_average("rare") == 5.0


def test_losses_on_a_device_are_fetched_late_and_kept_right():
    class Slow:
        """A scalar that nobody may read before it is there."""

        shape, ready = (), False

        def __init__(self, value):
            self.value = value

        def is_ready(self):
            return self.ready

        def is_deleted(self):
            return False

        def __array__(self, dtype=None, copy=None):
            assert self.ready, "update waited for a step in flight"
            return np.asarray(self.value, dtype)

    losses, values = jm.LossTracker(), [Slow(i) for i in range(10)]
    for value in values:
        losses.update(loss=value)
    for value in values:
        value.ready = True
    losses.update(loss=jnp.float32(10))
    assert losses.get_average("loss", window=11) == 5.0


def test_losses_in_flight_are_bounded():
    losses = jm.LossTracker()
    for i in range(50):
        losses.update(loss=jnp.float32(i))
    assert len(losses._waiting) <= 16
    assert losses.get_average("loss", window=50) == 24.5


def test_a_loss_that_was_donated_is_named():
    losses, value = jm.LossTracker(), jnp.float32(1)
    value.delete()
    with pytest.raises(RuntimeError, match="'loss' was deleted before it was fetched"):
        losses.update(loss=value)


def test_losses_refuse_what_they_cannot_average():
    losses = jm.LossTracker(window=10)
    losses.update(a=1.0)
    with pytest.raises(KeyError, match="has .'a'. and no 'b'"):
        losses.get_average("b")
    with pytest.raises(ValueError, match="window=20; it keeps 10"):
        losses.get_average("a")
    with pytest.raises(TypeError, match=r"a of shape \(2,\)"):
        losses.update(a=np.ones(2))
    with pytest.raises(ValueError, match="at least 1"):
        jm.LossTracker(window=0)


def test_losses_go_on_from_a_state():
    losses = jm.LossTracker(window=5)
    for i in range(7):
        losses.update(loss=jnp.float32(i))
    other = jm.LossTracker(window=5)
    other.load_state(jax.tree.map(np.asarray, losses.state()))
    losses.update(loss=7.0)
    assert other.get_average("loss", window=5) == 4.0, "the state is a copy"
    other.update(loss=7.0)
    assert other.get_average("loss", window=5) == 5.0
    with pytest.raises(ValueError, match="keeps 6 values"):
        jm.LossTracker(window=6).load_state(losses.state())
