"""The deferred form: right on every mesh, without a collective along its axes."""

import re

import jax
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

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


def collectives(compiled):
    """Collectives of a program, each with the groups of devices it connects."""
    pattern = r"\b(all-\w+|reduce-scatter|collective-\w+)\([^\n]*"
    return [m.group(0) for m in re.finditer(pattern, compiled.as_text())]


def check(state, batch):
    step = jax.jit(lambda m, b: m.update(**b), donate_argnums=0)
    compiled = step.lower(state, batch).compile()
    values = step(state, batch).compute()
    right = expected()
    assert values["accuracy"] == right["accuracy"] and values["n"] == right["n"]
    assert values["loss"] == pytest.approx(right["loss"], rel=1e-6)
    return collectives(compiled)


@pytest.mark.parametrize("explicit", [False, True])
def test_rows_over_one_axis(explicit):
    mesh = mesh_of((8,), ("data",), explicit)
    assert check(metrics().deferred(mesh), outputs(mesh, P("data"))) == []


def test_a_batch_of_no_rows_changes_nothing():
    batch = dict(logits=LOGITS, labels=LABELS, loss=LOSS, values=LOSS)
    state = metrics().deferred(mesh_of((8,), ("data",))).update(**batch)
    after = state.update(**{name: x[:0] for name, x in batch.items()})
    assert after.compute() == state.compute()


@pytest.mark.parametrize("explicit", [False, True])
def test_rows_over_two_axes(explicit):
    mesh = mesh_of((4, 2), ("data", "fsdp"), explicit)
    state = metrics().deferred(mesh, ("data", "fsdp"))
    assert check(state, outputs(mesh, P(("data", "fsdp")))) == []


@pytest.mark.parametrize("explicit", [False, True])
def test_rows_replicated_over_a_model_axis(explicit):
    mesh = mesh_of((4, 2), ("data", "model"), explicit)
    assert check(metrics().deferred(mesh), outputs(mesh, P("data"))) == []


@pytest.mark.parametrize("explicit", [False, True])
def test_tokens_sharded_over_a_sequence_axis_are_named(explicit):
    mesh = mesh_of((4, 2), ("data", "seq"), explicit)
    names = {} if explicit else {n: P("data", "seq") for n in ("logits", "labels")}
    axes = ("data", "seq") if explicit else "data"
    names |= {} if explicit else {n: P("data", "seq") for n in ("loss", "values")}
    state = metrics().deferred(mesh, axes, **names)
    assert state.shards == 8
    assert check(state, outputs(mesh, P("data", "seq"))) == []


def test_a_vocabulary_over_the_model_axis_crosses_no_data_axis():
    mesh = mesh_of((4, 2), ("data", "model"))
    batch = outputs(mesh, P("data"))
    sharding = NamedSharding(mesh, P("data", None, "model"))
    batch["logits"] = jax.device_put(LOGITS, sharding)
    operations = check(metrics().deferred(mesh), batch)
    assert operations, "the model axis needs its own reductions"
    for line in operations:
        assert "replica_groups=[4,2]<=[8]" in line or "{{0,1},{2,3}" in line, line


def test_an_axis_that_is_left_out_costs_a_collective_but_no_wrong_value():
    mesh = mesh_of((4, 2), ("data", "fsdp"))
    operations = check(metrics().deferred(mesh), outputs(mesh, P(("data", "fsdp"))))
    assert operations


def test_scalars_are_counted_once():
    mesh = mesh_of((8,), ("data",))
    both = jm.Collection(rows=jm.Count("loss"), rate=jm.Count("lr"), mean=jm.Mean("lr"))
    state = both.deferred(mesh)
    state = jax.jit(lambda m, x: m.update(loss=x, lr=0.5))(state, LOSS[:, 0])
    assert state.compute() == {"rows": 16, "rate": 1, "mean": 0.5}


@pytest.mark.parametrize("average", [False, True])
def test_inside_shard_map_an_averaged_loss_counts_once_and_a_local_one_everywhere(
    average,
):
    mesh = mesh_of((8,), ("data",))
    state = jm.Count("loss").deferred(mesh)

    def body(state, x):
        loss = lax.pmean(x.mean(), "data") if average else x.mean()
        return state.update(loss=loss)

    specs = jax.tree.map(lambda _: P("data"), state)
    step = jax.shard_map(body, mesh=mesh, in_specs=(specs, P("data")), out_specs=specs)
    assert jax.jit(step)(state, LOSS).compute() == (1 if average else 8)


