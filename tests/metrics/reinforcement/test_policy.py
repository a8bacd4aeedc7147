"""PolicyKL and ClipFraction, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm


def kl(own, reference, estimator="k3", **more):
    return jm.evaluate(
        jm.PolicyKL(estimator),
        log_probs=np.float32(own),
        reference_log_probs=np.float32(reference),
        **more,
    )


def test_the_estimators_by_hand():
    own, reference = [-1, -2], [-2, -1]  # log ratios 1 and -1
    assert kl(own, reference, "k1") == 0
    assert kl(own, reference, "k2") == 0.5
    expected = (math.exp(-1) - 1 + 1 + math.exp(1) - 1 - 1) / 2
    assert kl(own, reference, "k3") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_the_unbiased_estimators_agree_with_the_exact_divergence(estimator):
    rng = np.random.default_rng(0)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    actions = rng.choice(3, 200_000, p=p)
    value = kl(np.log(p)[actions], np.log(q)[actions], estimator)
    assert value == pytest.approx((p * np.log(p / q)).sum(), abs=0.01)


def test_small_ratios_keep_their_digits():
    """In float32 exp(-d) - 1 + d of d = 1e-4 is a multiple of 6e-8, not 5e-9."""
    assert kl([1e-4], [0.0]) == pytest.approx(5e-9, rel=1e-4)
    assert kl([0.1249], [0.0]) == pytest.approx(math.expm1(-0.1249) + 0.1249, rel=1e-5)


def test_entries_that_are_not_finite_are_counted_unless_masked():
    outputs = dict(
        log_probs=np.float32([np.nan, -np.inf, 0]),
        reference_log_probs=np.float32([0, 0, 0]),
    )
    state = jm.PolicyKL().update(**outputs)
    assert state.plain() == dict(total=0, count=1, invalid=2)
    state = jm.PolicyKL().update(**outputs, mask=np.array([False, False, True]))
    assert state.plain()["invalid"] == 0


def test_a_ratio_outside_the_range_is_clipped():
    outputs = dict(
        log_probs=np.log(np.float32([1.1, 1.3, 0.9, 0.7])),
        old_log_probs=np.zeros(4, np.float32),
    )
    assert jm.evaluate(jm.ClipFraction(), **outputs) == 0.5
    assert jm.evaluate(jm.ClipFraction(0.2, 0.35), **outputs) == 0.25
    assert jm.evaluate(jm.ClipFraction(0.05), **outputs) == 1
    mask = np.array([True, False, False, False])
    assert jm.evaluate(jm.ClipFraction(), **outputs, mask=mask) == 0


def test_an_overflowing_ratio_is_clipped_and_counts_are_exact():
    outputs = dict(log_probs=np.float32([200]), old_log_probs=np.float32([0]))
    state = jm.ClipFraction().replace(clipped=2**24, total=2**25).update(**outputs)
    assert state.plain() == dict(clipped=2**24 + 1, total=2**25 + 1, invalid=0)


def test_weights_multiply_entries():
    outputs = dict(log_probs=np.float32([0, 1]), old_log_probs=np.float32([0, 0]))
    metric = jm.ClipFraction(weighted=True)
    assert jm.evaluate(metric, **outputs, weights=np.float32([1, 3])) == 0.75


def test_bad_settings_and_shapes_are_refused():
    with pytest.raises(ValueError, match="estimator is 'k4'"):
        jm.PolicyKL("k4")
    with pytest.raises(ValueError, match="epsilon must be between 0 and 1"):
        jm.ClipFraction(0.0)
    with pytest.raises(ValueError, match="the shapes must be equal"):
        kl([0.0, 0.0], [0.0])
