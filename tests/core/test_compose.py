"""Functions of the values of several metrics."""

import pickle

import jax
import numpy as np
import pytest
from support.forms import assert_close, in_every_form

import jaxmetrics as jm

RNG = np.random.default_rng(0)
LOSS = RNG.normal(2, 1, (32, 3)).astype(np.float32)
DOMAIN = RNG.integers(0, 3, 32).astype(np.int32)
VALID = RNG.random(32) < 0.5


def gap(a, b):
    return b - a


def test_compose_is_a_function_of_values_and_shares_states():
    metric = jm.Compose(gap, a=jm.Mean("loss"), b=jm.Max("loss"))
    assert_close(in_every_form(metric, dict(loss=LOSS)), LOSS.max() - LOSS.mean())
    both = jm.Collection(gap=metric, mean=jm.Mean("loss"))
    assert len(jax.tree.leaves(both)) == len(jax.tree.leaves(metric))
    values = both.update(loss=LOSS).compute()
    assert values["gap"] == pytest.approx(LOSS.max() - values["mean"], rel=1e-6)
    assert pickle.loads(pickle.dumps(metric)).function is gap


def test_compose_can_be_renamed():
    metric = jm.Compose(gap, a=jm.Mean(), b=jm.Max()).on(values="x")
    assert metric.update(x=[1.0, 3.0]).compute() == 1.0
