"""Calls outside jit: one executable each, few Python calls, explicit transfers."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.laws import Compilations, bits

import jaxmetrics as jm

PACKAGE = str(Path(jm.__file__).parent)
LIMIT = 40  # 30 when this was written
LOGITS, LABELS = np.eye(3, dtype=np.float32), np.arange(3, dtype=np.int32)


def collection():
    return jm.Collection(
        accuracy=jm.Accuracy(), f1=jm.F1(classes=3), spread=jm.Std("loss")
    )


def outputs(rows=3):
    logits = jnp.asarray(np.resize(LOGITS, (rows, 3)))
    labels = jnp.asarray(np.resize(LABELS, rows))
    return dict(logits=logits, labels=labels, loss=jnp.arange(rows, dtype=jnp.float32))


def calls_of(function):
    """Count the calls of Python functions of the package."""
    calls = []

    def profile(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_an_update_of_one_accuracy_makes_few_calls():
    metrics = jm.Collection(accuracy=jm.Accuracy())
    batch = {name: x for name, x in outputs().items() if name != "loss"}
    metrics = metrics.update(**batch)  # derives the layout
    calls = calls_of(lambda: metrics.update(**batch))
    assert len(calls) <= LIMIT, sorted(calls)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, batch: m.update(**batch),
        lambda m, batch: m.from_model_output(**batch),
        lambda m, batch: m.merge(m),
    ],
    ids=["update", "from_model_output", "merge"],
)
@pytest.mark.parametrize("metrics", [jm.Std("loss"), collection()], ids=["one", "many"])
def test_a_call_is_compiled_once_and_equals_the_users_own_jit(metrics, call):
    batch = outputs(rows=7)
    state = jax.jit(lambda m, b: m.update(**b))(metrics, batch)
    jax.clear_caches()
    with Compilations() as compilations:
        first = call(state, batch)
        second = call(state, batch)
    assert compilations.count == 1
    assert bits(first) == bits(second) == bits(jax.jit(call)(state, batch))


def test_a_state_keeps_what_its_configuration_implies():
    state = collection().update(**outputs())
    again = state.update(**outputs()).merge(state)
    names = [name for name in calls_of(lambda: again.update(**outputs()))]
    assert "Metric._layout" not in names and "Metric.reads" not in names


def test_a_renamed_state_reads_the_other_output():
    state = jm.Std("loss").update(loss=[1.0, 3.0])
    renamed = state.on(values="error").update(error=[1.0, 3.0])
    assert float(renamed.compute()) == 1.0
    with pytest.raises(TypeError, match="'error'"):
        renamed.update(loss=[1.0])


def test_transfers_are_explicit():
    mesh = Mesh(np.array(jax.devices()), ("data",))
    sharded = jax.device_put(np.ones(8, np.float32), NamedSharding(mesh, P("data")))
    step = jax.jit(lambda m, loss: m.update(loss=loss))
    metric = jm.Mean("loss")
    with jax.transfer_guard("disallow"):
        placed = step(metric.place(mesh), sharded)
        assert placed.merge(placed).merge(placed.empty()).compute() == 1
        for value in (2.0, [2.0], np.full(3, 2.0)):
            assert metric.update(loss=value).merge(metric.empty()).compute() == 2
        deferred = metric.deferred(mesh).update(loss=np.ones(8)).update(loss=sharded)
        assert deferred.merge(deferred.empty()).compute() == 1


def test_values_of_a_traced_batch_stay_traced():
    state = jm.Mean("loss").update(loss=[1.0])  # concrete, captured by the step
    step = jax.jit(lambda loss: state.update(loss=loss).merge(state).compute())
    assert float(step(jnp.array([3.0, 4.0]))) == 2.25
