"""AdaptiveCalibrationError: bins of equal mass, and the bound of its cells."""

import numpy as np
import pytest

import jaxmetrics as jm


def of(bins=2, **options):
    return jm.AdaptiveCalibrationError(bins, task="binary", scores="probs", **options)


def evaluate(metric, probs, labels, **outputs):
    probs, labels = np.float32(probs), np.int32(labels)
    return jm.evaluate(metric, probs=probs, labels=labels, **outputs)


def equal_mass(probs, labels, bins):
    """Return the error over equal parts of the sorted rows."""
    order = np.argsort(probs)
    gaps = (labels - probs)[order].reshape(bins, -1).sum(-1)
    return np.abs(gaps).sum() / len(probs)


def test_bins_have_equal_numbers_of_labels():
    probs, labels = [0.95, 0.96, 0.97, 0.98], [0, 1, 1, 1]
    right = (abs(1 - 0.95 - 0.96) + (2 - 0.97 - 0.98)) / 4
    assert evaluate(of(), probs, labels) == pytest.approx(right, rel=1e-6)
    equal = jm.ExpectedCalibrationError(2, task="binary", scores="probs")
    assert evaluate(equal, probs, labels) == pytest.approx(0.215, rel=1e-6)


def test_equal_confidences_are_in_one_bin():
    one = evaluate(of(1), [0.75] * 4, [0, 0, 1, 1])
    assert evaluate(of(4), [0.75] * 4, [0, 0, 1, 1]) == one == 0.25


@pytest.mark.parametrize(("cells", "largest"), [(512, 0.3), (4096, 0.05)])
def test_the_error_is_within_the_bound_of_exact_edges(cells, largest):
    rng = np.random.default_rng(cells)
    probs = rng.beta(8, 1, 1500).astype(np.float32)
    labels = (rng.random(1500) < probs**2).astype(np.int32)
    value = evaluate(of(15, cells=cells), probs, labels)
    right = equal_mass(np.float64(probs), labels, 15)
    ordered = np.sort(probs)
    cell = np.minimum(np.floor(ordered * np.float32(cells)), cells - 1)
    edges = np.arange(100, 1500, 100)
    split = np.unique(cell[edges][cell[edges] == cell[edges - 1]])
    bound = 2 * np.isin(cell, split).mean()
    assert abs(value - right) <= bound + 1e-6
    assert bound < largest


def test_weights_are_divided_among_the_bins():
    weights = np.float32([3, 1, 1, 1])
    value = evaluate(
        of(2, weighted=True), [0.2, 0.4, 0.6, 0.8], [1, 0, 0, 0], weights=weights
    )
    assert value == pytest.approx((3 * 0.8 + 0.4 + 0.6 + 0.8) / 6, rel=1e-6)


def test_counts_beyond_float32_are_exact():
    many = 2**24 + 1
    metric = of(2, cells=2)
    counts = metric.counts.replace(
        count=[many, many], hits=[0, many], confidence=[0.0, 0.0]
    )
    assert metric.with_fields(counts=counts).compute() == 0.5


def test_without_data_the_error_is_nan():
    masked = evaluate(of(), [np.nan], [0], mask=np.bool_([False]))
    assert np.isnan(masked) and np.isnan(of().compute())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(bins=0), "bins is 0, but must be at least 1"),
        (dict(cells=1), "cells is 1, but must be at least the 2 bins"),
        (dict(norm="l3"), "norm is 'l3', but must be one of"),
    ],
)
def test_an_impossible_configuration_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        of(**options)
