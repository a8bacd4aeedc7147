"""States come back from orbax bit for bit, or folded onto other devices."""

import logging

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import Mesh

import jaxmetrics as jm
from jaxmetrics import checkpoint


def collection():
    return jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        matrix=jm.ConfusionMatrix(4),
        largest=jm.Max("loss"),
        last=jm.Last("loss"),
        spread=jm.Std("loss"),
        perplexity=jm.Perplexity(),
    )


def batch(seed, n=32):
    rng = np.random.default_rng(seed)
    return dict(
        loss=rng.normal(5, 1, n).astype(np.float32),
        logits=rng.normal(size=(n, 4)).astype(np.float32),
        labels=rng.integers(0, 4, n).astype(np.int32),
    )


def mesh_of(n):
    return Mesh(np.array(jax.devices()[:n]), ("data",))


def deferred(n, steps=3, metrics=None):
    state = (metrics or collection()).deferred(mesh_of(n))
    for step in range(steps):
        state = jax.jit(lambda m, b: m.update(**b))(state, batch(step))
    return state


def save(path, tree, name="metrics"):
    with ocp.CheckpointManager(path) as manager:
        args = checkpoint.args(None, **{name: tree})
        manager.save(7, args=ocp.args.Composite(jaxmetrics=args))
        manager.wait_until_finished()


def load(path, template, step=7):
    with ocp.CheckpointManager(path) as manager:
        return checkpoint.restore(manager, step, None, metrics=template)["metrics"]


def values(metrics):
    return {k: np.asarray(v) for k, v in metrics.compute().items()}


def test_same_devices_give_the_same_bits(tmp_path):
    state = deferred(8)
    save(tmp_path, state)
    back = load(tmp_path, collection().deferred(mesh_of(8)))
    for name, value in jm.state_dict(state).items():
        np.testing.assert_array_equal(jm.state_dict(back)[name], value, err_msg=name)
    assert back.state["loss"].total.sharding == state.state["loss"].total.sharding


@pytest.mark.parametrize("devices", [4, 1])
def test_fewer_devices_fold_the_shards(tmp_path, devices):
    state = deferred(8)
    save(tmp_path, state)
    back = load(tmp_path, collection().deferred(mesh_of(devices)))
    assert back.shards == devices
    expected = values(state)
    for name, value in values(back).items():
        exact = name in ("accuracy", "matrix", "largest", "last")
        np.testing.assert_allclose(
            value, expected[name], rtol=0 if exact else 1e-12, err_msg=name
        )


def test_deferred_states_come_back_as_a_plain_total_and_the_other_way(tmp_path):
    state = deferred(8)
    save(tmp_path / "a", state)
    plain = load(tmp_path / "a", collection())
    save(tmp_path / "b", plain)
    again = load(tmp_path / "b", collection().deferred(mesh_of(8)))
    for back in (plain, again):
        np.testing.assert_array_equal(back.compute()["matrix"], values(state)["matrix"])


def test_an_added_metric_starts_empty(tmp_path):
    save(tmp_path, deferred(8, metrics=jm.Collection(loss=jm.Mean("loss"))))
    back = load(tmp_path, collection().deferred(mesh_of(8)))
    assert back["accuracy"].reduce().plain()["total"] == 0
    assert back["loss"].reduce().plain()["count"] == 96


def test_a_removed_metric_is_left_out_with_a_notice(tmp_path, caplog):
    save(tmp_path, deferred(8))
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        back = load(tmp_path, jm.Collection(loss=jm.Mean("loss")))
    assert back.compute()["loss"] == values(deferred(8))["loss"]
    assert "metrics/accuracy is no longer there" in caplog.text


def test_another_configuration_is_an_error_that_names_both(tmp_path):
    save(tmp_path, jm.Collection(top=jm.TopKAccuracy(k=3)))
    with pytest.raises(ValueError, match=r"TopKAccuracy\(k=3\).*TopKAccuracy\(k=2\)"):
        load(tmp_path, jm.Collection(top=jm.TopKAccuracy(k=2)))


def test_another_shape_is_an_error(tmp_path):
    save(tmp_path, jm.Collection(matrix=jm.ConfusionMatrix(4)))
    with pytest.raises(ValueError, match=r"\[2, 4, 4\].*\[2, 5, 5\]"):
        load(tmp_path, jm.Collection(matrix=jm.ConfusionMatrix(5)))


def test_a_step_that_is_not_there_is_named(tmp_path):
    save(tmp_path, collection())
    with pytest.raises(FileNotFoundError, match="no step 8"):
        load(tmp_path, collection(), step=8)


def test_a_name_that_was_not_saved_is_an_error(tmp_path):
    save(tmp_path, collection(), name="other")
    with pytest.raises(KeyError, match="'metrics'.*'other'"):
        load(tmp_path, collection())


def test_any_tree_of_arrays_comes_back(tmp_path):
    tree = {"w": np.arange(6.0).reshape(2, 3), "n": np.int32(3)}
    save(tmp_path, tree)
    back = load(tmp_path, {"w": np.zeros((2, 3)), "n": np.int32(0)})
    np.testing.assert_array_equal(back["w"], tree["w"])
    assert back["n"] == 3


def difference(a, b):
    return a - b


def test_a_composed_metric_comes_back(tmp_path):
    metric = jm.Compose(difference, a=jm.Max("loss"), b=jm.Min("loss"))
    state = metric.update(loss=[1.0, 4.0])
    save(tmp_path, state)
    assert load(tmp_path, metric).compute() == 3.0


def test_the_users_own_orbax_calls_restore_a_collection(tmp_path):
    state = collection().update(**batch(0))
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(1, args=ocp.args.StandardSave(state))
        manager.wait_until_finished()
        back = manager.restore(1, args=ocp.args.StandardRestore(collection()))
    for name, value in jm.state_dict(state).items():
        np.testing.assert_array_equal(jm.state_dict(back)[name], value, err_msg=name)
