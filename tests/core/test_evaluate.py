"""Snapshots of states on their way to the host."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.core import _evaluate, snapshot

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(16, 12, 8)).astype(np.float32)
LABELS = RNG.integers(0, 8, (16, 12)).astype(np.int32)
LOSS = RNG.normal(2, 1, (16, 12)).astype(np.float32)


def mesh_of(shape, names, explicit=False):
    kind = AxisType.Explicit if explicit else AxisType.Auto
    devices = np.array(jax.devices()).reshape(shape)
    return Mesh(devices, names, axis_types=(kind,) * len(names))


def metrics():
    return jm.Collection(
        accuracy=jm.TokenAccuracy(), loss=jm.Mean("loss"), n=jm.Count()
    )


def outputs(mesh, spec):
    sharding = NamedSharding(mesh, spec)
    values = dict(logits=LOGITS, labels=LABELS, loss=LOSS, values=LOSS)
    return {name: jax.device_put(x, sharding) for name, x in values.items()}


def expected():
    outputs = dict(logits=LOGITS, labels=LABELS, loss=LOSS, values=LOSS)
    return metrics().update(**outputs).compute()


def test_snapshot_survives_donation_of_the_state():
    mesh = mesh_of((8,), ("data",))
    for state in (metrics().deferred(mesh), metrics().place(mesh), metrics()):
        step = jax.jit(lambda m, b: m.update(**b), donate_argnums=0)
        batch = outputs(mesh, P("data"))
        state = step(state, batch)
        taken = snapshot(state)
        step(state, batch)
        values = taken.compute()
        assert values["accuracy"] == expected()["accuracy"]
        assert values["n"] == LOSS.size


@pytest.mark.parametrize(
    "kinds",
    [
        {"n": jm.Count()},
        {"top": jm.Max("loss")},
        {"loss": jm.Mean("loss"), "top": jm.Max("loss"), "n": jm.Count()},
        {"last": jm.Last("loss")},
    ],
    ids=str,
)
def test_marks_of_all_shards_ride_in_a_collective_that_takes_place_anyway(kinds):
    mesh = mesh_of((4, 2), ("data", "model"))
    state = jm.Collection(**kinds).deferred(mesh)
    state = state.update(**outputs(mesh, P("data")))
    marks = np.zeros((4, 3, 2), np.uint32)  # shards 0, 1 and 3 are those of processes
    marks[[0, 1, 3], [0, 1, 2]] = [[7, 2**32 - 1], [0, 1], [5, 6]]
    placed = jax.device_put(marks, NamedSharding(mesh, P("data")))
    taken, plain = snapshot(state, placed), snapshot(state)
    assert taken.marks().tolist() == [[7, 2**32 - 1], [0, 1], [5, 6]]
    jax.tree.map(np.testing.assert_array_equal, taken.metrics(), plain.metrics())
    assert plain.marks().size == 0
    texts = [
        _evaluate._words.lower(state, x).compile().as_text() for x in (None, placed)
    ]
    without, beside = [len(re.findall(r" all-reduce(?:-start)?\(", t)) for t in texts]
    assert 1 <= beside == without


def test_a_snapshot_of_a_single_metric_is_named_by_its_output_or_class():
    assert list(snapshot(jm.Mean("loss")).compute()) == ["loss"]
    assert list(snapshot(jm.TokenAccuracy()).compute()) == ["token_accuracy"]
    assert jnp.isnan(snapshot(jm.R2()).compute()["r2"])


def test_a_record_has_the_largest_error_of_an_estimate_beside_it():
    """The area of overlapping classes is known up to the order within a bin."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    logits = (rng.normal(size=400) + labels).astype(np.float32)
    metrics = jm.Collection(auroc=jm.AUROC(bins=16), mean=jm.Mean("logits"))
    state = metrics.update(logits=logits, labels=labels)
    record = snapshot(state).record("val")
    low, high = state["auroc"].bounds()
    value = record["auroc"]
    expected = max(high - value, value - low)
    assert record["auroc_error_bound"] == pytest.approx(expected) and expected > 1e-3
    assert "mean_error_bound" not in record
    assert list(state.compute()) == ["auroc", "mean"]  # only records have it
    assert "auroc_error_bound" in snapshot(state["auroc"]).record("val")
    assert list(snapshot(metrics).record("val")) == ["auroc", "mean"]  # nan: no data


def test_a_value_in_a_mapping_has_its_error_bound_beside_it():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    logits = (rng.normal(size=200) + labels).astype(np.float32)
    point = jm.PrecisionAtRecall(bins=16, recall=0.5)
    state = jm.Collection(point=point).update(logits=logits, labels=labels)
    record = snapshot(state).record("val")
    (_, high), value = state["point"].bounds(), record["point/precision"]
    expected = high["precision"] - value
    assert record["point/precision_error_bound"] == pytest.approx(expected)
    assert expected > 1e-3 and "point/threshold_error_bound" not in record


def test_the_error_bound_is_logged_and_continues_in_a_restored_run(tmp_path):
    metric = jm.Collection(auroc=jm.AUROC(bins=16))
    rng = np.random.default_rng(0)
    outputs = dict(
        logits=rng.normal(size=100).astype(np.float32), labels=rng.integers(0, 2, 100)
    )
    state = metric.update(**outputs)
    for step in (1, 2):  # the second logger continues the first one's run
        with jm.TrainingLogger("p", "r", root=tmp_path, console=False) as logger:
            logger.log_step(step, metrics=state, split="val")
    run = jm.Run.load(tmp_path / "p" / "r")
    steps, errors = run["val/auroc_error_bound"]
    assert list(steps) == [1, 2] and errors[0] == errors[1] > 0


def test_what_is_no_metric_is_refused():
    deferred = jm.Mean("x").deferred(jax.make_mesh((8,), ("data",)))
    for wrong, message in (
        (deferred, "got a deferred state"),
        ({"a": jm.Mean("x")}, r"Pass jm.Collection\(\{...\}\)"),
        ("accuracy", "metric is 'accuracy', not a metric"),
    ):
        with pytest.raises(TypeError, match=message):
            jm.evaluate(wrong, x=[1.0])
    with pytest.raises(TypeError, match=r"Put the metric into Masked\(...\)"):
        jm.Masked(deferred)
    with pytest.raises(TypeError, match="Masked: metric is .* not a metric. Pass jm.C"):
        jm.Masked({"a": jm.Mean("x")})
