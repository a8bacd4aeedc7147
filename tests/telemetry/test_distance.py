"""Distances of trees are equal for arrays on host and devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.trees import GROUPS, PARAMS, UPDATES, flat, parts

from jaxmetrics.telemetry import distance, drift


def test_the_distance_is_equal_for_arrays_on_host_and_devices():
    reference = np.linalg.norm(flat(PARAMS) - flat(UPDATES))
    mesh = jax.make_mesh((8,), ("fsdp",))
    sharded = jax.tree.map(
        lambda x: jax.device_put(
            x, NamedSharding(mesh, P(*[None] * (x.ndim - 1), "fsdp"))
        ),
        PARAMS,
    )
    device = jax.tree.map(jnp.asarray, UPDATES)
    distances = [
        distance(PARAMS, UPDATES),
        distance(jax.tree.map(jnp.asarray, PARAMS), device),
        distance(sharded, UPDATES),
        distance(UPDATES, sharded),
        jax.jit(distance)(PARAMS, device),
    ]
    np.testing.assert_allclose(distances, [reference] * 5, rtol=1e-6)
    assert distance({}, {}) == 0


def test_a_drift_is_a_distance_in_each_group():
    values = drift(PARAMS, UPDATES, GROUPS, key="ema/delta_norm")
    for (suffix, a), (_, b) in zip(parts(PARAMS), parts(UPDATES)):
        reference = np.linalg.norm(flat(a) - flat(b))
        assert values.pop(f"ema/delta_norm{suffix}") == pytest.approx(
            reference, rel=1e-5
        )
    assert not values


def test_a_small_change_of_large_weights_is_not_lost():
    old = {"w": jnp.full(100, 1000.0)}
    new = {"w": jnp.full(100, np.nextafter(np.float32(1000), np.float32(2000)))}
    assert distance(new, old) == pytest.approx(10 * 2.0**-14, rel=1e-6)


@pytest.mark.parametrize("kind", ["bfloat16", "complex64", "float64", "complex128"])
@pytest.mark.parametrize("double", ["float64", "complex128"])
def test_a_difference_has_the_precision_of_the_more_precise_array(double, kind):
    with jax.enable_x64(True):
        x = {"w": jnp.full(4, 1 + 2.0**-40, double)}
        y = {"w": jnp.ones(4, kind)}
        assert distance(x, y) == distance(y, x) == 2.0**-39


@pytest.mark.parametrize("kind", ["bfloat16", "float32", "complex64"])
def test_the_imaginary_part_counts_beside_real_numbers(kind):
    x, y = {"w": jnp.full(1, 3j, "complex64")}, {"w": jnp.full(1, 4, kind)}
    assert distance(x, y) == distance(y, x) == 5
