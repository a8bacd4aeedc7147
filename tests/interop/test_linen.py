"""Train states of linen carry metrics, and flax serializes them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import serialization
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.interop.linen import TrainState, serializable

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 16, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, (4, 16)).astype(np.int32)
MODEL = nn.Dense(3)


def collection():
    return jm.Collection(loss=jm.Mean("loss"), accuracy=jm.Accuracy())


def start(metrics, cls=TrainState, **fields):
    params = MODEL.init(jax.random.key(0), X[0])["params"]
    return cls.create(
        apply_fn=MODEL.apply,
        params=params,
        tx=optax.adam(0.1),
        metrics=metrics,
        **fields,
    )


def step(state, x, labels):
    def loss_of(params):
        logits = state.apply_fn({"params": params}, x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), (losses, logits)

    grads, (losses, logits) = jax.grad(loss_of, has_aux=True)(state.params)
    state = state.apply_gradients(grads=grads)
    return state.update_metrics(loss=losses, logits=logits, labels=labels)


def train(state):
    """Return the last state and the number of traces of a step with donation."""
    traces = []

    def counted(*args):
        traces.append(None)
        return step(*args)

    donated = jax.jit(counted, donate_argnums=0)
    for x, labels in zip(X, LABELS):
        state = donated(state, x, labels)
    return state, len(traces)


def test_metrics_in_a_train_state_are_donated_and_traced_once():
    state, traces = train(start(collection()))
    assert traces == 1 and state.step == len(X)
    assert state.metrics["accuracy"].plain()["total"] == LABELS.size
    assert 0 < state.metrics.compute()["loss"] < 3
    assert np.isnan(state.reset_metrics().metrics.compute()["loss"])


def test_a_train_state_carries_deferred_metrics():
    mesh = Mesh(np.array(jax.devices()), ("data",))
    state = start(collection().deferred(mesh))
    rows = NamedSharding(mesh, P("data"))
    donated = jax.jit(step, donate_argnums=0)
    for x, labels in zip(X, LABELS):
        state = donated(state, *jax.device_put((x, labels), rows))
    single, _ = train(start(collection()))
    values, expected = state.metrics.compute(), single.metrics.compute()
    assert values["accuracy"] == expected["accuracy"]
    assert values["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    reset = state.reset_metrics().metrics
    assert (
        reset.state["loss"].total.sharding == state.metrics.state["loss"].total.sharding
    )


class WithStatistics(TrainState):
    batch_stats: jax.Array


def test_a_subclass_of_the_train_state_carries_metrics():
    state, traces = train(start(jm.Mean("loss"), WithStatistics, batch_stats=X[0]))
    assert traces == 1
    restored = serialization.from_bytes(
        start(jm.Mean("loss"), WithStatistics, batch_stats=X[1]),
        serialization.to_bytes(state),
    )
    assert restored.metrics.compute() == state.metrics.compute()
    np.testing.assert_array_equal(restored.batch_stats, X[0])


def test_orbax_saves_and_restores_the_whole_state(tmp_path):
    import orbax.checkpoint as ocp

    state, _ = train(start(collection()))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "saved", state)
        checkpointer.wait_until_finished()
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
        restored = checkpointer.restore(tmp_path / "saved", target)
    assert restored.metrics.compute() == state.metrics.compute()
    assert restored.step == state.step


@pytest.mark.parametrize("metrics", [None, dict(loss=jm.Mean("loss"))])
def test_what_is_no_metric_is_refused_and_keeps_its_own_bytes(metrics):
    name = type(metrics).__name__
    with pytest.raises(TypeError, match=rf"TrainState.create\(\) got {name}"):
        start(metrics)
    with pytest.raises(TypeError, match=rf"serializable\(\) got {name}"):
        serializable(type(metrics))
    assert serialization.to_state_dict({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("make", [collection, lambda: jm.Mean("loss")])
def test_flax_bytes_restore_the_metrics(make):
    state, _ = train(start(make()))
    restored = serialization.from_bytes(start(make()), serialization.to_bytes(state))
    assert restored.metrics.compute() == state.metrics.compute()
    assert step(restored, X[0], LABELS[0]).metrics.compute()


def test_flax_bytes_of_deferred_metrics_fold_onto_other_devices():
    devices = np.array(jax.devices())
    wide = Mesh(devices, ("data",))
    metrics = collection().deferred(wide)
    metrics = metrics.update(loss=X[0][:, 0], logits=X[0][:, :3], labels=LABELS[0])
    saved = serialization.to_bytes(metrics)
    for template in (
        metrics.empty(),
        collection().deferred(Mesh(devices[:2], ("data",))),
    ):
        restored = serialization.from_bytes(template, saved)
        assert restored.shards == template.shards
        assert restored.compute()["accuracy"] == metrics.compute()["accuracy"]


def test_flax_bytes_of_another_configuration_are_an_error():
    saved = serialization.to_bytes(jm.TopKAccuracy(k=2))
    with pytest.raises(ValueError, match="k=2"):
        serialization.from_bytes(jm.TopKAccuracy(k=1), saved)


def test_a_metric_added_since_starts_empty():
    saved = serialization.to_bytes(jm.Collection(loss=jm.Mean("loss")))
    restored = serialization.from_bytes(collection(), saved)
    assert restored["accuracy"].plain()["total"] == 0


def test_the_paths_of_the_state_are_names_of_leaves():
    state = start(collection())
    paths = jax.tree_util.tree_flatten_with_path(state.metrics)[0]
    assert "loss/total" in {
        jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths
    }
    assert jnp.shape(state.step) == ()
