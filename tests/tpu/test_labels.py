"""On a TPU the top class of a row needs no gather and nothing of the logits' size."""

import jax
import jax.numpy as jnp
import pytest
from tpu.programs import TOPOLOGIES, mesh_of

from jaxmetrics.core import top_and_valid, top_class
from jaxmetrics.losses import cross_entropy_with_entropy_loss

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


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_loss_and_its_gradient_pass_over_the_logits_four_times(topology):
    # v5e and v6e read and write float32 beside the 16 bits.
    limit = 8.5 if topology.startswith(("v5e", "v6e")) else 4.5
    device = mesh_of(topology).devices.flat[0]
    place = jax.sharding.SingleDeviceSharding(device)
    logits = jax.ShapeDtypeStruct((1024, 32_768), jnp.bfloat16, sharding=place)
    labels = jax.ShapeDtypeStruct((1024,), jnp.int32, sharding=place)

    def loss(logits, labels):
        return cross_entropy_with_entropy_loss(logits, labels, entropy_weight=0.1)[2]

    compiled = jax.jit(jax.value_and_grad(loss)).lower(logits, labels).compile()
    # For the largest logits, the sums and the gradient, which is then written.
    passes = compiled.cost_analysis()["bytes accessed"] / (1024 * 32_768 * 2)
    assert passes < limit
