"""Values over batches of any size equal those over all rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.batches import (
    assert_same,
    batch_of,
    collection,
    plain_update,
    update,
    values_of,
)

import jaxmetrics as jm


def mesh_of(devices, kind=AxisType.Auto):
    return Mesh(np.array(jax.devices()[:devices]), ("data",), axis_types=(kind,))


@pytest.mark.parametrize("form", ["unplaced", "placed", "explicit", "deferred"])
def test_uneven_batches_give_the_values_of_all_rows(form):
    batches = [batch_of(16, 0), batch_of(16, 1), batch_of(5, 2), batch_of(0, 3)]
    kind = AxisType.Explicit if form == "explicit" else AxisType.Auto
    mesh = None if form == "unplaced" else mesh_of(8, kind)
    metrics = collection()
    if form == "deferred":
        mesh, metrics = None, metrics.deferred(mesh)
    values = jm.evaluate_loop(update, None, iter(batches), metrics, mesh)
    assert_same(values, values_of(batches))


def test_the_step_compiles_once_for_all_batches():
    traced = []

    def step(state, metrics, batch):
        traced.append(len(batch["mask"]))
        return metrics.update(**batch)

    batches = [batch_of(13, seed) for seed in range(3)] + [batch_of(2, 9)]
    metrics = collection().deferred(mesh_of(8))
    jm.evaluate_loop(jax.jit(step), None, batches, metrics)
    assert traced == [16]


def test_later_batches_are_padded_to_the_largest_so_far():
    sizes = []

    def step(state, metrics, batch):
        sizes.append(len(batch["mask"]))
        return update(state, metrics, batch)

    batches = [batch_of(rows, rows) for rows in (3, 9, 2)]
    values = jm.evaluate_loop(step, None, batches, collection())
    assert sizes == [3, 9, 9]
    assert_same(values, values_of(batches))


def test_batches_are_sharded_over_the_data_axis():
    specs = []

    def step(state, metrics, batch):
        specs.append(batch["labels"].sharding.spec)
        return update(state, metrics, batch)

    devices = np.array(jax.devices()).reshape(4, 2)
    mesh = Mesh(devices, ("data", "model"))
    batches = [{name: jnp.asarray(x) for name, x in batch_of(6).items()}]
    values = jm.evaluate_loop(step, None, batches, collection(), mesh)
    assert specs == [P("data")]
    assert_same(values, values_of([batch_of(6)]))


def test_a_mask_in_the_batch_is_applied():
    batch = batch_of(6)
    mask = np.array([True, False, True, True, False, True])
    values = jm.evaluate_loop(
        update, None, [batch | {"mask": mask}], collection(), mesh_of(4)
    )
    assert_same(values, values_of([{name: x[mask] for name, x in batch.items()}]))


def test_the_state_of_the_metrics_is_ignored_and_survives_donation():
    step = jax.jit(plain_update, donate_argnums=1)
    padded = jm.pad_batch(batch_of(8, 5), 8)
    metrics = step(None, collection().deferred(mesh_of(8)), padded)
    for _ in range(2):
        values = jm.evaluate_loop(step, None, [batch_of(5)], metrics)
        assert_same(values, values_of([batch_of(5)]))
    assert metrics["accuracy"].reduce().plain()["total"] == 8


def test_a_single_metric_is_named_after_its_class():
    values = jm.evaluate_loop(update, None, [batch_of(3)], jm.Accuracy())
    assert values == {"accuracy": values_of([batch_of(3)])["accuracy"]}
    values = jm.evaluate_loop(update, None, [batch_of(3)], {"top": jm.Accuracy()})
    assert values == {"top": values_of([batch_of(3)])["accuracy"]}
    with pytest.raises(TypeError, match="got metrics of type list; expected a Metric"):
        jm.evaluate_loop(update, None, [batch_of(3)], [jm.Accuracy()])


def test_the_state_is_passed_to_the_step():
    def step(state, metrics, batch):
        return metrics.update(values=batch["x"] * state["scale"], mask=batch["mask"])

    batches = [{"x": np.array([1.0, 2.0])}, {"x": np.array([3.0])}]
    values = jm.evaluate_loop(jax.jit(step), {"scale": 2.0}, batches, jm.Mean())
    assert values == {"mean": 4.0}


def test_the_value_without_batches_is_nan():
    assert np.isnan(jm.evaluate_loop(update, None, [], collection())["accuracy"])


@pytest.mark.parametrize("compile", [jax.jit, nnx.jit])
def test_a_compiled_step_that_would_count_padding_is_refused(compile):
    def without_mask(state, metrics, batch):
        return metrics.update(logits=batch["logits"], labels=batch["labels"])

    step = compile(without_mask)
    even = [batch_of(4, 0), batch_of(4, 1)]
    assert_same(jm.evaluate_loop(step, None, even, collection()), values_of(even))
    with pytest.raises(ValueError, match=r"does not use batch\['mask'\]"):
        jm.evaluate_loop(step, None, [batch_of(4), batch_of(3)], collection())


def test_an_nnx_model_may_be_the_state():
    model = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
    model.kernel.set_value(jnp.eye(4))
    model.bias.set_value(jnp.zeros(4))

    @nnx.jit
    def step(model, metrics, batch):
        return update(None, metrics, batch | {"logits": model(batch["logits"])})

    batches = [batch_of(4, 0), batch_of(3, 1)]
    assert_same(
        jm.evaluate_loop(step, model, batches, collection()), values_of(batches)
    )


def test_a_step_that_does_not_return_metrics_is_refused():
    with pytest.raises(
        TypeError, match="returns dict, expected the updated Collection"
    ):
        jm.evaluate_loop(lambda *_: {}, None, [batch_of(2)], collection())


def test_an_error_of_the_batches_is_raised_unchanged():
    def failing():
        yield batch_of(2)
        raise OSError("no such shard")

    with pytest.raises(OSError, match="no such shard"):
        jm.evaluate_loop(update, None, failing(), collection())


@pytest.mark.parametrize("form", ["plain", "deferred"])
def test_an_evaluation_that_ends_half_way_leaves_training_and_the_next_one_right(form):
    batches = [batch_of(16, seed) for seed in range(3)]
    metrics = collection() if form == "plain" else collection().deferred(mesh_of(8))
    step = jax.jit(update, donate_argnums=1)

    def lost():
        yield batches[0]
        raise OSError("the data are lost")

    training = metrics.update(**batches[0])
    with pytest.raises(OSError, match="the data are lost"):
        jm.evaluate_loop(step, None, lost(), training)
    training = training.update(**batches[1])
    values = jm.evaluate_loop(step, None, batches, training)
    assert_same(values, values_of(batches))
    assert_same(training.compute(), values_of(batches[:2]))


def test_another_mesh_than_that_of_deferred_metrics_is_refused():
    with pytest.raises(ValueError, match="Leave mesh out"):
        jm.evaluate_loop(
            update, None, [], collection().deferred(mesh_of(8)), mesh_of(4)
        )


def test_a_mesh_without_a_data_axis_is_refused():
    devices = np.array(jax.devices()).reshape(4, 2)
    with pytest.raises(ValueError, match=r"\('rows', 'model'\).*axis=\.\.\."):
        mesh = Mesh(devices, ("rows", "model"))
        jm.evaluate_loop(update, None, [], collection(), mesh)


def test_metrics_may_be_deferred_along_another_axis():
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("rows", "model"))
    state = jax.device_put(np.float32(3), NamedSharding(mesh, P()))

    def step(state, metrics, batch):
        return metrics.update(values=batch["x"] * state, mask=batch["mask"])

    metrics = jm.Mean().deferred(mesh, "rows")
    batches = [{"x": np.arange(5, dtype=np.float32)}]
    assert jm.evaluate_loop(jax.jit(step), state, batches, metrics) == {"mean": 6.0}


@pytest.mark.parametrize("form", ["unplaced", "deferred"])
def test_metrics_can_be_logged_with_arrays_and_invalid_rows(form):
    metrics = jm.Collection(cells=jm.ConfusionMatrix(classes=2), right=jm.Accuracy())
    if form == "deferred":
        metrics = metrics.deferred(mesh_of(8))
    logits = np.array([[2.0, 1.0], [0.0, 1.0], [np.nan, 0.0]], np.float32)
    batches = [
        {"logits": logits, "labels": np.array([0, 0, 1])},
        {"logits": logits[:1], "labels": np.array([0])},
    ]
    metrics = jm.evaluate_loop(plain_update, None, batches, metrics, compute=False)
    memory = jm.writers.Memory()
    with jm.TrainingLogger(root=None, console=False, writers=[memory]) as logger:
        logger.log_step(1, metrics, split="val")
    (record,) = memory.records
    assert record.arrays["val/cells"] == [[2, 1], [0, 0]]
    assert record.values["val/right"] == pytest.approx(2 / 3)
    assert record.values["health/invalid/val/right"] == 1
