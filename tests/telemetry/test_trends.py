"""Plateaus and overfitting are told from the noise of evaluations."""

import numpy as np
import pytest

from jaxmetrics.record import dumps, loads
from jaxmetrics.telemetry import OverfittingDetector, PlateauDetector

NOISE = 0.02


def noise(seed, n):
    return NOISE * np.random.default_rng(seed).normal(size=n)


def begins(detector, *columns):
    return [i for i, row in enumerate(zip(*columns)) if detector.update(*row)]


@pytest.mark.parametrize("better, sign", [("min", 1), ("max", -1)])
def test_a_plateau_is_found_soon_after_the_improvement_stops(better, sign):
    for seed in range(20):
        steps = np.arange(120)
        values = sign * (3 - 0.02 * np.minimum(steps, 60)) + noise(seed, 120)
        first, *_ = begins(PlateauDetector(better=better), values)
        assert 60 < first < 85  # at half the window, or at the latest when it is flat


def test_the_tolerance_is_in_standard_errors():
    # A flat value seems to improve by more than one of them in 16 % of all cases.
    flat = noise(0, 2000 * 80).reshape(2000, 80)
    found = [begins(PlateauDetector(window=40, tolerance=1), x) for x in flat]
    assert np.mean([79 in x for x in found]) == pytest.approx(0.84, abs=0.025)


def test_slow_progress_is_no_plateau_while_it_exceeds_the_noise():
    steps = np.arange(300)
    for seed in range(20):
        slow = 3 - 0.4 * NOISE * steps + noise(seed, 300)  # 4 sigma in a window
        assert begins(PlateauDetector(), slow) == []
    smooth = 3 - np.log1p(steps)  # without noise the least progress counts
    assert begins(PlateauDetector(), smooth) == []


def test_a_plateau_is_reported_again_only_after_clear_progress():
    # Levels 3, then 2, both flat: two plateaus.
    values = np.r_[np.full(40, 3.0), np.linspace(3, 2, 20), np.full(40, 2.0)]
    found = begins(PlateauDetector(), values + noise(0, 100))
    assert len(found) == 2 and found[0] == 19 and 60 <= found[1] < 80


def test_equal_values_are_a_plateau_and_what_is_not_finite_is_left_out():
    values = [1.0, np.nan, np.inf] * 8
    assert begins(PlateauDetector(window=4), values) == [21]
    arrays = map(np.atleast_1d, values)
    assert begins(PlateauDetector(window=np.int8(4)), arrays) == [21]


def test_overfitting_is_found_where_validation_turns():
    steps = np.arange(120)
    for seed in range(20):
        train = 3 - 0.02 * steps + noise(seed, 120)
        validation = (
            3.2 - 0.02 * np.minimum(steps, 120 - steps) + noise(100 + seed, 120)
        )
        found = begins(OverfittingDetector(), train, validation)
        assert len(found) == 1 and 65 < found[0] < 85
        accuracy = begins(OverfittingDetector(better="max"), -train, -validation)
        assert accuracy == found


def test_a_short_run_that_overfits_plainly_is_told():
    train = [0.5, 0.3, 0.2, 0.12, 0.08, 0.05, 0.035, 0.025, 0.018, 0.013]
    validation = [0.4, 0.3, 0.25, 0.22, 0.212, 0.22, 0.231, 0.243, 0.255, 0.268]
    detector = OverfittingDetector()
    assert begins(detector, train, validation) == [9]
    assert detector.compared == 4
    assert begins(OverfittingDetector(), train, train) == []


@pytest.mark.parametrize("kind", ["normal", "laplace", "standard_t"])
def test_a_short_run_that_fluctuates_is_hardly_ever_told(kind):
    draw = getattr(np.random.default_rng(5), kind)
    arguments = {"df": 3} if kind == "standard_t" else {}
    runs = draw(size=(1000, 19), **arguments)
    train = np.linspace(3, 1, 19)
    told = sum(begins(OverfittingDetector(), train, run) != [] for run in runs)
    assert told < 10  # 1 %


def test_validation_that_gets_worse_with_the_training_is_not_overfitting():
    rising = 2 + 0.02 * np.arange(120)
    flat = np.full(120, 2.0) + noise(1, 120)
    falling = 4 - rising
    for train, validation in [
        (rising, rising),  # both diverge
        (flat, rising),
        (falling, flat),
        (falling, falling),
    ]:
        assert begins(OverfittingDetector(), train, validation) == []


def test_evaluations_with_nan_are_left_out():
    train = np.r_[3 - 0.1 * np.arange(16), np.nan]
    validation = np.r_[2 + 0.1 * np.arange(16), 9]
    with_nan = OverfittingDetector(window=np.int8(4)), OverfittingDetector(window=4)
    assert begins(with_nan[0], train, validation) == [7]
    assert begins(with_nan[1], validation, train) == []
    assert with_nan[0].state()["validation"][-1] == validation[15]


@pytest.mark.parametrize(
    "kind, columns", [(PlateauDetector, 1), (OverfittingDetector, 2)]
)
def test_a_restored_detector_goes_on_as_the_original(kind, columns):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(200, columns)).cumsum(axis=0)
    original, restored = kind(window=4), kind(window=4)
    for row in rows[:100]:
        original.update(*row)
    restored.load_state(loads(dumps(original.state())))
    expected = [original.update(*row) for row in rows[100:]]
    assert any(expected)
    assert [restored.update(*row) for row in rows[100:]] == expected
    original.reset()
    assert original.state() == kind(window=4).state()
    with pytest.raises(ValueError, match=kind.__name__):
        restored.load_state({"ongoing": True})


@pytest.mark.parametrize("kind", [PlateauDetector, OverfittingDetector])
@pytest.mark.parametrize(
    "options", [dict(window=3), dict(tolerance=-1.0), dict(better="up")]
)
def test_arguments_out_of_range_are_refused(kind, options):
    with pytest.raises(ValueError, match=f"{kind.__name__} got window="):
        kind(**options)
