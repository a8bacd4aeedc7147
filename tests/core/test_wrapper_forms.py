"""Classwise, MinMax, MultiOutput, Bootstrap, FromFunction in every form of a step."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P
from support.forms import assert_close, has_deferred_form, in_every_form, mesh_of

import jaxmetrics as jm
from jaxmetrics.core import from_saved, saved_form

pytestmark = pytest.mark.sampled(4)


RNG = np.random.default_rng(0)
ROWS = 32
LOGITS = RNG.normal(size=(ROWS, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, ROWS).astype(np.int32)
PREDS = RNG.normal(size=(ROWS, 2)).astype(np.float32)
TARGETS = RNG.normal(size=(ROWS, 2)).astype(np.float32)
LOSS = RNG.normal(2, 1, ROWS).astype(np.float32)
MASK = RNG.random(ROWS) < 0.7
OUTPUTS = dict(
    logits=LOGITS,
    labels=LABELS,
    preds=PREDS,
    targets=TARGETS,
    loss=LOSS,
    domain=np.arange(ROWS, dtype=np.int32) % 2,
    ids=np.arange(ROWS, dtype=np.int32),
    mask=MASK,
)


def squares(preds, targets, **_):
    return (preds - targets) ** 2


RECALL = jm.Recall(classes=3, average="none")
MSE = jm.MeanSquaredError()
METRICS = {
    "Classwise": jm.Classwise(RECALL, names=("cat", "dog", "cow")),
    "Classwise of groups": jm.Classwise(jm.ByGroup(RECALL, groups=2)),
    "MinMax": jm.MinMax(jm.Accuracy()),
    "MultiOutput": jm.MultiOutput(MSE, outputs=2),
    "MultiOutput of a Collection": jm.MultiOutput(
        jm.Collection(mse=MSE, mae=jm.MeanAbsoluteError()), outputs=2
    ),
    "Bootstrap": jm.Bootstrap(jm.Accuracy(weighted=True), samples=5),
    "Bootstrap of MultiOutput": jm.Bootstrap(
        jm.MultiOutput(jm.MeanSquaredError(weighted=True), outputs=2), samples=5
    ),
    "FromFunction": jm.FromFunction(squares, jm.Mean()),
    "FromFunction of a window": jm.FromFunction(squares, jm.Windowed(jm.Mean(), 3)),
}

# Each program runs once or twice; optimizing its machine code would take longer.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def outputs_of(metric):
    return metric.reads().select(OUTPUTS)


def check(value, expected):
    assert jax.tree.structure(value) == jax.tree.structure(expected)
    assert_close({"": value}, expected)


@every_metric
def test_it_computes_the_same_in_every_form(metric):
    outputs = outputs_of(metric)
    expected = metric.update(**outputs).compute()
    assert not any(np.isnan(x).any() for x in jax.tree.leaves(expected))
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        values = in_every_form(metric, outputs)
    for value in values.values():
        check(value, expected)


@every_metric
@pytest.mark.parametrize("check_vma", [True, False])
def test_it_is_the_carry_of_a_scan_in_shard_map(metric, check_vma):
    outputs = outputs_of(metric)
    twice = {name: np.concatenate([x, x]) for name, x in outputs.items()}
    batches = {name: np.stack([x, x]) for name, x in outputs.items()}

    def steps(batches):
        def step(state, outputs):
            batch = state.from_model_output(**outputs).reduce("data")
            return state.merge(batch), None

        return lax.scan(step, metric.empty(), batches)[0]

    sharded = jax.shard_map(
        steps,
        mesh=mesh_of(),
        in_specs=P(None, "data"),
        out_specs=P(),
        check_vma=check_vma,
    )
    value = jit(sharded)(batches).compute()
    check(value, metric.update(**twice).compute())


@every_metric
def test_it_is_the_carry_of_a_scan_on_each_device(metric):
    batches = {name: np.stack([x, x]) for name, x in outputs_of(metric).items()}

    def steps(batches):
        step = lambda state, outputs: (state.update(**outputs), None)  # noqa: E731
        state = lax.scan(step, metric.empty("data"), batches)[0]
        return jax.tree.map(lambda x: jnp.asarray(x)[None], state)

    sharded = jax.shard_map(
        steps, mesh=mesh_of(), in_specs=P(None, "data"), out_specs=P("data")
    )
    stacked = jit(sharded)(batches)
    first = {name: x[:4] for name, x in outputs_of(metric).items()}
    state = jax.tree.map(lambda x: x[0], stacked)
    check(state.compute(), metric.update(**first).update(**first).compute())


@every_metric
def test_an_ensemble_computes_each_member(metric):
    outputs = {name: x.reshape(2, 16, *x.shape[1:]) for name, x in OUTPUTS.items()}
    outputs = metric.reads().select(outputs)
    states = jax.vmap(lambda outputs: metric.from_model_output(**outputs))(outputs)
    members = [
        metric.update(**{name: x[i] for name, x in outputs.items()}).compute()
        for i in range(2)
    ]
    check(states.compute(), jax.tree.map(lambda *x: np.stack(x), *members))


@every_metric
def test_it_is_in_a_collection_pickled_and_printed(metric):
    collection = jm.Collection(mine=metric, count=jm.Count("loss"))
    state = collection.update(**outputs_of(collection))
    restored = pickle.loads(pickle.dumps(state))
    assert restored.compute().keys() == state.compute().keys()
    check(restored["mine"].compute(), metric.update(**outputs_of(metric)).compute())
    assert repr(restored) == repr(state)
    assert repr(metric).startswith(type(metric).__name__)


@pytest.mark.parametrize(
    ("metric", "devices"),
    [
        pytest.param(metric, devices, id=f"{name}-{devices}")
        for name, metric in METRICS.items()
        for devices in ((8, 0) if has_deferred_form(metric) else (0,))
    ],
)
def test_it_is_saved_and_restored(metric, devices):
    outputs = outputs_of(metric)
    state = metric.update(**outputs)
    template = metric
    if devices:
        state = metric.deferred(mesh_of()).update(**outputs)
        template = metric.deferred(mesh_of())
    saved = saved_form(state)
    arrays = {name: np.asarray(x) for name, x in saved.arrays.items()}
    restored, removed = from_saved(template, saved.layout, arrays)
    check(restored.compute(), state.compute())
    assert removed == []


@every_metric
def test_its_outputs_are_renamed(metric):
    arguments = metric.reads().arguments
    outputs = outputs_of(metric)
    names = {name: f"my_{name}" for name in arguments if name in outputs}
    renamed = metric.on(**names)
    passed = {names.get(name, name): x for name, x in outputs.items()}
    check(renamed.update(**passed).compute(), metric.update(**outputs).compute())


@every_metric
def test_its_state_has_the_types_of_the_empty_one(metric):
    state = metric.update(**outputs_of(metric))
    for merged in (state, state.merge(metric.empty()), metric.merge(state)):
        for x, empty in zip(jax.tree.leaves(merged), jax.tree.leaves(metric)):
            assert (x.shape, x.dtype) == (empty.shape, empty.dtype)
