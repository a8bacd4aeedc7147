"""Ratios of signal and noise in decibels."""

import itertools

import jax
import numpy as np
import pytest

import jaxmetrics as jm

PREDS = np.float32([2.5, 0, 2, 8])
TARGETS = np.float32([3, -0.5, 2, 7])
# The values of the examples of torchmetrics 1.9.
VALUES = {jm.SNR: 16.1805, jm.SISDR: 18.4030, jm.SISNR: 15.0918}
every_ratio = pytest.mark.parametrize("metric", VALUES)


@every_ratio
def test_values_of_torchmetrics(metric):
    value = jm.evaluate(metric(), preds=PREDS, targets=TARGETS)
    assert value == pytest.approx(VALUES[metric], abs=1e-4)


def test_noise_of_a_tenth_of_the_amplitude_is_20_decibels():
    value = jm.evaluate(jm.SNR(), preds=1.1 * TARGETS, targets=TARGETS)
    assert value == pytest.approx(20, abs=1e-4)


@every_ratio
@pytest.mark.parametrize("unit", [2.0**40, 1e20, 4e37])
def test_the_squares_of_large_samples_do_not_overflow(metric, unit):
    signals = np.float32(unit) * np.float32([PREDS, TARGETS])
    padded = np.pad(signals, ((0, 0), (0, 1)), constant_values=np.inf)
    preds, targets = padded
    mask = np.isfinite(preds)
    value = jm.evaluate(metric(), preds=preds, targets=targets, mask=mask)
    assert value == pytest.approx(VALUES[metric], abs=1e-4)


@pytest.mark.parametrize("metric", [jm.SISDR, jm.SISNR])
def test_the_scale_of_a_prediction_does_not_matter(metric):
    value = jm.evaluate(metric(), preds=50 * PREDS, targets=TARGETS)
    assert value == pytest.approx(VALUES[metric], abs=1e-4)


def test_an_offset_does_not_matter_without_the_mean():
    outputs = dict(preds=PREDS + 8, targets=TARGETS - 16)
    for metric in (jm.SISNR(), jm.SISDR(zero_mean=True)):
        value = jm.evaluate(metric, **outputs)
        assert value == pytest.approx(VALUES[jm.SISNR], abs=1e-3)


@every_ratio
def test_silent_and_perfect_signals_have_a_finite_ratio(metric):
    silent = np.zeros(4, np.float32)
    for preds, targets in ((PREDS, silent), (TARGETS, TARGETS), (silent, silent)):
        assert np.isfinite(jm.evaluate(metric(), preds=preds, targets=targets))


@every_ratio
def test_padded_samples_do_not_count(metric):
    nan = np.full(3, np.nan, np.float32)
    preds, targets = (np.stack([np.append(x, nan)] * 2) for x in (PREDS, TARGETS))
    mask = np.stack([np.arange(7) < 4, np.arange(7) < 0])
    state = metric().update(preds=preds, targets=targets, mask=mask)
    assert state.plain()["count"] == 1
    assert state.compute() == pytest.approx(VALUES[metric], abs=1e-4)


@every_ratio
def test_nan_is_seen_unless_masked(metric):
    preds = np.stack([PREDS, np.full(4, np.nan, np.float32)])
    targets = np.stack([TARGETS] * 2)
    assert np.isnan(jm.evaluate(metric(), preds=preds, targets=targets))
    mask = np.array([True, False])
    value = jm.evaluate(metric(), preds=preds, targets=targets, mask=mask)
    assert value == pytest.approx(VALUES[metric], abs=1e-4)
    assert np.isnan(metric().compute())


@pytest.mark.parametrize("speakers", [1, 2, 4])
@pytest.mark.parametrize("measure", ["snr", "si_sdr", "si_snr"])
def test_the_best_permutation_wins(speakers, measure):
    rng = np.random.default_rng(speakers)
    targets = rng.normal(0, 1, (3, speakers, 50)).astype(np.float32)
    preds = targets + rng.normal(0, 1, targets.shape).astype(np.float32)
    single = dict(snr=jm.SNR(), si_sdr=jm.SISDR(), si_snr=jm.SISNR())[measure]
    right = np.mean(
        [
            max(
                float(jm.evaluate(single, preds=p[list(order)], targets=t))
                for order in itertools.permutations(range(speakers))
            )
            for p, t in zip(preds, targets, strict=True)
        ]
    )
    metric = jm.PermutationInvariant(speakers=speakers, measure=measure)
    for order in itertools.permutations(range(speakers)):
        value = jm.evaluate(metric, preds=preds[:, list(order)], targets=targets)
        assert value == pytest.approx(right, abs=1e-4)


def test_nan_of_one_speaker_is_seen():
    preds = np.stack([PREDS, np.full(4, np.nan, np.float32)])
    metric = jm.PermutationInvariant(speakers=2)
    assert np.isnan(jm.evaluate(metric, preds=preds, targets=np.stack([TARGETS] * 2)))


def test_compute_under_jit():
    state = jm.SNR().update(preds=PREDS, targets=TARGETS)
    value = jax.jit(lambda m: m.compute())(state)
    assert value == pytest.approx(state.compute(), rel=1e-6)


def test_impossible_configurations_and_shapes_are_refused():
    for speakers in (None, 0, 7):
        with pytest.raises(ValueError, match=f"speakers is {speakers}"):
            jm.PermutationInvariant(speakers=speakers)
    with pytest.raises(ValueError, match="measure is 'sdr'"):
        jm.PermutationInvariant(speakers=2, measure="sdr")
    with pytest.raises(ValueError, match=r"both must be \[..., time\] of one shape"):
        jm.SNR().update(preds=PREDS[:2], targets=TARGETS)
    with pytest.raises(ValueError, match="must be the 2 speakers"):
        pairs = np.stack([PREDS] * 3)
        jm.PermutationInvariant(speakers=2).update(preds=pairs, targets=pairs)
