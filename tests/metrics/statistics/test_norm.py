"""GlobalNorm of trees, by hand and against optax."""

import math

import jax
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

GRADS = {"bias": np.float32([3]), "layers": [np.float32([[0, 4], [12, 0]])]}


def test_the_norm_of_a_tree_is_over_all_its_values():
    assert jm.evaluate(jm.GlobalNorm("grads"), grads=GRADS) == 13
    assert float(optax.tree.norm(GRADS)) == 13


def test_the_norm_over_batches_is_over_all_their_values():
    metric = jm.GlobalNorm("grads")
    for _ in range(4):
        metric = metric.update(grads=GRADS)
    assert metric.compute() == 26


def test_a_mask_is_ignored():
    mask = np.zeros(2, bool)
    assert jm.evaluate(jm.GlobalNorm("grads"), grads=GRADS, mask=mask) == 13


def test_a_nan_gradient_makes_the_norm_nan():
    norm = jm.evaluate(jm.GlobalNorm("grads"), grads=[np.float32(np.nan)])
    assert math.isnan(norm)


@pytest.mark.parametrize("spec", [P(), P("data")])
def test_parts_of_a_tree_add_up_and_replicas_count_once(spec):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    tree = {"kernel": np.float32(np.arange(16)).reshape(8, 2)}
    metric = jm.GlobalNorm("grads").deferred(mesh, grads=spec)
    norm = jax.jit(lambda m, g: m.update(grads=g))(metric, tree).compute()
    assert norm == pytest.approx(np.linalg.norm(tree["kernel"]), rel=1e-7)
