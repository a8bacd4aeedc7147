"""MFU, tokens per second and step times, on a clock that tests advance."""

import json
import logging
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.machine import PEAK, Machine, run, tracker

import jaxmetrics as jm
from jaxmetrics.telemetry import FlopCount, count_flops, transformer_flops

FIGURES = (
    *("mfu", "recent_mfu", "hfu", "mfu_palm", "tokens_per_second"),
    "recent_tokens_per_second",
)


def figures(performance):
    """Return all figures that are properties, formatted as users print them."""
    return [f"{getattr(performance, name):.1%}" for name in FIGURES]


def test_values_are_nan_before_a_step_is_timed_and_are_not_logged():
    performance = tracker(Machine(), flops_per_step=1000)
    assert figures(performance) == ["nan%"] * 6
    assert f"{performance.step_seconds():.3f} {performance.step_seconds(1.0)}" == (
        "nan nan"
    )
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
    assert performance.step_seconds(1.0) == 8.0, "the first step is outside the window"
    assert performance.step_seconds(0.95) == pytest.approx(
        np.quantile([1.0] * 45 + [2.0, 3.0, 8.0], 0.95)
    )
    assert performance.metrics()["perf/step_max_seconds"] == 8.0


def test_recent_mfu_covers_recent_steps_and_mfu_all():
    machine = Machine()
    performance = tracker(machine, flops_per_step=1000, warmup_steps=0, world_size=1)
    for seconds in [1.0] * 48 + [2.0] * 48:
        machine.sleep(seconds)
        performance.update(6)
    assert performance.recent_mfu == 0.5
    values = performance.metrics()
    assert values["perf/recent_tokens_per_second"] == 3.0
    assert values["perf/tokens_per_second"] == 4.0
    assert performance.mfu == pytest.approx(2 / 3)


def test_hfu_and_palm_mfu_use_the_other_figures_of_the_count():
    machine = Machine()
    count = FlopCount(model=600, hardware=800, palm=900)
    performance = tracker(machine, flops_per_token=count, sequence_length=5)
    run(performance, machine, 8)
    per_second = 4 * 5 / 2.0
    assert performance.mfu == 600 * per_second / (2 * PEAK)
    assert performance.hfu / performance.mfu == pytest.approx(4 / 3)
    assert performance.mfu_palm / performance.mfu == pytest.approx(3 / 2)
    assert performance.tflops_per_device == 600 * per_second / 2 / 1e12
    logged = performance.metrics()["perf/tflops_per_device"]
    assert logged == performance.tflops_per_device


def test_a_traced_step_and_a_formula_give_all_three_figures():
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


@pytest.mark.parametrize(
    "params", [70, 7e1, {"w": np.zeros((10, 6)), "b": np.zeros(10)}]
)
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
def test_tokens_with_and_without_padding_are_counted_separately(on_device):
    machine = Machine()
    performance = tracker(machine, flops_per_token=100, sequence_length=8)
    for _ in range(6):
        tokens = jnp.int32(24) if on_device else 24
        performance.update(4, tokens=tokens, output=machine.dispatch(2.0))
    assert performance.padded_tokens == 6 * 32
    assert performance.tokens == 6 * 24
    values = performance.metrics()
    assert values["perf/tokens_per_second"] == 12.0
    assert values["perf/padded_tokens_per_second"] == 16.0
    assert values["perf/tokens_per_second_per_device"] == 6.0
    assert values["perf/mfu"] == 100 * 16 / (2 * PEAK)
    assert values["perf/effective_mfu"] == pytest.approx(values["perf/mfu"] * 3 / 4)


