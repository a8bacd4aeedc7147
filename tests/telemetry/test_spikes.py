"""Spikes are distinguished from the noise of a loss."""

import numpy as np
import pytest

from jaxmetrics.record import loads
from jaxmetrics.telemetry import SpikeDetector

STEPS = 10_000


def healthy(noise, seed=0):
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda: rng.normal(size=STEPS),
        "laplace": lambda: rng.laplace(size=STEPS),
        "student, 5": lambda: rng.standard_t(5, STEPS),
        "lopsided": lambda: rng.exponential(size=STEPS),
    }[noise]
    return 1.5 + 4 * np.exp(-np.arange(STEPS) / 1500) + 0.05 * draw()


@pytest.mark.parametrize("noise", ["normal", "laplace", "student, 5", "lopsided"])
def test_the_one_spike_in_10000_steps_of_a_noisy_loss_is_the_only_one_reported(noise):
    losses = healthy(noise)
    losses[7000:7004] = [4.0, 9.0, 5.0, 4.0]  # one spike, reported once
    detector = SpikeDetector()
    assert [step for step, x in enumerate(losses) if detector.update(x)] == [7000]


def test_rounded_and_constant_losses_do_not_spike():
    rng = np.random.default_rng(0)
    rounded = np.round((2.5 + 0.002 * rng.normal(size=2000)) * 128) / 128
    for losses in (rounded, np.full(200, 3.0), np.r_[np.zeros(200), 1e-9]):
        detector = SpikeDetector()
        assert not any(detector.update(x) for x in losses)


def test_nan_spikes_from_the_first_value_and_is_never_accepted():
    detector = SpikeDetector()
    begins = [detector.update(x) for x in (np.nan, np.nan, 1.0, np.inf, 1.0)]
    assert begins == [True, False, False, True, False]
    assert not any(detector.update(1.0 + 0.1 * (i % 3)) for i in range(100))
    assert detector.update(5.0)


def test_a_new_level_is_accepted_after_patience_values():
    detector = SpikeDetector(patience=32)
    rng = np.random.default_rng(0)
    for x in 2 + 0.05 * rng.normal(size=200):
        assert not detector.update(x)
    begins = [detector.update(x) for x in 5 + 0.05 * rng.normal(size=200)]
    assert begins[0] and sum(begins) == 1
    assert detector.update(9.0)  # compared with the new level


def test_the_state_is_bounded_and_can_be_restored():
    losses, original = healthy("normal"), SpikeDetector()
    losses[700] = 50
    for x in losses[:690]:
        original.update(x)
    state = original.state()
    assert len(state["accepted"]) == 128 and loads(repr(state["furthest"]))
    restored = SpikeDetector()
    restored.load_state(state)
    begins = [(original.update(x), restored.update(x)) for x in losses[690:720]]
    assert begins == [(i == 10,) * 2 for i in range(30)]
    with pytest.raises(ValueError, match="window=8"):
        SpikeDetector(window=8)


def with_noise(level, count, spread=0.05):
    return level + spread * np.resize([-1.0, 0.0, 1.0], count)


@pytest.mark.parametrize(
    ("sigma", "options", "spikes"),
    [
        (9.99, {}, False),
        (10.01, {}, True),
        (4.99, {"threshold": 5.0}, False),
        (5.01, {"threshold": 5.0}, True),
    ],
)
def test_a_value_beyond_the_threshold_spikes(sigma, options, spikes):
    detector = SpikeDetector(**options)
    for x in with_noise(2, 99):
        assert not detector.update(x)
    assert detector.update(2 + sigma * 1.4826 * 0.05) == spikes


@pytest.mark.parametrize(("patience", "options"), [(32, {}), (1, {"patience": 1})])
def test_the_last_spike_of_patience_becomes_the_new_level(patience, options):
    detector = SpikeDetector(**options)
    for x in with_noise(2, 99):
        detector.update(x)
    begins = [detector.update(9.0) for _ in range(patience)]
    assert begins == [True] + [False] * (patience - 1)
    assert detector.state()["accepted"] == [9.0] * patience
    assert detector.state()["rejected"] == [] and not detector.state()["spiking"]


@pytest.mark.parametrize(
    ("name", "smallest", "too_small"),
    [("window", 32, 31), ("threshold", 1e-9, 0), ("patience", 1, 0)],
)
def test_arguments_out_of_range_are_refused(name, smallest, too_small):
    SpikeDetector(**{name: smallest})
    with pytest.raises(ValueError, match=f"{name}={too_small}.*at least 32"):
        SpikeDetector(**{name: too_small})


def test_only_spikes_in_a_row_become_the_new_level():
    detector = SpikeDetector(patience=32)
    for x in with_noise(2, 200):
        detector.update(x)
    begins = [detector.update(x) for x in (*[9.0] * 20, 2.0, *[9.0] * 20, 2.0, 9.0)]
    assert [i for i, begin in enumerate(begins) if begin] == [0, 21, 42]


def test_a_large_distance_raises_the_limit_for_a_while():
    def spikes_after(steps):
        detector = SpikeDetector(window=np.int8(32))
        for x in with_noise(2, 64):
            detector.update(x)
        sigma = 1.4826 * 0.05
        assert not detector.update(2 + 9.5 * sigma)  # the limit is now 28 sigma
        for x in with_noise(2, steps):
            detector.update(x)
        return detector.update(2 + 20 * sigma)

    assert not spikes_after(100)
    assert spikes_after(3200)  # 100 windows: the limit is half, 14 sigma
