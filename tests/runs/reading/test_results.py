import math

import numpy as np
import pytest

from jaxmetrics.runs.reading import Result, reached, result, spreads
from jaxmetrics.runs.reading._results import standard_error

X = np.array([1.0, 2.0, 3.0])


def test_a_value_that_is_not_finite_does_not_reach_a_target():
    falling = np.array([-math.inf, 2.0, 0.5])
    assert reached("loss", 1.0, "a", (X, falling), "min").x == 3
    rising = np.array([math.inf, math.nan, 2.0])
    assert reached("accuracy", 1.0, "a", (X, rising), "max").x == 3


def test_a_value_equal_to_the_target_reaches_it():
    assert reached("loss", 2.0, "a", (X, np.array([3.0, 2.0, 1.0])), "min").x == 2


def test_a_target_that_is_not_reached_is_nan():
    assert math.isnan(reached("loss", 0.0, "a", (X, X), "min").x)


def test_an_empty_series_has_no_result():
    empty = np.zeros(0)
    found = result("loss", "a", (empty, empty), "min")
    assert math.isnan(found.last) and math.isnan(found.best) and found.nonfinite == 0


def test_the_best_value_is_the_first_finite_extreme():
    y = np.array([2.0, 1.0, 1.0])
    found = result("loss", "a", (X, y), "min")
    assert (found.last, found.last_x, found.best, found.best_x) == (1, 3, 1, 2)
    y = np.array([math.inf, 1.0, 0.0])
    found = result("accuracy", "a", (X, y), "max")
    assert (found.best, found.best_x, found.nonfinite) == (1, 2, 1)


def test_without_a_direction_there_is_no_best_value():
    assert math.isnan(result("x", "a", (X, X), None).best)


def test_spreads_are_over_groups_of_several_runs():
    results = [
        Result("loss", run, last, 1.0, last, 1.0, 0)
        for run, last in (("a", 1.0), ("b", 3.0), ("c", 9.0))
    ]
    (spread,) = spreads(results, {"seeds": ["a", "b"], "c": ["c"]})
    assert (spread.group, spread.runs, spread.last) == ("seeds", 2, 2.0)
    assert spread.last_error == pytest.approx(1.0)


def test_runs_that_diverged_are_left_out_of_the_means_and_counted():
    lasts = {"a": 1.0, "b": math.nan, "c": 3.0, "d": math.inf}
    results = [Result("loss", r, x, 1.0, 0.5, 1.0, 0) for r, x in lasts.items()]
    (spread,) = spreads(results, {"seeds": ["a", "b", "c", "d"]})
    assert (spread.runs, spread.left_out, spread.last) == (2, 2, 2.0)
    (spread,) = spreads(results, {"seeds": ["a", "b", "c"]}, {"c"})  # its loss is nan
    assert (spread.runs, spread.left_out, spread.last) == (1, 2, 1.0)
    (spread,) = spreads(results, {"seeds": ["b", "d"]})
    assert (spread.runs, spread.left_out) == (0, 2) and math.isnan(spread.last)


def test_the_standard_error_of_one_value_is_unknown():
    assert np.isnan(standard_error(np.array([[1.0, 2.0]]))).all()
