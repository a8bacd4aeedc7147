"""A small training state: parameters, gradients, and optimizers after some updates."""

import jax
import jax.numpy as jnp
import optax

PARAMS = {"body": {"w": jnp.ones((4, 4))}, "head": {"w": jnp.full(8, 2.0)}}
GRADS = jax.tree.map(lambda x: 0.5 * x, PARAMS)
LABELS = {"body": "slow", "head": "fast"}


def injected(rate, make=optax.sgd):
    return optax.inject_hyperparams(make)(learning_rate=rate)


def updated(tx, times=1):
    """Return the state after updates in jit, none of which changes its structure."""
    state, update = tx.init(PARAMS), jax.jit(tx.update)
    before = jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), state)
    for _ in range(times):
        _, state = update(GRADS, state, PARAMS)
        assert before == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    return state
