"""A model of 12 layers with a NaN in layer 7, its values tapped."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.telemetry import tap, taps

LAYERS = 12
WEIGHTS = np.random.default_rng(0).normal(size=(LAYERS, 4, 4)).astype(np.float32)
BROKEN = WEIGHTS.copy()
BROKEN[7, 0, 0] = np.nan
X = np.ones((2, 4), np.float32)


def layer(x, w):
    hidden = tap("hidden", x @ w)
    return tap("out", jnp.tanh(hidden))


def unrolled(weights):
    def forward(weights):
        x = X
        tapped = {}
        for i, w in enumerate(weights):
            with taps() as values:
                x = layer(x, w)
            tapped[f"layer_{i}"] = values
        return x.sum(), tapped

    (loss, tapped), grads = jax.value_and_grad(forward, has_aux=True)(weights)
    return {"forward": tapped, "loss": loss, "grads": grads}, ()


def scanned(weights):
    def body(x, w):
        with taps() as values:
            x = layer(x, w)
        return x, values

    def forward(weights):
        x, tapped = lax.scan(body, X, weights)
        return x.sum(), tapped

    (loss, tapped), grads = jax.value_and_grad(forward, has_aux=True)(weights)
    return {"layers": tapped, "loss": loss, "grads": grads}, "layers/**"
