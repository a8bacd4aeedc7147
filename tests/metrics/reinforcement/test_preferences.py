"""RewardMargin and WinRate, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

CHOSEN, REJECTED = np.float32([2, 1, 1, 0]), np.float32([1, 1, 1, 3])


def test_the_margin_is_the_mean_difference():
    value = jm.evaluate(jm.RewardMargin(), chosen=CHOSEN, rejected=REJECTED)
    assert value == (1 + 0 + 0 - 3) / 4


def test_ties_count_half():
    value = jm.evaluate(jm.WinRate(), chosen=CHOSEN, rejected=REJECTED)
    assert value == (1 + 0.5 + 0.5) / 4
    constant = np.zeros(4, np.float32)
    assert jm.evaluate(jm.WinRate(), chosen=constant, rejected=constant) == 0.5


def test_nan_is_visible_in_the_margin_and_counted_by_the_win_rate():
    chosen = np.float32([np.nan, 1, 1, 0])
    outputs = dict(chosen=chosen, rejected=REJECTED)
    assert math.isnan(jm.evaluate(jm.RewardMargin(), **outputs))
    assert jm.WinRate().update(**outputs).plain() == dict(
        wins=0, ties=2, total=3, invalid=1
    )
    mask = np.array([False, True, True, True])
    assert jm.evaluate(jm.RewardMargin(), **outputs, mask=mask) == -1
    assert jm.WinRate().update(**outputs, mask=mask).plain()["invalid"] == 0


def test_infinite_rewards_are_compared():
    value = jm.evaluate(
        jm.WinRate(), chosen=np.float32([np.inf]), rejected=np.float32([0])
    )
    assert value == 1


def test_a_margin_keeps_its_digits_at_an_offset():
    """Means of both rewards are 1e4, their difference is 1e-2."""
    chosen = np.float32(1e4 + np.arange(1000) % 7)
    value = jm.evaluate(
        jm.RewardMargin(), chosen=chosen + np.float32(2**-6), rejected=chosen
    )
    assert value == 2**-6


def test_counts_are_exact_beyond_float32():
    metric = jm.WinRate().replace(wins=2**24, total=2**25)
    state = metric.update(chosen=CHOSEN, rejected=REJECTED)
    assert state.plain()["wins"] == 2**24 + 1 and state.plain()["total"] == 2**25 + 4


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="WinRate: chosen have shape"):
        jm.evaluate(jm.WinRate(), chosen=CHOSEN, rejected=REJECTED[:2])
