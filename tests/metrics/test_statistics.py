"""Histograms, norms and counts of what is not finite, worked out by hand."""

import math

import jax
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")


def histogram(values, **configuration):
    return jm.evaluate(jm.Histogram(**configuration), values=np.float32(values))


def test_a_bin_holds_its_left_edge_and_the_last_one_the_maximum_too():
    found = histogram([0, 1, 1.5, 2, 3, 4], low=0, high=4, bins=4)
    assert found["counts"].tolist() == [1, 2, 1, 2]
    assert found["edges"].tolist() == [0, 1, 2, 3, 4]


def test_values_outside_and_not_finite_are_counted_apart():
    values = [-1, -INF, 0, 9, 10, 11, 12, INF, NAN]
    found = histogram(values, low=0, high=10, bins=2)
    apart = {name: int(found[name]) for name in ("below", "above", "nonfinite")}
    assert apart == dict(below=1, above=2, nonfinite=3)
    assert found["counts"].tolist() == [1, 2]


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.7), (1e-3, 1e9), (3e4, 3.1e4)])
def test_float32_neighbours_of_each_edge_fall_where_numpy_puts_them(scale, low, high):
    metric = jm.Histogram(low=low, high=high, bins=37, scale=scale)
    near = metric.edges.astype(np.float32)
    values = np.concatenate([np.nextafter(near, np.float32(s)) for s in (-INF, INF)])
    values = np.concatenate([near, values])
    wide = values.astype(np.float64)
    found = jm.evaluate(metric, values=values)
    counts, _ = np.histogram(wide, metric.edges)
    np.testing.assert_array_equal(found["counts"], counts)
    assert (found["below"], found["above"]) == ((wide < low).sum(), (wide > high).sum())


def test_edges_are_those_of_numpys_range():
    values = np.random.default_rng(0).normal(0, 1, 5000).astype(np.float32)
    found = histogram(values, low=-2.0, high=2.0, bins=50)
    wide = values.astype(np.float64)
    counts, edges = np.histogram(wide, 50, (-2, 2))
    np.testing.assert_array_equal(found["counts"], counts)
    np.testing.assert_allclose(found["edges"], edges, rtol=0, atol=1e-15)


def test_bins_of_one_ratio():
    found = histogram([1, 9, 10, 100, 500, 1000], low=1, high=1000, bins=3, scale="log")
    assert found["counts"].tolist() == [2, 1, 3]


def test_a_masked_value_is_in_no_bin():
    metric = jm.Histogram("loss", low=0, high=1, bins=1)
    found = jm.evaluate(metric, loss=[0.5, NAN, 9.0], mask=[True, False, False])
    assert (found["counts"].sum(), found["above"], found["nonfinite"]) == (1, 0, 0)


def test_counts_of_a_collection_have_flat_names():
    metrics = jm.Collection(loss=jm.Histogram("loss", low=0, high=1, bins=2))
    found = metrics.update(loss=[0.2, 0.9, 0.9]).compute()
    assert found["loss/counts"].tolist() == [1, 2] and found["loss/below"] == 0


@pytest.mark.parametrize(
    ("configuration", "match"),
    [
        (dict(low=1, high=1), "finite low < high"),
        (dict(low=0, high=INF), "finite low < high"),
        (dict(low=NAN, high=1), "finite low < high"),
        (dict(low=0, high=1, scale="log"), "needs low > 0"),
        (dict(low=0, high=1, scale="square"), "scale is one of"),
        (dict(low=0, high=1, bins=0), "bins is at least 1"),
        (dict(low=1e6, high=1e6 + 1, bins=64), "narrower than float32"),
    ],
)
def test_a_histogram_without_sense_is_refused(configuration, match):
    with pytest.raises(ValueError, match=match):
        jm.Histogram(**configuration)


def test_the_edges_have_no_default():
    with pytest.raises(TypeError, match="low"):
        jm.Histogram("loss")


def test_only_what_is_not_finite_is_counted():
    values = [[1, NAN], [INF, -INF]]
    assert jm.evaluate(jm.NonFiniteCount(), values=values) == 3
    masked = dict(values=values, mask=[True, False])
    assert jm.evaluate(jm.NonFiniteCount(), **masked) == 1
    assert jm.evaluate(jm.NonFiniteCount("labels"), labels=[1, 2]) == 0


GRADS = {"bias": np.float32([3]), "layers": [np.float32([[0, 4], [12, 0]])]}


def test_the_norm_of_a_tree_is_that_of_all_its_values():
    assert jm.evaluate(jm.GlobalNorm("grads"), grads=GRADS) == 13
    assert float(optax.tree.norm(GRADS)) == 13


def test_the_norm_over_batches_is_of_everything_seen():
    metric = jm.GlobalNorm("grads")
    for _ in range(4):
        metric = metric.update(grads=GRADS)
    assert metric.compute() == 26


def test_a_mask_leaves_a_tree_alone():
    mask = np.zeros(2, bool)
    assert jm.evaluate(jm.GlobalNorm("grads"), grads=GRADS, mask=mask) == 13


def test_a_nan_gradient_shows():
    assert math.isnan(jm.evaluate(jm.GlobalNorm("grads"), grads=[np.float32(NAN)]))


@pytest.mark.parametrize("spec", [P(), P("data")])
def test_parts_of_a_tree_add_up_and_copies_count_once(spec):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    tree = {"kernel": np.float32(np.arange(16)).reshape(8, 2)}
    metric = jm.GlobalNorm("grads").deferred(mesh, grads=spec)
    value = jax.jit(lambda m, g: m.update(grads=g))(metric, tree).compute()
    assert value == pytest.approx(np.linalg.norm(tree["kernel"]), rel=1e-7)
