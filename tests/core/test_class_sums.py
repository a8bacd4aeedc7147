"""Losses of many rows, which a CPU reads in blocks, and of few classes."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.forms import mesh_of

import jaxmetrics as jm
from jaxmetrics.core import negative_log_likelihood

WIDE = (2056, 300)  # two blocks of eight parts of the rows, and rows that are left over


def batch(shape):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, shape).astype(np.float32)
    return logits, rng.integers(0, shape[-1], shape[:-1]).astype(np.int32)


def losses(logits, labels):
    x = np.float64(logits)
    own = np.take_along_axis(x, labels[..., None], -1)[..., 0]
    return np.log(np.exp(x).sum(-1)) - own


@pytest.mark.parametrize(
    "shape",
    [WIDE, (1027, 300), (13, 79, 300), (8, 70_000), (300_000,), (1000, 7), (5, 3, 33)],
)
def test_the_mean_loss_is_that_of_float64(shape):
    logits, labels = batch(shape)
    value = jm.evaluate(jm.CrossEntropy(), logits=logits, labels=labels)
    np.testing.assert_allclose(value, losses(logits, labels).mean(), rtol=2e-6)


def test_rows_of_all_blocks_keep_their_order():
    logits, labels = batch(WIDE)
    nats, valid = jax.jit(negative_log_likelihood)(logits, labels)
    assert valid.all()
    np.testing.assert_allclose(nats, losses(logits, labels), rtol=1e-5)


def test_a_divergence_of_many_rows_is_that_of_float64():
    logits, _ = batch(WIDE)
    p, q = (jax.nn.softmax(np.float64(x), -1) for x in (logits, logits[::-1]))
    value = jm.evaluate(
        jm.KLToReference(), logits=logits, reference_logits=logits[::-1]
    )
    expected = (np.float64(p) * np.log(np.float64(p) / q)).sum(-1).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [WIDE, (1000, 7)])
def test_a_loss_of_many_rows_has_the_gradient_of_the_softmax(shape):
    logits, labels = batch(shape)
    gradient = jax.grad(lambda x: negative_log_likelihood(x, labels)[0].sum())
    expected = jax.nn.softmax(logits, -1) - jax.nn.one_hot(labels, shape[-1])
    np.testing.assert_allclose(jax.jit(gradient)(logits), expected, atol=1e-5)


def test_sharded_rows_stay_where_they_are():
    mesh = mesh_of()
    logits, labels = (
        jax.device_put(x, NamedSharding(mesh, P("data"))) for x in batch((4096, 100))
    )
    update = jax.jit(lambda state, **outputs: state.update(**outputs))
    state = jm.CrossEntropy().place(mesh)
    program = update.lower(state, logits=logits, labels=labels).compile().as_text()
    assert re.search(r"all-reduce(-start)?\(", program)
    assert not re.search(r"(all-gather|all-to-all|permute)(-start)?\(", program)
