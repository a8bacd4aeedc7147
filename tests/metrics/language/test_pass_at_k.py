"""PassAtK, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

CORRECT = np.array([[True, False, False, False], [True, True, True, False]])


def test_it_is_the_chance_that_k_samples_hold_a_correct_one():
    assert jm.evaluate(jm.PassAtK(1), correct=CORRECT) == (1 / 4 + 3 / 4) / 2
    assert jm.evaluate(jm.PassAtK(2), correct=CORRECT) == pytest.approx(
        (1 / 2 + 1) / 2, rel=1e-6
    )
    assert jm.evaluate(jm.PassAtK(4), correct=CORRECT) == 1


def test_the_biased_estimator_would_be_lower():
    value = jm.evaluate(jm.PassAtK(2), correct=CORRECT[:1])
    assert value == pytest.approx(0.5, rel=1e-6) and value > 1 - (1 - 1 / 4) ** 2


def test_problems_may_have_different_numbers_of_samples():
    mask = np.array([[True, True, False, False], [True, False, False, False]])
    state = jm.PassAtK(2).update(correct=CORRECT, mask=mask)
    assert state.plain() == dict(total=1, count=1, invalid=1)
    state = jm.PassAtK(2).update(correct=CORRECT, mask=np.array([True, False]))
    assert state.plain()["invalid"] == 0 and state.plain()["count"] == 1


def test_many_samples_do_not_overflow():
    correct = np.zeros((1, 1000), bool)
    correct[0, 0] = True
    value = jm.evaluate(jm.PassAtK(100), correct=correct)
    assert value == pytest.approx(0.1, rel=1e-4)


def test_problems_are_weighted():
    metric = jm.PassAtK(1, weighted=True)
    value = jm.evaluate(metric, correct=CORRECT, weights=np.float32([3, 1]))
    assert value == pytest.approx((3 / 4 + 3 / 4) / 4, rel=1e-6)


def test_all_masked_is_nan_and_counts_are_exact():
    state = jm.PassAtK().update(correct=CORRECT, mask=np.zeros((2, 4), bool))
    assert math.isnan(state.compute()) and state.plain()["invalid"] == 0
    state = jm.PassAtK().replace(count=2**24).update(correct=CORRECT)
    assert state.plain()["count"] == 2**24 + 2


def test_fewer_samples_than_k_and_scores_are_refused():
    with pytest.raises(ValueError, match="must be at least k=5 samples"):
        jm.evaluate(jm.PassAtK(5), correct=CORRECT)
    with pytest.raises(TypeError, match="correct is float32, but must be bool"):
        jm.evaluate(jm.PassAtK(), correct=np.ones((2, 2), np.float32))
    with pytest.raises(ValueError, match="k is 0, but must be at least 1"):
        jm.PassAtK(0)
