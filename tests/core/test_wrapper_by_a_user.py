"""Wrappers written with public names only, in every form in which a metric is used."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.core import from_saved, saved_form

pytestmark = pytest.mark.sampled(3)

RNG = np.random.default_rng(0)
LOSS = RNG.normal(2, 1, 32).astype(np.float32)
HARD = RNG.normal(0, 1, 32).astype(np.float32)
LABELS = RNG.integers(0, 2, 32).astype(np.int32)
OUTPUTS = dict(loss=LOSS, difficulty=HARD, labels=LABELS)


class Classwise(jm.Wrapper):
    """Names for the entries of an array value."""

    names: tuple[str, ...] = ()

    def present(self, value):
        return {name: value[i] for i, name in enumerate(self.names)}


class Doubled(jm.Wrapper):
    """Twice the value of a metric."""

    def present(self, value):
        return 2 * value


class Inverted(jm.Wrapper):
    """A metric on inverted binary labels."""

    def transform(self, outputs, copy):
        return {**outputs, "labels": 1 - outputs["labels"]}


class OnHard(jm.Wrapper, reads="by"):
    """A metric over hard examples, and the number of all others."""

    by: str = "difficulty"
    limit: float = 0.0
    easy: jm.Array = jm.count_leaf()

    def transform(self, outputs, copy):
        return self.masked(outputs, outputs[self.by] > self.limit)

    def observe(self, *, by, mask=None):
        return dict(easy=jm.count_where(by <= self.limit, mask))


class Thresholds(jm.Wrapper, reads="by"):
    """A metric over the examples above each of several limits."""

    by: str = "difficulty"
    limits: tuple[float, ...] = (0.0,)

    @property
    def copies(self):
        return len(self.limits)

    def transform(self, outputs, copy):
        limit = jnp.asarray(self.limits, jnp.float32)[copy]
        return self.masked(outputs, outputs[self.by] > limit)

    def present(self, value):
        return dict(zip(map(str, self.limits), value))


class LabelRate(jm.Metric):
    """Share of labels that are 1."""

    ones: jm.Array = jm.count_leaf()
    total: jm.Array = jm.count_leaf()

    def observe(self, *, labels, mask=None):
        labels = jnp.asarray(labels)
        return dict(
            ones=jm.count_where(labels == 1, mask),
            total=jm.count_elements(labels, mask),
        )

    def compute(self):
        return jm.divide(self.ones, self.total)


def above(limit):
    return float(LOSS[HARD > limit].astype(float).mean())


WRAPPERS = {
    "of a value": (Doubled(jm.Mean("loss")), 2 * LOSS.astype(float).mean()),
    "of an output": (Inverted(LabelRate()), 1 - LABELS.mean()),
    "of a wrapper": (Doubled(OnHard(jm.Mean("loss"))), 2 * above(0)),
    "around it": (OnHard(Doubled(jm.Mean("loss"))), 2 * above(0)),
    "of a window": (Doubled(jm.Windowed(jm.Mean("loss"), window=9)), None),
    "with a leaf": (OnHard(jm.Mean("loss"), limit=0.5), above(0.5)),
    "of copies": (
        Thresholds(jm.Mean("loss"), limits=(0.0, 1.0)),
        {"0.0": above(0), "1.0": above(1)},
    ),
    "of one copy": (Thresholds(jm.Mean("loss")), {"0.0": above(0)}),
    "copies of a wrapper": (
        Thresholds(jm.Masked(jm.Mean("loss"), mask="valid")),
        {"0.0": above(0)},
    ),
}
WRAPPERS["of a window"] = (WRAPPERS["of a window"][0], WRAPPERS["of a value"][1])

every_wrapper = pytest.mark.parametrize(
    ("metric", "expected"), WRAPPERS.values(), ids=WRAPPERS
)


def outputs_of(metric):
    outputs = dict(OUTPUTS, valid=np.ones(32, bool))
    return {name: x for name, x in outputs.items() if name in metric.reads().names}


def mesh_of(devices=8):
    return Mesh(np.array(jax.devices()[:devices]), ("data",))


def check(value, expected):
    assert jax.tree.structure(value) == jax.tree.structure(expected)
    for x, right in zip(jax.tree.leaves(value), jax.tree.leaves(expected)):
        np.testing.assert_allclose(x, right, rtol=1e-5)


@every_wrapper
def test_it_computes_the_same_in_every_form(metric, expected):
    outputs = outputs_of(metric)
    state = metric.update(**outputs)
    check(state.compute(), expected)
    check(jax.jit(lambda m, o: m.update(**o).compute())(metric, outputs), expected)
    check(state.merge(metric.empty()).compute(), expected)
    deferred = jax.jit(lambda m, o: m.update(**o))(metric.deferred(mesh_of()), outputs)
    check(deferred.compute(), expected)
    reduced = jax.shard_map(
        lambda o: metric.from_model_output(**o).reduce("data"),
        mesh=mesh_of(),
        in_specs=P("data"),
        out_specs=P(),
    )
    check(jax.jit(reduced)(outputs).compute(), expected)


@every_wrapper
def test_it_is_the_carry_of_a_scan(metric, expected):
    batches = {name: x.reshape(4, 8) for name, x in outputs_of(metric).items()}
    step = jax.jit(lambda m, b: lax.scan(lambda m, o: (m.update(**o), 0), m, b)[0])
    check(step(metric, batches).compute(), expected)


@every_wrapper
def test_it_lives_in_a_collection_and_is_pickled(metric, expected):
    collection = jm.Collection(mine=metric, loss=jm.Mean("loss"))
    state = collection.update(**{"loss": LOSS, **outputs_of(metric)})
    restored = pickle.loads(pickle.dumps(state))
    check(restored["mine"].compute(), expected)
    assert repr(restored) == repr(state)


@every_wrapper
@pytest.mark.parametrize("devices", [8, 2, 0])
def test_it_is_saved_and_restored_on_other_devices(metric, expected, devices):
    state = metric.deferred(mesh_of()).update(**outputs_of(metric))
    saved = saved_form(state)
    arrays = {name: np.asarray(x) for name, x in saved.arrays.items()}
    template = metric.deferred(mesh_of(devices)) if devices else metric
    restored, removed = from_saved(template, saved.layout, arrays)
    check(restored.compute(), expected)
    assert removed == []


def test_names_for_the_entries_of_a_value_become_flat_names():
    recall = jm.Recall(classes=2, average="none")
    metrics = jm.Collection(recall=Classwise(recall, names=("cat", "dog")))
    logits = np.eye(2, dtype=np.float32)[[0, 1, 1]]
    values = metrics.update(logits=logits, labels=[0, 0, 1]).compute()
    assert values == {"recall/cat": 0.5, "recall/dog": 1.0}


def test_the_outputs_of_a_wrapper_are_renamed_with_on():
    metric = OnHard(jm.Mean("loss")).on(difficulty="d", values="error", mask="valid")
    state = metric.update(error=[1.0, 5.0, 9.0], d=[-1.0, 1.0, 1.0], valid=[True] * 3)
    assert state.compute() == 7.0 and state.plain()["easy"] == 1
    state = metric.update(error=[1.0, 5.0], d=[-1.0, 1.0], valid=[False, True])
    assert state.plain()["easy"] == 0
    assert metric.reads().mask == "valid"


def test_a_missing_output_of_a_wrapper_is_named():
    with pytest.raises(TypeError, match=r"OnHard needs output 'difficulty'; got \['lo"):
        OnHard(jm.Mean("loss")).update(loss=1.0)


def test_copies_without_a_default_are_refused_when_the_class_is_defined():
    with pytest.raises(TypeError, match="'copies' has no default"):

        class Bootstrap(jm.Wrapper):
            copies: int


class Repeated(jm.Wrapper):
    copies: int = 3


def test_copies_may_be_a_configuration_field():
    state = Repeated(jm.Mean("loss"), copies=2).update(loss=[1.0, 2.0])
    assert state.compute() == [1.5, 1.5]
    assert state.metric.count.shape == (2, 2)
    with pytest.raises(ValueError, match="copies is at least 1, got 0"):
        Repeated(jm.Mean("loss"), copies=0)


def test_a_collection_can_be_wrapped():
    metrics = jm.Collection(mean=jm.Mean("loss"), most=jm.Max("loss"))
    hard = OnHard(metrics).update(loss=[1.0, 3.0, 5.0], difficulty=[-1.0, 1.0, 1.0])
    assert hard.compute() == {"mean": 4.0, "most": 5.0}
