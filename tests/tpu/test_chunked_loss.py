"""On a TPU the chunked loss stores one chunk of logits, and gathers no vocabulary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from tpu.programs import Program, mesh_of

from jaxmetrics.losses import chunked_cross_entropy

TOKENS, FEATURES, CHUNK = 4096, 1024, 4096


def compiled(vocabulary, places, shards=1, tied=False):
    """Compile the loss and its gradients for bfloat16 inputs of some shardings."""
    hidden, unembedding, labels = places
    arrays = (
        jax.ShapeDtypeStruct((TOKENS, FEATURES), jnp.bfloat16, sharding=hidden),
        jax.ShapeDtypeStruct(
            (vocabulary, FEATURES) if tied else (FEATURES, vocabulary),
            jnp.bfloat16,
            sharding=unembedding,
        ),
        jax.ShapeDtypeStruct((TOKENS,), jnp.int32, sharding=labels),
    )

    def loss(hidden, unembedding, labels):
        return chunked_cross_entropy(
            hidden, unembedding, labels, chunk=CHUNK, shards=shards, tied=tied
        ).total

    return jax.jit(jax.value_and_grad(loss, (0, 1))).lower(*arrays).compile()


@pytest.mark.parametrize(
    "vocabulary, tied", [(32_768, False), (131_072, False), (131_072, True)]
)
def test_memory_is_that_of_a_chunk_of_logits(vocabulary, tied):
    place = jax.sharding.SingleDeviceSharding(mesh_of("v5p").devices.flat[0])
    program = compiled(vocabulary, (place,) * 3, tied=tied)
    used = program.memory_analysis().temp_size_in_bytes
    assert used < 1.25 * TOKENS * CHUNK * 4


def test_a_sharded_vocabulary_is_not_gathered():
    devices = mesh_of("v5p").devices.reshape(-1)[:16].reshape(4, 4)
    mesh = Mesh(np.array(devices), ("data", "model"))
    places = (P("data"), P(None, "model"), P("data"))
    places = [NamedSharding(mesh, place) for place in places]
    program = compiled(131_072, places, shards=4)
    found = Program(program.as_text(), {}).collectives()
    assert set(found) <= {"all-reduce", "reduce-scatter"}
