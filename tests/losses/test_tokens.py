"""Numbers that both losses take, traced and static."""

import functools

import jax
import numpy as np
import pytest

from jaxmetrics.losses import chunked_cross_entropy, cross_entropy_with_entropy_loss

RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(3, 4)).astype(np.float32)
UNEMBEDDING = RNG.normal(size=(4, 5)).astype(np.float32)
LABELS = np.int32([1, 2, 3])
LOSSES = {
    "entropy": functools.partial(
        cross_entropy_with_entropy_loss, HIDDEN @ UNEMBEDDING, LABELS
    ),
    "chunked": functools.partial(
        chunked_cross_entropy, HIDDEN, UNEMBEDDING, LABELS, chunk=4
    ),
}

each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@each_loss
def test_the_weight_of_the_normalizer_may_be_traced(loss):
    traced = jax.jit(lambda weight: loss(z_loss=weight))
    for weight in (0.0, 0.1):
        got, wanted = traced(weight), loss(z_loss=weight)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-6), got, wanted
        )


@each_loss
@pytest.mark.parametrize("name", ["label_smoothing", "pad_id"])
def test_a_number_that_must_be_static_is_named(loss, name):
    with pytest.raises(TypeError, match=f"got a traced {name}, expected .* static"):
        jax.eval_shape(lambda x: loss(**{name: x}), 1)


@pytest.mark.parametrize("name", ["softcap", "shards"])
def test_the_chunked_loss_names_its_static_numbers(name):
    with pytest.raises(TypeError, match=f"got a traced {name}, expected .* static"):
        jax.eval_shape(lambda x: LOSSES["chunked"](**{name: x}), 1)
