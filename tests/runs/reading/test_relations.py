"""Which configuration goes with the best results."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from jaxmetrics.runs.reading._relations import relations, spearman


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3))
def test_the_rank_correlation_is_that_of_scipy(pairs):
    x, y = np.array(pairs, np.float64).T
    if min(np.ptp(x), np.ptp(y)) == 0:
        assert math.isnan(spearman(x, y))
    else:
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)


def test_numbers_have_a_correlation_and_texts_have_means():
    difference = {
        "opt.lr": ["1", "2", "3", "10", "20", "30"],
        "opt.name": ["sgd", "adam", "sgd", "adam", "sgd", "adam"],
        "seed": ["0", "1", "2", "3", "4", "5"],
        "run": ["a", "b", "c", "d", "e", "f"],
        "rare": [None, None, None, None, "1", "2"],
    }
    found = relations(difference, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0], "min")
    rate, optimizer = found
    assert (rate.name, rate.kind, rate.runs, rate.strength) == ("opt.lr", "rank", 6, -1)
    assert rate.sentence("val/loss", "min") == (
        "higher opt.lr goes with better best val/loss: rank correlation -1.00 over 6 "
        "runs; opt.lr=30 has the best mean best val/loss, 1 over 1 run, and 1 the "
        "worst, 6 over 1"
    )
    assert rate.sentence("val/acc", "max").startswith("lower opt.lr goes with better")
    assert (optimizer.kind, optimizer.means) == (
        "groups",
        {"adam": (3, 3.0), "sgd": (3, 4.0)},
    )
    assert optimizer.strength == pytest.approx(1.5 / 17.5)
    huge = relations(difference, [n * 1e200 for n in range(6, 0, -1)], "min")[1]
    assert huge.strength == pytest.approx(1.5 / 17.5)
    assert optimizer.sentence("val/loss", "min") == (
        "opt.name=adam has the best mean best val/loss, 3 over 3 runs, and sgd the "
        "worst, 4 over 3"
    )


def test_a_correlation_within_chance_is_said_to_be_so():
    rates = [str(rate) for rate in (1, 2, 3, 4) for _ in range(3)]
    losses = [2.0, 2.1, 2.2, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 3.0, 3.1, 1.9]
    (found,) = relations({"lr": rates}, losses, "min")
    assert 0 < abs(found.strength) < 0.5
    sentence = found.sentence("val/loss", "min")
    assert sentence.startswith("no relation of lr with best val/loss is clear: rank")
    assert "is within chance; lr=2 has" in sentence


def test_of_four_runs_no_correlation_is_beyond_chance():
    (found,) = relations({"lr": list("1234")}, [4.0, 3.0, 2.0, 1.0], "min")
    assert found.sentence("val/loss", "min").startswith(
        "too few runs tell how lr goes with val/loss: rank correlation -1.00 over 4 "
    )
    (found,) = relations({"lr": list("12345")}, [5.0, 4.0, 3.0, 2.0, 1.0], "min")
    assert found.sentence("val/loss", "min").startswith("higher lr goes with better")


def test_runs_without_a_finite_result_are_left_out():
    difference = {"lr": ["1", "2", "3", "4"]}
    (found,) = relations(difference, [1.0, 2.0, 3.0, math.nan], "max")
    assert (found.runs, found.strength) == (3, 1.0)
    assert relations(difference, [1.0, 2.0, math.inf, math.nan], "max") == []
    assert relations(difference, [1.0, 1.0, 1.0, 1.0], "max") == []
