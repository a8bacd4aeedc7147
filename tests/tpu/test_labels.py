"""On a TPU the top class of a row needs no gather and nothing of the logits' size."""

import jax
import jax.numpy as jnp
import pytest
from tpu.programs import TOPOLOGIES, mesh_of

from jaxmetrics.core import top_and_valid, top_class

ROWS, CLASSES = 4096, 1000


@pytest.mark.parametrize("function", [top_class, top_and_valid])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_the_top_class_is_found_without_a_gather(function, topology):
    device = mesh_of(topology).devices.flat[0]
    place = jax.sharding.SingleDeviceSharding(device)
    logits = jax.ShapeDtypeStruct((ROWS, CLASSES), jnp.float32, sharding=place)
    compiled = jax.jit(function).lower(logits).compile()
    assert " gather(" not in compiled.as_text()
    assert compiled.memory_analysis().temp_size_in_bytes < ROWS * CLASSES
