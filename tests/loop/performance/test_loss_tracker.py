"""Losses are averaged without waiting for the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm


def test_the_average_covers_the_last_values():
    losses = jm.LossTracker(window=30)
    for i in range(100):
        losses.update(ce_loss=float(i), **({"rare": 5} if i == 50 else {}))
    assert losses.get_average("ce_loss") == np.mean(range(80, 100))
    assert losses.get_average("ce_loss", window=30) == np.mean(range(70, 100))
    assert losses.get_average("ce_loss", window=1) == 99.0
    assert losses.get_average("rare") == 5.0
    with pytest.raises(TypeError, match="get_average.*window=2.5 of type float"):
        losses.get_average("rare", 2.5)


def test_update_does_not_wait_for_values_on_a_device():
    class Slow:
        """A scalar that must not be read before it is computed."""

        shape, ready = (), False

        def __init__(self, value):
            self.value = value

        def is_ready(self):
            return self.ready

        def is_deleted(self):
            return False

        def __array__(self, dtype=None, copy=None):
            assert self.ready, "update waited for a step in flight"
            return np.asarray(self.value, dtype)

    losses, values = jm.LossTracker(), [Slow(i) for i in range(10)]
    for value in values:
        losses.update(loss=value)
    for value in values:
        value.ready = True
    losses.update(loss=jnp.float32(10))
    assert losses.get_average("loss", window=11) == 5.0


def test_the_number_of_pending_values_is_bounded():
    losses = jm.LossTracker()
    for i in range(50):
        losses.update(loss=jnp.float32(i))
    assert len(losses._pending) <= 16
    assert losses.get_average("loss", window=50) == 24.5


def test_a_donated_loss_is_refused_by_name():
    losses, value = jm.LossTracker(), jnp.float32(1)
    value.delete()
    with pytest.raises(RuntimeError, match="'loss', which cannot be fetched"):
        losses.update(loss=value)


def test_a_loss_that_is_donated_later_takes_no_other_with_it():
    losses, value = jm.LossTracker(), jnp.float32(1) + 0
    losses._pending.append({"loss": value, "other": 2.0})
    value.delete()
    with pytest.raises(RuntimeError, match="'loss', which cannot be fetched"):
        losses.update(loss=3.0)
    assert losses.get_average("loss") == 3.0
    assert losses.get_average("other") == 2.0


def test_an_unknown_loss_is_left_out_and_one_element_is_a_number():
    losses = jm.LossTracker()
    losses.update(loss=1.0, aux=None)
    losses.update(loss=jnp.ones((1, 1)), aux=np.array([3]))
    assert losses.get_average("loss") == 1.0
    assert losses.get_average("aux") == 3.0
    for wrong in ("low", [1.0], 1j, jnp.complex64(1)):
        with pytest.raises(TypeError, match=r"LossTracker.update\(\) got 'loss': a"):
            losses.update(loss=wrong)
    assert losses.get_average("loss") == 1.0


def test_unknown_names_wrong_windows_and_arrays_are_refused():
    losses = jm.LossTracker(window=10)
    losses.update(a=1.0)
    with pytest.raises(KeyError, match=r"got 'b'; expected one of \['a'\]"):
        losses.get_average("b")
    assert losses.get_average("a") == 1.0
    with pytest.raises(ValueError, match="window=20; expected 1 to 10"):
        losses.get_average("a", window=20)
    with pytest.raises(TypeError, match=r"'a': a ndarray of shape \(2,\)"):
        losses.update(a=np.ones(2))
    with pytest.raises(ValueError, match="at least 1"):
        jm.LossTracker(window=0)


def test_the_state_can_be_restored():
    losses = jm.LossTracker(window=5)
    for i in range(7):
        losses.update(loss=jnp.float32(i))
    other = jm.LossTracker(window=5)
    other.load_state(jax.tree.map(np.asarray, losses.state()))
    losses.update(loss=7.0)
    assert other.get_average("loss", window=5) == 4.0, "the state is a copy"
    other.update(loss=7.0)
    assert other.get_average("loss", window=5) == 5.0
    with pytest.raises(ValueError, match="expected 6 values"):
        jm.LossTracker(window=6).load_state(losses.state())


def test_the_windows_are_small():
    losses = jm.LossTracker()
    for _ in range(300):
        losses.update(**{f"loss_{i}": 1.0 for i in range(10)})
    assert 0 < losses.nbytes <= 10 * 1024
