"""Metrics restored by orbax have the same bits, or are folded onto other devices."""

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


def test_the_same_devices_restore_the_same_bits(tmp_path):
    state = deferred(8)
    save(tmp_path, state)
    restored = load(tmp_path, collection().deferred(mesh_of(8)))
    for name, value in jm.state_dict(state).items():
        np.testing.assert_array_equal(
            jm.state_dict(restored)[name], value, err_msg=name
        )
    assert restored.state["loss"].total.sharding == state.state["loss"].total.sharding


@pytest.mark.parametrize("devices", [4, 1])
def test_fewer_devices_fold_the_shards(tmp_path, devices):
    state = deferred(8)
    save(tmp_path, state)
    restored = load(tmp_path, collection().deferred(mesh_of(devices)))
    assert restored.shards == devices
    expected = values(state)
    for name, value in values(restored).items():
        exact = name in ("accuracy", "matrix", "largest", "last")
        np.testing.assert_allclose(
            value, expected[name], rtol=0 if exact else 1e-12, err_msg=name
        )


def test_a_deferred_state_is_restored_as_a_plain_total_and_back(tmp_path):
    state = deferred(8)
    save(tmp_path / "a", state)
    plain = load(tmp_path / "a", collection())
    save(tmp_path / "b", plain)
    deferred_again = load(tmp_path / "b", collection().deferred(mesh_of(8)))
    for restored in (plain, deferred_again):
        np.testing.assert_array_equal(
            restored.compute()["matrix"], values(state)["matrix"]
        )


def test_an_added_metric_starts_empty(tmp_path):
    save(tmp_path, deferred(8, metrics=jm.Collection(loss=jm.Mean("loss"))))
    restored = load(tmp_path, collection().deferred(mesh_of(8)))
    assert restored["accuracy"].reduce().plain()["total"] == 0
    assert restored["loss"].reduce().plain()["count"] == 96


def test_a_removed_metric_is_left_out_with_a_warning(tmp_path, caplog):
    save(tmp_path, deferred(8))
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        restored = load(tmp_path, jm.Collection(loss=jm.Mean("loss")))
    assert restored.compute()["loss"] == values(deferred(8))["loss"]
    assert "metrics/accuracy was saved, but the template lacks it" in caplog.text


def test_another_configuration_is_refused_with_both_in_the_error(tmp_path):
    save(tmp_path, jm.Collection(top=jm.TopKAccuracy(k=3)))
    with pytest.raises(ValueError, match=r"TopKAccuracy\(k=3\).*TopKAccuracy\(k=2\)"):
        load(tmp_path, jm.Collection(top=jm.TopKAccuracy(k=2)))


def test_another_shape_is_refused(tmp_path):
    save(tmp_path, jm.Collection(matrix=jm.ConfusionMatrix(4)))
    with pytest.raises(ValueError, match=r"\[2, 4, 4\].*\[2, 5, 5\]"):
        load(tmp_path, jm.Collection(matrix=jm.ConfusionMatrix(5)))


def test_a_missing_step_is_refused_by_number(tmp_path):
    save(tmp_path, collection())
    with pytest.raises(FileNotFoundError, match="got step 8"):
        load(tmp_path, collection(), step=8)


def test_a_name_that_was_not_saved_is_refused(tmp_path):
    save(tmp_path, collection(), name="other")
    with pytest.raises(KeyError, match="'metrics'.*'other'"):
        load(tmp_path, collection())


def test_any_pytree_of_arrays_is_restored(tmp_path):
    tree = {"w": np.arange(6.0).reshape(2, 3), "n": np.int32(3)}
    save(tmp_path, tree)
    restored = load(tmp_path, {"w": np.zeros((2, 3)), "n": np.int32(0)})
    np.testing.assert_array_equal(restored["w"], tree["w"])
    assert restored["n"] == 3


def test_random_keys_arrays_without_elements_and_numbers_are_restored(tmp_path):
    tree = {
        "key": jax.random.split(jax.random.key(3, impl="rbg"), 2),
        "none": np.zeros((0, 3), np.float32),
        "step": 7,
        "rate": 0.5,
        "small": jax.numpy.ones(2, jax.numpy.bfloat16),
    }
    template = {**jax.tree.map(lambda x: x * 0, {**tree, "key": 0}), "added": 2.5}
    template["key"] = jax.random.split(jax.random.key(0, impl="rbg"), 2)
    template["new"] = jax.numpy.arange(3)
    save(tmp_path, tree)
    restored = load(tmp_path, template)
    drawn = (jax.random.normal(each["key"][1], 3) for each in (tree, restored))
    np.testing.assert_array_equal(*drawn)
    assert (restored["step"], restored["rate"], restored["added"]) == (7, 0.5, 2.5)
    assert restored["none"].shape == (0, 3)
    assert restored["small"].tolist() == [1.0, 1.0]
    assert restored["new"].tolist() == [0, 1, 2]  # as in the template


def test_a_checkpoint_of_something_else_is_refused_by_step(tmp_path):
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(7, args=ocp.args.StandardSave({"w": np.zeros(2)}))
        manager.wait_until_finished()
    with pytest.raises(KeyError, match="step 7, which was not saved with checkpoint"):
        load(tmp_path, collection())


def difference(a, b):
    return a - b


def test_a_composed_metric_is_restored(tmp_path):
    metric = jm.Compose(difference, a=jm.Max("loss"), b=jm.Min("loss"))
    state = metric.update(loss=[1.0, 4.0])
    save(tmp_path, state)
    assert load(tmp_path, metric).compute() == 3.0


def test_orbax_calls_of_the_user_restore_a_collection(tmp_path):
    state = collection().update(**batch(0))
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(1, args=ocp.args.StandardSave(state))
        manager.wait_until_finished()
        restored = manager.restore(1, args=ocp.args.StandardRestore(collection()))
    for name, value in jm.state_dict(state).items():
        np.testing.assert_array_equal(
            jm.state_dict(restored)[name], value, err_msg=name
        )