def test_tokens_may_be_passed_without_a_batch_size():
    machine = Machine()
    performance = tracker(machine, flops_per_token=100)
    for count in (10, jnp.int32(20), np.int64(30), 40):
        performance.update(tokens=count, output=machine.dispatch(1.0))
    assert performance.tokens == performance.padded_tokens == 100
    assert performance.tokens_per_second == 30.0, "the fourth step is in flight"
    assert json.dumps(performance.tokens) == "100"


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, jnp.uint8])
def test_numbers_of_narrow_types_do_not_overflow(dtype):
    performance = jm.PerformanceTracker(sequence_length=np.int32(2**24))
    for _ in range(3):
        performance.update(dtype(200), tokens=dtype(200))
    assert performance.padded_tokens == 3 * 200 * 2**24
    assert performance.tokens == 3 * 200
    assert json.dumps(performance.tokens) == "600"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tokens": np.ones((4, 8), bool)}, r"'tokens': a ndarray of shape \(4, 8\)"),
        ({"tokens": jnp.ones((4, 8), bool)}, r"'tokens': an array of shape \(4, 8\)"),
        ({"local_batch_size": "3"}, "'local_batch_size': a str"),
    ],
)
def test_what_is_no_number_is_refused_at_once(arguments, words):
    performance = jm.PerformanceTracker()
    with pytest.raises(TypeError, match=words):
        performance.update(**arguments)
    assert performance.steps == 0


@pytest.mark.parametrize("name", ["tokens", "output"])
def test_an_update_within_jit_is_refused(name):
    performance = jm.PerformanceTracker()
    with pytest.raises(TypeError, match="within jit"):
        jax.eval_shape(lambda x: performance.update(4, **{name: x}), 1.0)
    assert performance.steps == 0


def test_more_tokens_than_the_batch_has_are_named_and_give_no_mfu_of_them(caplog):
    machine = Machine()
    performance = tracker(machine, flops_per_token=1)
    run(performance, machine, 5, tokens=100)
    assert "perf/effective_mfu" not in performance.metrics()
    (record,) = caplog.records
    assert "pass sequence_length=" in record.message


def test_an_unknown_section_is_refused():
    with pytest.raises(ValueError, match="got 'lunch'; expected one of .*'evaluation'"):
        tracker(Machine()).timed("lunch")


def test_an_unknown_device_has_no_mfu_and_one_warning(caplog):
    machine = Machine()
    performance = tracker(machine, flops_per_step=1, peak_flops_per_second=None)
    run(performance, machine, 5)
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        for _ in range(3):
            assert not {"perf/mfu", "perf/recent_mfu"} & performance.metrics().keys()
    assert figures(performance)[:4] == ["nan%"] * 4
    assert [r.message for r in caplog.records] == [
        "The peak of 'cpu' is not known, so there is no MFU. Pass "
        "peak_flops_per_second= to PerformanceTracker."
    ]
    peak = {"flops_per_second": None, "device_kind": "cpu", "source": None}
    assert performance.describe()["peak"] == peak


def test_without_flops_an_unknown_peak_is_no_warning(caplog):
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


def test_operations_that_could_not_be_counted_are_named_in_a_warning(caplog):
    count = FlopCount(10, 10, ("pallas_call flash", "while"), source="traced")
    performance = tracker(Machine(), flops_per_step=count)
    (record,) = caplog.records
    assert "lower bound: pallas_call flash, while could not" in record.message
    assert performance.describe()["flops"]["unknown"] == ["pallas_call flash", "while"]


@pytest.mark.parametrize("flops", [0, -1.0, math.nan, math.inf, True, "1e12"])
def test_flops_must_be_a_positive_number(flops):
    with pytest.raises(ValueError, match="flops_per_step=.*expected a positive number"):
        jm.PerformanceTracker(flops_per_step=flops)


