"""Sums over a tree and its groups are planned once and read each array once."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmetrics.telemetry import Stacked
from jaxmetrics.telemetry._group_sums import (
    GroupSums,
    require_same_structure,
    sum_of_products,
)
from jaxmetrics.telemetry._groups import float_leaves, resolve_groups

TREE = {
    "a": np.arange(6, dtype=np.float32).reshape(3, 2),
    "b": np.full(4, 2, np.float32),
}


def plan(groups):
    return GroupSums.of(float_leaves(TREE), resolve_groups(TREE, groups))


def test_a_plan_numbers_the_partial_sums_of_arrays_and_layers():
    sums = plan({"layer": Stacked("a"), "all": "**", "b": "b"})
    assert sums.suffixes == ("", "/layer/0", "/layer/1", "/layer/2", "/all", "/b")
    assert sums.parts == (3, 0)
    assert sums.members == ((0, 1, 2, 3), (0,), (1,), (2,), (0, 1, 2, 3), (3,))
    assert sums.counts == (10, 2, 2, 2, 10, 4)


def test_norms_add_the_squares_of_each_group():
    sums = plan({"layer": Stacked("a"), "b": "b"})
    values = [leaf.value for leaf in float_leaves(TREE)]
    squares = np.square(sums.norms(values))
    np.testing.assert_allclose(squares, [71, 1, 13, 41, 16], rtol=1e-6)
    assert sums.sizes.tolist() == [10, 2, 2, 2, 4]


def test_cosines_add_the_products_of_each_group():
    sums = plan({"b": "b"})
    a, b = (leaf.value for leaf in float_leaves(TREE))
    norms = jnp.array([2.0, 4.0])
    cosines = sums.cosines([a, b], [a, -b], norms, jnp.array([4.0, 0.5]))
    assert cosines.tolist() == [(55 - 16) / 8, -16 / 2]
    assert jnp.isnan(sums.cosines([a, b], [a, b], norms, jnp.zeros(2))).all()


def test_norms_without_arrays_are_0():
    assert GroupSums.of([], {}).norms([]).tolist() == [0]


def test_products_are_summed_at_both_scales():
    for x, y, expected in [
        (jnp.array([1 + 2j, 3j]), jnp.array([2 + 1j, 1j]), 2 + 2 + 3),
        (jnp.array([1 + 2j, 3j]), jnp.ones(2), 1),
        (jnp.full((2, 3), 2.0, jnp.bfloat16), jnp.ones((2, 3)), 12),
    ]:
        large, small = sum_of_products(x, y, 0, (3, -2))
        assert large.tolist() == [expected * 8] and small.tolist() == [expected / 4]
    by_layer, _ = sum_of_products(jnp.ones((2, 3)), jnp.ones((2, 3)), 2, (0, 0))
    assert by_layer.tolist() == [3, 3]


def test_stacked_arrays_without_layers_are_refused():
    tree = {"a": np.float32(1)}
    with pytest.raises(ValueError, match="stacked layers"):
        GroupSums.of(float_leaves(tree), resolve_groups(tree, {"a": Stacked("a")}))


def test_the_first_array_that_differs_is_named():
    require_same_structure("f()", ("x", TREE), ("y", dict(TREE)))
    with pytest.raises(ValueError, match=r"f\(\): 'b' is of shape \(4,\) in x and abs"):
        require_same_structure("f()", ("x", TREE), ("y", {"a": TREE["a"]}))