def test_inside_shard_map_without_tracking_every_shard_counts():
    mesh = mesh_of((8,), ("data",))
    state = jm.Count("loss").deferred(mesh)
    step = jax.shard_map(
        lambda m, x: m.update(loss=x),
        mesh=mesh,
        in_specs=P("data"),
        out_specs=P("data"),
        check_vma=False,
    )
    assert jax.jit(step)(state, LOSS).compute() == LOSS.size


def test_a_scan_of_steps_with_donation_has_no_collective():
    mesh = mesh_of((8,), ("data",))
    batches = np.stack([LOSS[:, 0]] * 4)
    batches = jax.device_put(batches, NamedSharding(mesh, P(None, "data")))

    @jax.jit
    def run(state, batches):
        return lax.scan(lambda m, x: (m.update(loss=x), None), state, batches)[0]

    state = jm.Mean("loss").deferred(mesh)
    compiled = run.lower(state, batches).compile()
    assert collectives(compiled) == []
    assert run(state, batches).compute() == pytest.approx(LOSS[:, 0].mean(), rel=1e-6)


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("context", [False, True])
def test_empty_keeps_its_place_in_and_out_of_jit(explicit, context):
    mesh = mesh_of((8,), ("data",), explicit)
    state = jm.Mean("loss").deferred(mesh)
    rows = jax.device_put(LOSS[:, 0], NamedSharding(mesh, P("data")))

    def run():
        step = jax.jit(lambda m, x: m.update(loss=x))
        full = step(state, rows)
        again = [full.empty(), jax.jit(lambda m: m.empty())(full)]
        for empty in again:
            restarted, total = empty.state.total, full.state.total
            assert restarted.sharding.is_equivalent_to(total.sharding, 2)
            assert empty.reduce().plain() == {"total": 0.0, "count": 0}
            assert step(empty, rows).compute() == full.compute()

    if context:
        with jax.set_mesh(mesh):
            run()
    else:
        run()


def test_a_reset_inside_the_step_costs_no_collective():
    mesh = mesh_of((8,), ("data",))
    state = jm.Mean("loss").deferred(mesh)
    rows = jax.device_put(LOSS[:, 0], NamedSharding(mesh, P("data")))

    @jax.jit
    def step(state, x, reset):
        state = lax.cond(reset, lambda m: m.empty(), lambda m: m, state)
        return state.update(loss=x)

    assert collectives(step.lower(state, rows, True).compile()) == []
    state = step(step(state, rows, False), rows, True)
    assert state.reduce().plain()["count"] == 16


def test_one_metric_of_a_deferred_collection_is_deferred():
    mesh = mesh_of((8,), ("data",))
    state = metrics().deferred(mesh).update(**outputs(mesh, P("data")))
    assert state["accuracy"].compute() == expected()["accuracy"]
    assert "shards=8" in repr(state)


def test_a_deferred_collection_has_names():
    mesh = jax.make_mesh((8,), ("data",))
    metrics = jm.Collection(a=jm.Mean("x"), b=jm.Max("x")).deferred(mesh)
    assert list(metrics) == ["a", "b"] and "a" in metrics and "c" not in metrics
    with pytest.raises(TypeError, match="holds a single metric"):
        list(metrics["a"])


def test_deferred_states_merge_shard_by_shard():
    mesh = mesh_of((8,), ("data",))
    state = metrics().deferred(mesh).update(**outputs(mesh, P("data")))
    double = jax.jit(lambda a, b: a.merge(b))(state, state)
    assert double.reduce().plain()["n/count"] == 2 * LOSS.size


@pytest.mark.parametrize("explicit", [False, True])
def test_a_step_compiles_once_from_a_placed_or_deferred_state(explicit):
    mesh = mesh_of((8,), ("data",), explicit)
    traces = []

    @jax.jit
    def step(state, x):
        traces.append(None)
        return state.update(loss=x)

    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event)
    )
    for start in (jm.Mean("loss").deferred(mesh), jm.Mean("loss").place(mesh)):
        traces.clear()
        rows = jax.device_put(LOSS[:, 0], NamedSharding(mesh, P("data")))
        state = step(start, rows)
        compiled.clear()
        for _ in range(3):
            state = step(state, rows)
        assert len(traces) == 1
        assert not [e for e in compiled if "backend_compile" in e]
    jax.monitoring.clear_event_listeners()
