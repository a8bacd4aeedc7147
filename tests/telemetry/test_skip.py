"""An update is skipped for a reason on any device."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxmetrics.telemetry import skip_update


@pytest.mark.parametrize(
    ("grads", "loss", "max_norm", "skipped"),
    [
        ([3.0, 4.0], 1.0, None, False),
        ([3.0, 4.0], 1.0, 5.0, False),
        ([3.0, 4.0], 1.0, 4.9, True),
        ([3.0, np.nan], None, None, True),
        ([3.0, np.inf], None, 1e9, True),
        ([3.0, 4.0], [1.0, np.nan], None, True),
    ],
)
def test_values_that_are_not_finite_or_too_large_skip_an_update(
    grads, loss, max_norm, skipped
):
    skip = jax.jit(lambda g: skip_update(g, loss, max_norm))(grads)
    assert skip.dtype == bool and skip.shape == () and bool(skip) == skipped


def test_all_devices_skip_when_one_has_a_reason():
    mesh = Mesh(np.array(jax.devices()), ("data",))

    def step(grads):
        return skip_update(grads, axis="data")[None]

    step = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=P("data"), out_specs=P()))
    grads = np.ones(64, np.float32)
    assert not step(grads).any()
    grads[13] = np.nan
    assert step(grads).all()
