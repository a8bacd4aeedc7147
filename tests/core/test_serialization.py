"""Metrics in exported programs, in flax's bytes, and pickled in deferred form."""

import copy
import functools
import json
import pickle
import subprocess
import sys

import cases
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.laws import bits, draw

import jaxmetrics as jm
from jaxmetrics.core import _serialization
from jaxmetrics.core._static import static_bytes, static_of_bytes

pytestmark = pytest.mark.sampled(9)


ROWS = 16


def mesh_of(devices=8):
    return Mesh(np.array(jax.devices()[:devices]), ("data",))


def exported_step(metric, outputs, rows):
    """Export a step for outputs with a leading axis of `rows`; through bytes."""
    shapes = {
        name: jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype)
        for name, x in outputs.items()
    }
    step = jax.jit(lambda metric, outputs: metric.update(**outputs))
    return export.deserialize(export.export(step)(metric, shapes).serialize())


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_a_step_is_exported_for_any_number_of_rows(case):
    (rows,) = export.symbolic_shape("rows")
    step = exported_step(case.metric, draw(case, ROWS), rows)
    assert step.out_tree == jax.tree.structure(case.metric)


@pytest.mark.parametrize(
    "metric",
    [
        jm.Mean("values", weighted=True),
        jm.ExpectedCalibrationError(),
        jm.AUROC(classes=3, bins=64),
        jm.Reservoir("values", capacity=16),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_an_exported_step_counts_any_number_of_rows(metric):
    (rows,) = export.symbolic_shape("rows")
    read = metric.reads()
    step = exported_step(metric, read.select(batch_of(2)), rows)
    for number in (1, 37, 5000):
        outputs = read.select(batch_of(number))
        state, expected = step.call(metric, outputs), metric.update(**outputs)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-6),
            state.compute(),
            expected.compute(),
        )


def batch_of(rows):
    rng = np.random.default_rng(rows)
    return dict(
        logits=rng.normal(0, 2, (rows, 3)).astype(np.float32),
        labels=rng.integers(0, 3, rows).astype(np.int32),
        values=rng.normal(0, 2, rows).astype(np.float32),
        weights=rng.random(rows).astype(np.float32),
        ids=np.arange(rows, dtype=np.int32),
    )


def test_a_collection_is_exported():
    metrics = jm.Collection(
        accuracy=jm.Accuracy(),
        f1=jm.F1(classes=3),
        gap=jm.Compose(np.subtract, x1=jm.Mean("loss"), x2=jm.Mean("loss")),
    )
    outputs = dict(logits=np.eye(3, dtype=np.float32), labels=np.arange(3))
    outputs |= dict(labels=np.arange(3, dtype=np.int32), loss=np.ones(3, np.float32))
    step = exported_step(metrics, outputs, 3)
    assert bits(step.call(metrics, outputs)) == bits(metrics.update(**outputs))


def test_a_deferred_step_is_exported():
    deferred = jm.Mean("loss").deferred(mesh_of())
    loss = jax.device_put(
        np.arange(8.0, dtype=np.float32), NamedSharding(mesh_of(), P("data"))
    )
    step = jax.jit(lambda metric, loss: metric.update(loss=loss))
    restored = export.deserialize(export.export(step)(deferred, loss).serialize())
    assert jax.jit(restored.call)(deferred, loss).compute() == 3.5


def test_classes_of_one_name_are_all_exported():
    def define(factor):
        class Scaled(jm.Metric):
            total: jm.Array = jm.sum_leaf()

            def observe(self, *, values, mask=None):
                return dict(total=jm.total(factor * jnp.asarray(values), mask))

            def compute(self):
                return self.total

        return Scaled()

    for metric in (define(2), define(3)):
        outputs = dict(values=np.ones(2, np.float32))
        state = exported_step(metric, outputs, 2).call(metric, outputs)
        assert state.compute() == metric.update(**outputs).compute()


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_deferred_state_is_copied_and_pickled(copied):
    metrics = jm.Collection(loss=jm.Mean("loss"), accuracy=jm.Accuracy())
    deferred = metrics.deferred(mesh_of(), loss=P("data"))
    batch = dict(loss=np.arange(8.0), logits=np.eye(8), labels=np.arange(8))
    deferred = deferred.update(**batch)
    other = copied(deferred)
    assert jax.tree.structure(other) == jax.tree.structure(deferred)
    assert bits(other) == bits(deferred)
    assert other.update(**batch).merge(deferred).reduce()["loss"].plain()["count"] == 24


def test_a_pickle_of_more_devices_than_there_are_is_an_error():
    from jaxmetrics.core._mesh import mesh_form, mesh_of_form

    shape, ids, names, kinds = mesh_form(mesh_of(2))
    with pytest.raises(ValueError, match=r"no device 99 among the 8.*checkpoint"):
        mesh_of_form((shape, [ids[0], 99], names, kinds))


FLAX = """
import jax.numpy as jnp, numpy as np
import jaxmetrics as jm
early = jm.TopKAccuracy(k=2)
import flax.serialization as fs
batch = dict(logits=jnp.eye(3), labels=jnp.array([0, 1, 1]))
for metrics in (early.update(**batch), jm.Collection(a=jm.Accuracy()).update(**batch)):
    restored = fs.from_bytes(metrics.empty(), fs.to_bytes(metrics))
    assert str(restored) == str(metrics), restored
"""


def test_flax_saves_metrics_without_a_registration():
    done = subprocess.run([sys.executable, "-c", FLAX], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_flax_saves_metrics_in_a_collection_of_clu():
    from clu import metrics as clu_metrics

    outputs = dict(logits=jnp.eye(3), labels=jnp.array([0, 1, 1]))
    cls = clu_metrics.Collection.create(accuracy=jm.Accuracy, top=jm.TopKAccuracy(k=2))
    state = cls.single_from_model_output(**outputs)
    saved = flax.serialization.to_bytes(state)
    assert (
        flax.serialization.from_bytes(cls.empty(), saved).compute() == state.compute()
    )


def test_flax_names_the_metrics_that_the_template_lacks(caplog):
    state = jm.Collection(a=jm.Count("x"), b=jm.Count("y")).update(x=[1.0], y=[1.0])
    saved = flax.serialization.to_bytes(state)
    flax.serialization.from_bytes(jm.Collection(a=jm.Count("x")), saved)
    (message,) = caplog.messages
    assert "metric b was saved, but the template lacks it" in message


def test_an_exported_program_names_only_what_is_imported_and_calls_nothing(monkeypatch):
    def round_trip(static):
        return static_of_bytes(static_bytes(static), _serialization._rebuilt)

    static = (1, 2.5, float("-inf"), None, ("a", True), P(None, ("x",)), np.subtract)
    assert round_trip(static) == static
    assert round_trip(np.dtype("float32")) == np.dtype("float32")
    assert round_trip(jax.sharding.AxisType.Auto) is jax.sharding.AxisType.Auto
    with pytest.raises(TypeError, match="top level of a module"):
        static_bytes(lambda: None)
    hostile = [
        {"name": "a_module_that_is_not_imported:run"},
        {"tree": ["os:system", None, []]},
        {"tree": ["builtins:object", None, []]},
        {"reduce": ["os:system", "true"]},
        [1],
        {},
    ]
    for form in hostile:
        with pytest.raises(ValueError):
            static_of_bytes(json.dumps(form).encode(), _serialization._rebuilt)
