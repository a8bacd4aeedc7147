"""Scalars of batches are collected without waiting for the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.clock import Clock
from support.processes import run_python

from jaxmetrics import EpochTracker


@pytest.fixture
def clock():
    return Clock(1_700_000_000.0)


def test_scalars_on_a_device_give_the_same_values_as_numbers(tmp_path, clock):
    values = np.random.default_rng(0).normal(2, 1, (600, 2)).astype(np.float32)
    folders = tmp_path / "device", tmp_path / "host"
    epochs = []
    for folder, kind in zip(folders, (jnp.asarray, float)):
        tracker = EpochTracker(folder, clock=clock)
        tracker.start_epoch(1)
        for loss, norm in values:
            tracker.log_batch(loss=kind(loss), grad_norm=kind(norm), lr=kind(norm))
        clock.now += 1
        epochs.append(tracker.end_epoch())
    assert epochs[0] == epochs[1]
    assert epochs[0].lr == values[-1, 1]


def test_a_value_that_is_not_a_scalar_is_refused_by_name(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    with pytest.raises(TypeError, match=r"log_batch\(\) got 'loss': an array of shape"):
        tracker.log_batch(loss=jnp.ones(3))
    with pytest.raises(TypeError, match=r"'lr'"):
        tracker.log_batch(loss=1.0, lr="fast")
    with pytest.raises(ValueError, match=r"\['loss_mean'\], which end_epoch"):
        tracker.log_batch(loss=1.0, loss_mean=2.0)

    @jax.jit
    def step(x):
        tracker.log_batch(loss=x)

    with pytest.raises(TypeError, match="no number yet"):
        step(1.0)
    clock.now += 1
    assert tracker.end_epoch().batches_per_sec is None  # no batch was recorded


def test_a_donated_scalar_is_refused_by_name(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    loss = jnp.float32(1.0)
    tracker.log_batch(loss=loss)
    loss.delete()
    with pytest.raises(RuntimeError, match="'loss', which cannot be fetched"):
        tracker.log_batch(loss=loss)
    with pytest.raises(RuntimeError, match="'loss', which cannot be fetched"):
        tracker.end_epoch()


def test_a_donated_scalar_takes_no_other_with_it(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    losses = [jnp.full((1,), i, jnp.float32) for i in range(4)]
    for loss in losses:
        tracker.log_batch(loss=loss, lr=0.1)
    losses[1].delete()
    with pytest.raises(RuntimeError, match="'loss', which cannot be fetched"):
        tracker.end_epoch()
    epoch = tracker.end_epoch()
    assert (epoch.loss_min, epoch.loss_max, epoch.loss_median) == (0.0, 3.0, 2.0)


def test_logging_does_not_wait_for_the_device(tmp_path):
    script = """
    import os, sys
    os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    import jax, jax.numpy as jnp
    from jaxmetrics import EpochTracker

    @jax.jit
    def slow(x, times):  # about a second, against milliseconds of logging
        return jax.lax.fori_loop(0, times, lambda i, x: jnp.sin(x @ x), x).mean()

    tracker = EpochTracker(sys.argv[1])
    tracker.start_epoch(0)
    x = jnp.zeros((64, 64))
    slow(x, 1).block_until_ready()
    loss = slow(x, 60_000)
    for _ in range(1000):  # several times the number after which values are fetched
        tracker.log_batch(loss=loss, lr=0.1)
    assert not loss.is_ready()
    assert tracker.end_epoch().loss_mean == 0.0
    tracker.start_epoch(1)
    for _ in range(1000):
        tracker.log_batch(loss=loss)
    assert len(tracker._values._pending) < 512
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 0, done.stderr
