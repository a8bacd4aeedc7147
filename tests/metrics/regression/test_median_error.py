"""Median absolute error: against scikit-learn, its bounds, and errors out of range."""

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")


def state_of(errors, **configuration):
    errors = np.float32(errors)
    metric = jm.MedianAbsoluteError(**configuration)
    return metric.update(preds=errors, targets=np.zeros_like(errors))


@pytest.mark.parametrize("size", [1, 2, 9, 1000])
@pytest.mark.parametrize("bound", [0.01, 0.002])
def test_the_median_is_within_the_error_and_the_bounds(size, bound):
    rng = np.random.default_rng(size)
    targets = rng.normal(size=size).astype(np.float32)
    preds = (targets * 10.0 ** rng.integers(-3, 4, size)).astype(np.float32)
    metric = jm.MedianAbsoluteError(relative_error=bound)
    state = metric.update(preds=preds, targets=targets)
    exact = sk.median_absolute_error(targets, preds)  # a float32 difference, as ours
    assert state.compute() == pytest.approx(exact, rel=bound)
    low, high = state.bounds()
    assert low <= exact <= high and high - low <= 2.1 * bound * exact
    compiled = jax.jit(lambda x: (x.compute(), *x.bounds()))(state)
    np.testing.assert_allclose(compiled, [state.compute(), low, high], rtol=1e-6)


def test_of_an_even_number_it_is_the_mean_of_both_in_the_middle():
    state = state_of([1, -1, 8, 64], relative_error=0.001)
    assert state.compute() == pytest.approx(4.5, rel=1e-3)
    assert state_of([1, 1, 1, 64]).compute() == pytest.approx(1, rel=0.01)


def test_errors_out_of_range_are_zero_or_at_most_the_largest():
    state = state_of([1e-5, 2e-5, 0.0, 5.0], low=1e-3, high=1e3)
    assert state.compute() == 0 and state.bounds() == (0, 2.0**-10)  # of the bin of 0
    state = state_of([5e8, 1e9, 2e9], low=1e-3, high=1e3)
    assert state.compute() == 2e9 and state.bounds() == (5e8, 2e9)


def test_errors_that_are_not_finite_are_counted_and_have_no_rank():
    state = state_of([1, NAN, INF, -INF, 1, 1])
    assert state.compute() == 1 and state.plain()["nonfinite"] == 3


def test_without_data_or_all_masked_it_is_nan():
    ones = np.ones(3, np.float32)
    metric = jm.MedianAbsoluteError()
    masked = metric.update(preds=ones, targets=ones, mask=np.zeros(3, bool))
    for state in (metric, masked):
        assert np.isnan([state.compute(), *state.bounds()]).all()


def test_counts_are_exact_beyond_float32():
    """2^24 errors of 1, and one more of 2: in float32 the ranks would be equal."""
    state = state_of([1.0, 2.0])
    cells = state.plain()["cells"]
    first, second = np.flatnonzero(cells)
    cells[first], cells[second] = 2**24, 2**24 + 1
    assert state.replace(cells=cells).compute() == 2
    cells[first] += 1
    assert state.replace(cells=cells).compute() == pytest.approx(1.5, rel=0.01)


def test_impossible_bounds_and_ranges_are_refused():
    with pytest.raises(ValueError, match="MedianAbsoluteError: relative_error"):
        jm.MedianAbsoluteError(relative_error=0.0)
    with pytest.raises(ValueError, match="MedianAbsoluteError: needs .* low < high"):
        jm.MedianAbsoluteError(low=2, high=1)
