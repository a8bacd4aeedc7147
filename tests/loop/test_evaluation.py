"""Padding does not count, and batches of any size give the answer of all rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm


def batch_of(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "logits": rng.normal(size=(rows, 4)).astype(np.float32),
        "labels": rng.integers(0, 4, rows).astype(np.int32),
    }


def collection():
    return jm.Collection(accuracy=jm.Accuracy(), matrix=jm.ConfusionMatrix(4))


def plain_update(state, metrics, batch):
    return metrics.update(**batch)


update = jax.jit(plain_update)


def values_of(batches):
    """The answer for all rows, by NumPy."""
    labels = np.concatenate([b["labels"] for b in batches])
    predicted = np.concatenate([b["logits"] for b in batches]).argmax(-1)
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels, predicted), 1)
    return {"accuracy": np.trace(matrix) / len(labels), "matrix": matrix}


def the_same(values, expected):
    assert values["accuracy"] == expected["accuracy"]
    np.testing.assert_array_equal(values["matrix"], expected["matrix"])


def mesh_of(devices, kind=AxisType.Auto):
    return Mesh(np.array(jax.devices()[:devices]), ("data",), axis_types=(kind,))


# pad_batch


def test_padding_repeats_the_last_row_and_is_masked():
    batch = {"x": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), "n": {"m": [7, 8, 9]}}
    batch["n"] = {"m": np.array([7, 8, 9])}
    padded = jm.pad_batch(batch, 4)
    assert padded["x"].tolist() == [[1, 2], [3, 4], [5, 6], [5, 6]]
    assert padded["n"]["m"].tolist() == [7, 8, 9, 9]
    assert padded["mask"].tolist() == [True, True, True, False]
    assert "mask" not in batch


def test_a_multiple_is_not_padded():
    padded = jm.pad_batch(batch_of(8), 4)
    assert len(padded["labels"]) == 8
    assert padded["mask"].all()


def test_a_mask_of_tokens_is_kept_and_extended():
    mask = np.array([[True, False], [True, True], [False, True]])
    padded = jm.pad_batch({"tokens": np.ones((3, 2)), "mask": mask}, 2)
    assert padded["mask"].tolist() == [*mask.tolist(), [False, False]]


def test_a_batch_of_no_rows_stays_one():
    assert len(jm.pad_batch(batch_of(0), 4)["mask"]) == 0


def test_arrays_of_jax_stay_on_the_device_and_may_be_traced():
    batch = {"x": jnp.arange(3.0)}
    assert isinstance(jm.pad_batch(batch, 2)["x"], jax.Array)
    padded = jax.jit(lambda b: jm.pad_batch(b, 2))(batch)
    assert padded["x"].tolist() == [0, 1, 2, 2]
    assert padded["mask"].tolist() == [True, True, True, False]


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_padding_does_not_count(rows):
    batch = batch_of(rows)
    metrics = update(None, collection(), jm.pad_batch(batch, 8))
    the_same(metrics.compute(), values_of([batch]))


@pytest.mark.parametrize(
    "batch, error, words",
    [
        ([1, 2], TypeError, "a batch of type list, expected a dict"),
        ({"x": np.ones(3), "y": np.ones(2)}, ValueError, r"\{'x': 3, 'y': 2\} rows"),
        ({}, ValueError, "got arrays of no rows"),
        ({"x": np.ones(3), "n": 3}, TypeError, r"'n' as int64\[\].*Leave it out"),
        ({"x": {"y": [1, 2]}}, TypeError, "'x/y/0'.*make arrays of lists"),
        ({"x": np.array(["a", "b"])}, TypeError, r"'x' as <U1\[2\]"),
        ({"x": np.ones(2), "mask": np.ones(2)}, TypeError, "mask of float64.*mask > 0"),
        ({"x": np.ones(2), "mask": {"a": np.ones(2)}}, TypeError, "mask of dict"),
    ],
)
def test_what_has_no_rows_is_refused(batch, error, words):
    with pytest.raises(error, match=words):
        jm.pad_batch(batch, 2)


@pytest.mark.parametrize("multiple", [0, -1, 2.0, True])
def test_a_multiple_is_a_positive_int(multiple):
    with pytest.raises(ValueError, match=f"multiple={multiple!r}"):
        jm.pad_batch(batch_of(3), multiple)


# evaluate_loop


@pytest.mark.parametrize("form", ["alone", "placed", "explicit", "deferred"])
def test_uneven_batches_give_the_answer_of_all_rows(form):
    batches = [batch_of(16, 0), batch_of(16, 1), batch_of(5, 2), batch_of(0, 3)]
    kind = AxisType.Explicit if form == "explicit" else AxisType.Auto
    mesh = None if form == "alone" else mesh_of(8, kind)
    metrics = collection()
    if form == "deferred":
        mesh, metrics = None, metrics.deferred(mesh)
    values = jm.evaluate_loop(update, None, iter(batches), metrics, mesh)
    the_same(values, values_of(batches))


def test_one_program_serves_all_batches():
    traced = []

    def step(state, metrics, batch):
        traced.append(len(batch["mask"]))
        return metrics.update(**batch)

    batches = [batch_of(13, seed) for seed in range(3)] + [batch_of(2, 9)]
    metrics = collection().deferred(mesh_of(8))
    jm.evaluate_loop(jax.jit(step), None, batches, metrics)
    assert traced == [16]


def test_a_larger_batch_makes_the_later_ones_larger():
    sizes = []

    def step(state, metrics, batch):
        sizes.append(len(batch["mask"]))
        return update(state, metrics, batch)

    batches = [batch_of(rows, rows) for rows in (3, 9, 2)]
    values = jm.evaluate_loop(step, None, batches, collection())
    assert sizes == [3, 9, 9]
    the_same(values, values_of(batches))


def test_batches_of_the_devices_come_sharded():
    seen = []

    def step(state, metrics, batch):
        seen.append(batch["labels"].sharding.spec)
        return update(state, metrics, batch)

    devices = np.array(jax.devices()).reshape(4, 2)
    mesh = Mesh(devices, ("data", "model"))
    batches = [{name: jnp.asarray(x) for name, x in batch_of(6).items()}]
    values = jm.evaluate_loop(step, None, batches, collection(), mesh)
    assert seen == [P("data")]
    the_same(values, values_of([batch_of(6)]))


def test_a_mask_of_the_data_holds():
    batch = batch_of(6)
    mask = np.array([True, False, True, True, False, True])
    values = jm.evaluate_loop(
        update, None, [batch | {"mask": mask}], collection(), mesh_of(4)
    )
    the_same(values, values_of([{name: x[mask] for name, x in batch.items()}]))


def test_what_the_metrics_have_seen_is_left_out_and_they_survive_donation():
    step = jax.jit(plain_update, donate_argnums=1)
    padded = jm.pad_batch(batch_of(8, 5), 8)
    metrics = step(None, collection().deferred(mesh_of(8)), padded)
    for _ in range(2):
        values = jm.evaluate_loop(step, None, [batch_of(5)], metrics)
        the_same(values, values_of([batch_of(5)]))
    assert metrics["accuracy"].reduce().plain()["total"] == 8


def test_a_lone_metric_has_its_name():
    values = jm.evaluate_loop(update, None, [batch_of(3)], jm.Accuracy())
    assert values == {"accuracy": values_of([batch_of(3)])["accuracy"]}


def test_the_state_goes_to_the_step():
    def step(state, metrics, batch):
        return metrics.update(values=batch["x"] * state["scale"], mask=batch["mask"])

    batches = [{"x": np.array([1.0, 2.0])}, {"x": np.array([3.0])}]
    values = jm.evaluate_loop(jax.jit(step), {"scale": 2.0}, batches, jm.Mean())
    assert values == {"mean": 4.0}


def test_no_batch_is_nan():
    assert np.isnan(jm.evaluate_loop(update, None, [], collection())["accuracy"])


@pytest.mark.parametrize("compile", [jax.jit, nnx.jit])
def test_a_compiled_step_that_would_count_padding_is_refused(compile):
    def forgetful(state, metrics, batch):
        return metrics.update(logits=batch["logits"], labels=batch["labels"])

    step = compile(forgetful)
    even = [batch_of(4, 0), batch_of(4, 1)]
    the_same(jm.evaluate_loop(step, None, even, collection()), values_of(even))
    with pytest.raises(ValueError, match=r"does not use batch\['mask'\]"):
        jm.evaluate_loop(step, None, [batch_of(4), batch_of(3)], collection())


def test_a_model_of_nnx_is_a_state():
    model = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
    model.kernel.set_value(jnp.eye(4))
    model.bias.set_value(jnp.zeros(4))

    @nnx.jit
    def step(model, metrics, batch):
        return update(None, metrics, batch | {"logits": model(batch["logits"])})

    batches = [batch_of(4, 0), batch_of(3, 1)]
    the_same(jm.evaluate_loop(step, model, batches, collection()), values_of(batches))


def test_a_step_returns_the_metrics():
    with pytest.raises(TypeError, match="returns dict, expected the Collection"):
        jm.evaluate_loop(lambda *_: {}, None, [batch_of(2)], collection())


def test_an_error_of_the_batches_is_theirs():
    def failing():
        yield batch_of(2)
        raise OSError("no such shard")

    with pytest.raises(OSError, match="no such shard"):
        jm.evaluate_loop(update, None, failing(), collection())


def test_one_mesh():
    with pytest.raises(ValueError, match="Leave mesh out"):
        jm.evaluate_loop(
            update, None, [], collection().deferred(mesh_of(8)), mesh_of(4)
        )


def test_a_mesh_says_along_which_axis_rows_are_shared():
    devices = np.array(jax.devices()).reshape(4, 2)
    with pytest.raises(ValueError, match=r"\('rows', 'model'\).*axis=\.\.\."):
        mesh = Mesh(devices, ("rows", "model"))
        jm.evaluate_loop(update, None, [], collection(), mesh)


def test_state_on_the_mesh_and_metrics_of_another_axis():
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("rows", "model"))
    state = jax.device_put(np.float32(3), NamedSharding(mesh, P()))

    def step(state, metrics, batch):
        return metrics.update(values=batch["x"] * state, mask=batch["mask"])

    metrics = jm.Mean().deferred(mesh, "rows")
    batches = [{"x": np.arange(5, dtype=np.float32)}]
    assert jm.evaluate_loop(jax.jit(step), state, batches, metrics) == {"mean": 6.0}
