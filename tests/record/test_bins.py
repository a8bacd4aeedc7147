"""Histograms of arrays."""

import numpy as np
import pytest

from jaxmetrics.record import binned


@pytest.mark.parametrize(
    "values", [[1.0, np.nextafter(1.0, 2.0)], [1e17] * 3, [0.0], [5e-324, 0.0]]
)
def test_nearly_equal_values_are_counted(values):
    assert binned(np.array(values)).counts.sum() == len(values)


@pytest.mark.parametrize("values", [[-1.7e308, 0.0, 1.7e308], [1.79e308], [-1.79e308]])
def test_the_largest_values_are_counted_within_finite_edges(values):
    bins = binned(np.array(values))
    assert bins.counts.sum() == len(values)
    assert np.all(np.diff(bins.edges / 4) > 0) and np.isfinite(bins.edges).all()
    assert bins.edges[0] <= values[0] and values[-1] <= bins.edges[-1]
    again = binned((bins.counts, bins.edges))
    assert (again.counts == bins.counts).all()


def test_values_that_are_not_finite_are_counted_apart():
    bins = binned([1.0, np.nan, 3.0, np.inf, -np.inf], bins=2)
    assert bins.counts.tolist() == [1, 1]
    assert bins.edges.tolist() == [1.0, 2.0, 3.0]
    assert (bins.minimum, bins.maximum, bins.nonfinite) == (1.0, 3.0, 3)
    assert (bins.total, bins.squares) == (4.0, 10.0)


def test_without_finite_values_there_are_no_bins():
    bins = binned([np.nan, np.inf])
    assert bins.counts.size == bins.edges.size == 0
    assert bins.nonfinite == 2


def test_counts_and_edges_keep_their_bins():
    bins = binned(([0, 3, 1, 0], [0.0, 1.0, 2.0, 4.0, 8.0]))
    assert bins.counts.tolist() == [0, 3, 1, 0]
    assert (bins.minimum, bins.maximum) == (1.0, 4.0)
    assert (bins.total, bins.squares) == (3 * 1.5 + 3.0, 3 * 1.5**2 + 9.0)


def test_more_than_four_million_values_are_sampled():
    values = np.arange(2**23, dtype=np.float32)
    bins = binned(values)
    assert bins.counts.sum() == 2**22
    # The mean of 2**22 uniform values has a relative deviation of 2.8e-4.
    assert bins.total / 2**22 == pytest.approx(values.mean(), rel=1e-3)


@pytest.mark.parametrize("values", [["a"], [1j], ([1.0], [1.0])])
def test_values_without_a_histogram_are_refused(values):
    with pytest.raises((TypeError, ValueError), match="histogram"):
        binned(values)