@pytest.mark.parametrize("params", [0, -3, 1.5, math.inf, True, {}])
def test_the_number_of_parameters_must_be_positive(params):
    with pytest.raises(ValueError, match="params=.*expected the number of"):
        jm.PerformanceTracker(params=params)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sequence_length", 0),
        ("world_size", 0),
        ("warmup_steps", -1),
        ("in_flight", -1),
        ("peak_flops_per_second", 0.0),
        ("peak_flops_per_second", math.nan),
    ],
)
def test_impossible_numbers_of_the_model_and_the_devices_are_refused(name, value):
    with pytest.raises(ValueError, match=f"PerformanceTracker got {name}={value}; exp"):
        jm.PerformanceTracker(**{name: value})


@pytest.mark.parametrize("value", [-1, np.int32(-1), math.nan])
@pytest.mark.parametrize("name", ["local_batch_size", "tokens"])
def test_impossible_sizes_of_a_batch_are_refused_and_not_counted(name, value):
    performance = jm.PerformanceTracker()
    with pytest.raises(
        ValueError, match=rf"update\(\) got {name}=.*expected at least 0"
    ):
        performance.update(**{name: value})
    performance.update(local_batch_size=0)
    assert (performance.steps, performance.tokens) == (1, 0)


RECENT = {
    *("perf/recent_mfu", "perf/recent_tokens_per_second"),
    *("perf/step_seconds", "perf/step_p95_seconds", "perf/step_max_seconds"),
    *("perf/data_wait_seconds", "perf/data_wait_frac"),
}


def test_a_restored_tracker_has_all_totals_and_no_recent_step():
    machine = Machine()
    first = tracker(machine, flops_per_step=1000, sequence_length=8)
    run(first, machine, 6)
    with first.checkpoint():
        state = first.state()
        machine.sleep(5)
    before = first.metrics()
    other_machine = Machine()
    second = tracker(other_machine, flops_per_step=1000, sequence_length=8)
    second.load_state(jax.tree.map(np.asarray, state))
    assert second.steps == 6
    assert second.tokens == 6 * 4 * 8
    values = second.metrics()
    assert before.keys() - values.keys() == RECENT | {"perf/checkpoint_seconds"}
    assert values.items() <= before.items()
    other_machine.sleep(1000)
    run(second, other_machine, 8)
    assert second.steps == 14
    assert second.step_seconds(1.0) == first.step_seconds(1.0), "a new warm-up"


def test_after_a_restore_recent_figures_are_those_of_a_new_tracker():
    machine = Machine()
    earlier = tracker(machine, flops_per_step=1000, sequence_length=8, world_size=8)
    run(earlier, machine, 60)
    now, alone = Machine(), Machine()
    restored = tracker(now, flops_per_step=1000, sequence_length=8, world_size=2)
    restored.load_state(earlier.state())
    new = tracker(alone, flops_per_step=1000, sequence_length=8, world_size=2)
    for steps in (1, 4, 60):
        run(restored, now, steps)
        run(new, alone, steps)
        values, expected = restored.metrics(), new.metrics()
        for name in RECENT & expected.keys():
            assert values[name] == pytest.approx(expected[name], abs=1e-12), name
        assert RECENT & values.keys() == RECENT & expected.keys()
    assert restored.mfu < new.mfu, "the steps on 8 devices count in the mean of all"


def test_the_values_are_logged_under_their_keys(tmp_path):
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


def test_the_state_in_memory_is_small():
    machine = Machine()
    performance = tracker(machine)
    run(performance, machine, 100)
    assert performance._timer.window.nbytes <= 1024
    assert len(performance._timer._pending) == 1


def test_the_wait_for_each_batch_of_a_loader_is_timed():
    machine = Machine()
    performance = tracker(machine, warmup_steps=0)

    def loader():
        for rows in (4, 4, 2):
            machine.sleep(1.0)
            yield rows
        machine.sleep(5.0)  # until the loader knows that it is at its end

    for rows in performance.batches(loader()):
        machine.sleep(3.0)
        performance.update(rows)
    assert performance.tokens == 10
    assert performance.step_seconds() == 4.0
    assert performance.metrics()["perf/data_wait_frac"] == 0.25
