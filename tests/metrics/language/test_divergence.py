"""KLToReference, by hand."""

import math

import numpy as np
import pytest
import scipy.special

import jaxmetrics as jm


def kl(logits, reference_logits, **options):
    return jm.evaluate(
        jm.KLToReference(**options),
        logits=np.float32(logits),
        reference_logits=np.float32(reference_logits),
    )


def test_two_tokens_by_hand():
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    own, reference = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    assert kl(own, reference) == pytest.approx(expected, rel=1e-6)
    expected = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert kl(own, reference, reverse=True) == pytest.approx(expected, rel=1e-6)


def test_equal_models_have_none():
    logits = np.random.default_rng(0).normal(0, 3, (4, 50))
    assert kl(logits, logits) == 0


def test_a_small_divergence_keeps_its_digits():
    """The plain sum of p (log p - log q) cancels: 1e-7 of rounding beside 1e-6."""
    rng = np.random.default_rng(1)
    logits = np.float32(rng.normal(0, 1, (8, 1000)))
    other = logits + np.float32(rng.normal(0, 1e-3, logits.shape))
    p, q = (scipy.special.softmax(x.astype(float), -1) for x in (logits, other))
    expected = scipy.special.rel_entr(p, q).sum(-1).mean()
    assert 1e-7 < expected < 1e-6
    assert kl(logits, other) == pytest.approx(expected, rel=1e-3)


def test_an_offset_of_one_model_changes_nothing():
    logits = np.float32([[0, 1, 2, 3]])
    reference = np.float32([[1, 1, 1, 4]])
    assert kl(logits + 1e4, reference) == pytest.approx(kl(logits, reference), rel=1e-5)


def test_a_token_that_only_the_reference_masks_out_is_infinite():
    masked, full = np.float32([[0, 0, -np.inf]]), np.zeros((1, 3), np.float32)
    assert kl(full, masked) == math.inf
    assert kl(masked, full) == pytest.approx(math.log(1.5), rel=1e-5)
    assert kl(masked, masked) == pytest.approx(0, abs=1e-12)


def test_very_unlikely_tokens_neither_overflow_nor_vanish():
    assert kl([[0, -1e4]], [[0, 0]]) == pytest.approx(math.log(2), rel=1e-5)
    assert kl([[0, 0]], [[0, -1e4]]) == pytest.approx(0.5 * 1e4 - math.log(2), rel=1e-6)


def test_a_masked_token_adds_the_digits_of_its_reference():
    """The exponential of -d at the least p would be off by 1e-6 of q."""
    few = np.full((1, 8), -np.inf, np.float32)
    few[0, :2] = 0
    assert kl(few, np.zeros_like(few)) == pytest.approx(math.log(4), rel=2e-7)


def test_invalid_rows_of_either_are_counted_unless_masked():
    logits, reference = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    logits[0, 0], reference[1, 0] = np.nan, np.inf
    outputs = dict(logits=logits, reference_logits=reference)
    state = jm.KLToReference().update(**outputs)
    assert state.plain() == dict(total=0, count=1, invalid=2)
    masked = jm.KLToReference().update(**outputs, mask=np.array([False, False, True]))
    assert masked.plain() == dict(total=0, count=1, invalid=0)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="the same tokens and the same vocabulary"):
        kl(np.zeros((2, 3)), np.zeros((2, 4)))
