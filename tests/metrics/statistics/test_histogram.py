"""Histogram: bins as NumPy's, exactly, and refused configurations."""

import numpy as np
import pytest

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")
LARGEST = float(np.finfo(np.float32).max)


def histogram(values, **configuration):
    return jm.evaluate(jm.Histogram(**configuration), values=np.float32(values))


def test_a_bin_contains_its_left_edge_and_the_last_bin_both():
    value = histogram([0, 1, 1.5, 2, 3, 4], low=0, high=4, bins=4)
    assert value["counts"].tolist() == [1, 2, 1, 2]
    assert value["edges"].tolist() == [0, 1, 2, 3, 4]


def test_values_outside_and_not_finite_are_counted_separately():
    values = [-1, -INF, 0, 9, 10, 11, 12, INF, NAN]
    value = histogram(values, low=0, high=10, bins=2)
    separate = {name: int(value[name]) for name in ("below", "above", "nonfinite")}
    assert separate == dict(below=1, above=2, nonfinite=3)
    assert value["counts"].tolist() == [1, 2]


RANGES = [(0.1, 0.7), (1e-3, 1e9), (3e4, 3.1e4), (3e4, 30001), (0.125, 4.75)]
WIDE = [(-3e38, 3e38), (-LARGEST, LARGEST), (-1.0, LARGEST)]  # beyond float32 by halves


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(*ends, scale) for ends in RANGES for scale in ("linear", "log")]
    + [(*ends, "linear") for ends in WIDE]
    + [(2e-38, LARGEST, "log")],
)
def test_float32_neighbours_of_each_edge_fall_where_numpy_puts_them(low, high, scale):
    metric = jm.Histogram(low=low, high=high, bins=37, scale=scale)
    nearest = metric.edges.astype(np.float32)
    with np.errstate(over="ignore"):
        values = np.concatenate(
            [nearest, *(np.nextafter(nearest, np.float32(s)) for s in (-INF, INF))]
        )
    values = values[np.isfinite(values)]
    value = jm.evaluate(metric, values=values)
    values = values.astype(np.float64)
    counts, _ = np.histogram(values, metric.edges)
    np.testing.assert_array_equal(value["counts"], counts)
    outside = (values < low).sum(), (values > high).sum()
    assert (value["below"], value["above"]) == outside


@pytest.mark.parametrize(("low", "high"), [(-4, 4), (0, 64), (-1, 1023), (1, 65)])
def test_values_beside_edges_without_rounding_are_counted_as_numpy_does(low, high):
    metric = jm.Histogram(low=low, high=high)
    near = np.float32([-1e-9, 1e-9, -1e-37, 1e-37, -0.0, *metric.edges])
    around = [np.nextafter(near, np.float32(s)) for s in (-INF, INF)]
    values = np.concatenate([near, *around])
    values = values[(values == 0) | (np.abs(values) >= np.finfo(np.float32).tiny)]
    counts, _ = np.histogram(values.astype(np.float64), metric.edges)
    value = jm.evaluate(metric, values=values)
    np.testing.assert_array_equal(value["counts"], counts)


def test_edges_and_counts_are_those_of_numpy_for_a_range():
    values = np.random.default_rng(0).normal(0, 1, 5000).astype(np.float32)
    value = histogram(values, low=-2.0, high=2.0, bins=50)
    counts, edges = np.histogram(values.astype(np.float64), 50, (-2, 2))
    np.testing.assert_array_equal(value["counts"], counts)
    np.testing.assert_allclose(value["edges"], edges, rtol=0, atol=1e-15)


def test_log_bins_have_edges_of_a_constant_ratio():
    value = histogram([1, 9, 10, 100, 500, 1000], low=1, high=1000, bins=3, scale="log")
    assert value["counts"].tolist() == [2, 1, 3]


def test_a_masked_value_is_in_no_bin():
    metric = jm.Histogram("loss", low=0, high=1, bins=1)
    value = jm.evaluate(metric, loss=[0.5, NAN, 9.0], mask=[True, False, False])
    assert (value["counts"].sum(), value["above"], value["nonfinite"]) == (1, 0, 0)


def test_a_collection_computes_counts_under_flat_names():
    metrics = jm.Collection(loss=jm.Histogram("loss", low=0, high=1, bins=2))
    values = metrics.update(loss=[0.2, 0.9, 0.9]).compute()
    assert values["loss/counts"].tolist() == [1, 2] and values["loss/below"] == 0


@pytest.mark.parametrize(
    ("configuration", "match"),
    [
        (dict(low=1, high=1), "finite low < high"),
        (dict(low=0, high=INF), "finite low < high"),
        (dict(low=NAN, high=1), "finite low < high"),
        (dict(low=0, high=1, scale="log"), "needs low > 0"),
        (dict(low=0, high=1, scale="square"), "scale is 'square', but must be one"),
        (dict(low=0, high=1, bins=0), "bins is 0, but must be at least 1"),
        (dict(low=0, high=1e39), "finite low < high within float32"),
        (dict(low=0, high=4e-39, bins=4), "widths below 2\\^-126"),
        (dict(low=1e-38, high=9e-38, bins=4), "edges or widths below"),
        (dict(low=1e6, high=1e6 + 1, bins=64), "narrower than the spacing of float32"),
    ],
)
def test_an_impossible_configuration_is_refused(configuration, match):
    with pytest.raises(ValueError, match=match):
        jm.Histogram(**configuration)


def test_the_edges_have_no_default():
    with pytest.raises(TypeError, match="low"):
        jm.Histogram("loss")


def test_weights_are_summed_by_bin():
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=500), [np.nan, np.inf, -9, 9]).astype(np.float32)
    weights = rng.uniform(0, 2, values.size).astype(np.float32)
    metric = jm.Histogram("x", low=-2, high=2, bins=16, weighted=True)
    value = jm.evaluate(metric, x=values, weights=weights)
    wide = values[:500].astype(np.float64), weights[:500].astype(np.float64)
    right, _ = np.histogram(wide[0], 16, (-2, 2), weights=wide[1])
    np.testing.assert_allclose(value["counts"], right, rtol=1e-12)
    assert value["nonfinite"] == np.float64(weights[500]) + np.float64(weights[501])
    below = wide[1][wide[0] < -2].sum() + weights[502]
    np.testing.assert_allclose(value["below"], below, rtol=1e-12)


def test_without_weights_a_weighted_histogram_is_refused():
    with pytest.raises(TypeError, match="Histogram needs output 'weights'"):
        jm.evaluate(jm.Histogram("x", low=0, high=1, weighted=True), x=[0.5])
