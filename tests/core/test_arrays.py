"""Arrays on devices are told from other values, and deleted ones from live ones."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import is_deleted, is_on_device, is_ready


def test_only_concrete_jax_arrays_are_on_a_device():
    assert is_on_device(jnp.ones(2))
    assert not is_on_device(np.ones(2)) and not is_on_device(1.0)

    @jax.jit
    def traced(x):
        assert not is_on_device(x)
        return x

    traced(jnp.ones(2))


def test_a_deleted_array_is_deleted_and_ready():
    x = jnp.ones(2)
    assert not is_deleted(x)
    x.delete()
    assert is_deleted(x) and is_ready(x)


def test_other_values_are_never_deleted_and_always_ready():
    for value in (1, 2.0, None, np.ones(2), np.float32(3)):
        assert not is_deleted(value) and is_ready(value)


def test_a_traced_array_is_not_deleted():
    @jax.jit
    def traced(x):
        assert not is_deleted(x)
        return x

    traced(jnp.ones(2))


def test_an_unfinished_array_is_not_ready():
    class Unfinished:
        def is_ready(self):
            return False

        def is_deleted(self):
            return False

    assert not is_ready(Unfinished())
