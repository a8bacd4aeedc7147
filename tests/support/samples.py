"""Samples of very different distributions, and streaming them through a metric."""

import functools

import jax
import numpy as np
import pytest

COUNT = 40_000
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


def lognormal(rng):
    return rng.lognormal(0, 2, COUNT)


def normal(rng):
    return rng.normal(2, 3, COUNT)


def pareto(rng):
    return 1e-3 * (1 + rng.pareto(1.1, COUNT))


def integers(rng):
    return rng.integers(0, 5000, COUNT)


def constant(rng):
    return np.full(COUNT, 0.3)


def bimodal(rng):
    parts = rng.normal(-50, 1, COUNT), rng.normal(1e4, 10, COUNT), np.zeros(COUNT)
    return np.choose(rng.integers(0, 3, COUNT), parts)


DISTRIBUTIONS = (lognormal, normal, pareto, integers, constant, bimodal)
every_distribution = pytest.mark.parametrize(
    "draw", DISTRIBUTIONS, ids=lambda draw: draw.__name__
)


@functools.cache
def sample(draw):
    """Return a float32 sample of a distribution, the same at every call."""
    return draw(np.random.default_rng(5)).astype(np.float32)


@jax.jit
def _scan(state, batches):
    return jax.lax.scan(lambda s, b: (s.update(**b), None), state, batches)[0]


def observed(metric, batches=1, **outputs):
    """Return the state after the outputs, split into batches of equal size."""
    parts = {n: x.reshape(batches, -1, *x.shape[1:]) for n, x in outputs.items()}
    return _scan(metric.empty(), parts)
