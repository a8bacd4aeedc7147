"""Metrics over the last updates."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.forms import mesh_of

import jaxmetrics as jm

RNG = np.random.default_rng(0)
LOSS = RNG.normal(2, 1, (32, 3)).astype(np.float32)
DOMAIN = RNG.integers(0, 3, 32).astype(np.int32)
VALID = RNG.random(32) < 0.5


def test_a_window_forgets_older_updates():
    metric = jm.Windowed(jm.Mean("loss"), window=3)
    assert math.isnan(metric.compute())
    for i in range(5):
        metric = metric.update(loss=float(i))
        recent = range(max(0, i - 2), i + 1)
        assert metric.compute() == np.mean(list(recent))


@pytest.mark.parametrize("explicit", [False, True])
def test_a_window_is_right_in_every_form(explicit):
    mesh = mesh_of(explicit)
    rows = jax.device_put(LOSS, NamedSharding(mesh, P("data")))
    metric = jm.Windowed(jm.Std("loss"), window=2)
    expected = np.concatenate([LOSS * 2, LOSS * 3]).astype(float).std()
    update = jax.jit(lambda m, x: m.update(loss=x), donate_argnums=0)
    for state in (metric.place(mesh), metric.deferred(mesh)):
        for factor in (1, 2, 3):
            state = update(state, rows * factor)
        assert state.compute() == pytest.approx(expected, rel=1e-6)
    body = jax.shard_map(
        lambda x: metric.from_model_output(loss=x).reduce("data"),
        mesh=mesh_of(),
        in_specs=P("data"),
        out_specs=P(),
    )
    for factor in (1, 2, 3):
        metric = metric.merge(jax.jit(body)(LOSS * factor))
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


def test_merging_windows_appends_the_other():
    def over(*values):
        metric = jm.Windowed(jm.Sum("x"), window=4)
        for value in values:
            metric = metric.update(x=value)
        return metric

    assert over(1, 2).merge(over(4)).compute() == 7
    assert over(1, 2, 4).merge(over(8, 16, 32)).compute() == 4 + 8 + 16 + 32
    assert over(1, 2, 4, 8, 16).merge(over()).compute() == 2 + 4 + 8 + 16
    assert over().merge(over(1, 2)).compute() == 3


def test_a_window_is_a_scan_carry():
    def step(metric, x):
        return metric.update(x=x), metric.compute()

    metric = jm.Windowed(jm.Sum("x"), window=2)
    metric, before = lax.scan(step, metric, jnp.arange(4.0))
    np.testing.assert_array_equal(before, [0, 0, 1, 3])
    assert metric.compute() == 5


def test_a_window_below_1_is_refused():
    with pytest.raises(ValueError, match="window is at least 1"):
        jm.Windowed(jm.Mean(), window=0)
