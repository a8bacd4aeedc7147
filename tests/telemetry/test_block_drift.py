"""Distances on the host, block by block, equal those on devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.trees import GROUPS, PARAMS, UPDATES

from jaxmetrics.telemetry import BlockDrift, Stacked, drift


def reader(stored):
    arrays = {name: np.asarray(x) for name, x in BlockDrift(stored).arrays.items()}
    return lambda name, index: arrays[name][index]


def sharded(tree):
    mesh = jax.make_mesh((2, 4), ("x", "y"))

    def place(x):
        sizes = [("x", 2), ("y", 4)]
        axes = [n if d % size == 0 else None for d, (n, size) in zip(x.shape, sizes)]
        return jax.device_put(x, NamedSharding(mesh, P(*axes)))

    return jax.tree.map(place, tree)


@pytest.mark.parametrize("place", [sharded, lambda tree: tree])
@pytest.mark.parametrize("groups", [None, GROUPS])
def test_blocks_have_the_distances_of_whole_arrays(place, groups):
    expected = drift(PARAMS, UPDATES, groups=groups, key="")
    squares = BlockDrift(place(PARAMS), groups).squares(reader(UPDATES))
    assert list(squares) == list(expected)
    for suffix, square in squares.items():
        assert square**0.5 == pytest.approx(float(expected[suffix]), rel=1e-6)


def test_layers_that_are_sharded_have_distances_of_their_own():
    layers = {
        "blocks": np.arange(16.0, dtype=np.float32).reshape(4, 4),
        "b": np.ones(2),
    }
    stored = jax.tree.map(np.zeros_like, layers)
    groups = {"block": Stacked("blocks")}
    squares = BlockDrift(sharded(layers), groups).squares(reader(stored))
    expected = (layers["blocks"] ** 2).sum(axis=1)
    assert [squares[f"/block/{i}"] for i in range(4)] == expected.tolist()
    assert squares[""] == expected.sum() + 2


def test_each_block_counts_once_and_arrays_have_names_of_their_own():
    tree = {"a": {"b": jnp.ones(4)}, "a/b": jnp.ones(4), "c": 2.0, "e": np.ones(0)}
    now = BlockDrift(jax.device_put(tree, NamedSharding(jax.make_mesh((8,), "x"), P())))
    assert list(now.arrays) == ["a/b", "a/b'", "c", "e"]
    squares = now.squares(lambda name, index: np.zeros(now.arrays[name].shape)[index])
    assert squares[""] == 4 + 4 + 2**2


def test_complex_and_huge_values_are_measured_in_float64():
    params = {
        "z": np.array([3 + 4j]),
        "w": np.float32([1e30]),
        "b": jnp.bfloat16(1e-30),
    }
    now = BlockDrift(params, {})
    squares = now.squares(lambda name, index: np.zeros_like(now.arrays[name])[index])
    assert squares[""] == pytest.approx(1e60)
    assert BlockDrift(jnp.ones(3)).arrays.keys() == {"value"}
