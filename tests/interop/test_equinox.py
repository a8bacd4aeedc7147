"""Metrics in training loops of equinox."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmetrics as jm
from jaxmetrics import telemetry

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 16, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, (4, 16)).astype(np.int32)


class Classifier(eqx.Module):
    first: eqx.nn.Linear
    second: eqx.nn.Linear

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.first = eqx.nn.Linear(4, 8, key=one)
        self.second = eqx.nn.Linear(8, 3, key=two)

    def __call__(self, x):
        hidden = jnp.tanh(jax.vmap(self.first)(x))
        telemetry.tap("hidden", hidden)
        return jax.vmap(self.second)(hidden)


class Training(eqx.Module):
    """State of a run; metrics are a field like any other."""

    model: Classifier
    opt_state: optax.OptState
    metrics: jm.Collection


def collection():
    return jm.Collection(
        loss=jm.Mean("loss"), accuracy=jm.Accuracy(), hidden=jm.Max("hidden")
    )


@pytest.mark.parametrize("donate", ["none", "all"])
def test_a_collection_in_filter_jit_is_traced_once(donate):
    optimizer = optax.sgd(0.1)
    model = Classifier(jax.random.key(0))
    state = Training(
        model, optimizer.init(eqx.filter(model, eqx.is_array)), collection()
    )
    traces, batch_losses = [], []

    def loss_of(model, x, labels):
        with telemetry.taps() as tapped:
            logits = model(x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), dict(loss=losses, logits=logits, **tapped)

    @eqx.filter_jit(donate=donate)
    def step(state, x, labels):
        traces.append(None)
        grads, outputs = eqx.filter_grad(loss_of, has_aux=True)(state.model, x, labels)
        updates, opt_state = optimizer.update(grads, state.opt_state)
        metrics = state.metrics.update(**outputs, labels=labels)
        model = eqx.apply_updates(state.model, updates)
        return Training(model, opt_state, metrics), outputs["loss"]

    for x, labels in zip(X, LABELS):
        state, losses = step(state, jnp.asarray(x), jnp.asarray(labels))
        batch_losses.append(np.asarray(losses))
    values = state.metrics.compute()
    assert len(traces) == 1
    assert values["loss"] == pytest.approx(np.mean(batch_losses), rel=1e-6)
    assert state.metrics["accuracy"].plain()["total"] == LABELS.size
    assert 0 < values["hidden"] <= 1


def test_equinox_saves_and_loads_the_leaves(tmp_path):
    state = collection().update(
        loss=1.5, logits=X[0][:, :3], labels=LABELS[0], hidden=X[0]
    )
    eqx.tree_serialise_leaves(tmp_path / "metrics.eqx", state)
    template = jax.tree.map(jnp.asarray, collection())
    restored = eqx.tree_deserialise_leaves(tmp_path / "metrics.eqx", template)
    assert restored.compute() == state.compute()
