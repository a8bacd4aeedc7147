"""Metrics of clu and metrax in a Collection, and metrics of jaxmetrics in clu."""

import functools
import pickle

import clu.metrics
import flax
import jax
import jax.numpy as jnp
import metrax
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.interop.clu import from_clu

pytestmark = pytest.mark.sampled(6)


ROWS = 64
# Each program runs twice only; optimizing its machine code would take longer.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
BINARY = dict(predictions="probs", labels="clicks")
RANKED = dict(predictions="scores", labels="relevance")
REAL = dict(predictions="preds", labels="targets")
AT_K = dict(ks=(1, 3))
# Class, outputs by argument, constants, whether batches change types of the state.
FOREIGN = {
    "average": (clu.metrics.Average, dict(values="loss"), {}, False),
    "output": (clu.metrics.Average.from_output("loss"), dict(values="loss"), {}, False),
    "accuracy": (clu.metrics.Accuracy, {}, {}, False),
    "last": (clu.metrics.LastValue, dict(value="loss"), {}, False),
    "metrax_average": (metrax.Average, dict(values="loss"), {}, True),
    "metrax_accuracy": (metrax.Accuracy, dict(predictions="labels"), {}, False),
    "precision": (metrax.Precision, BINARY, dict(threshold=0.4), False),
    "recall": (metrax.Recall, BINARY, {}, False),
    "auc_roc": (metrax.AUCROC, BINARY, {}, True),
    "auc_pr": (metrax.AUCPR, BINARY, dict(num_thresholds=50), True),
    "mse": (metrax.MSE, REAL, {}, False),
    "rmse": (metrax.RMSE, REAL, {}, False),
    "mae": (metrax.MAE, REAL, {}, False),
    "r2": (metrax.RSQUARED, REAL, {}, False),
    "dice": (metrax.Dice, BINARY, {}, False),
    "perplexity": (
        metrax.Perplexity,
        dict(predictions="logits"),
        dict(from_logits=True),
        False,
    ),
    "precision_at_k": (metrax.PrecisionAtK, RANKED, AT_K, True),
    "ndcg_at_k": (metrax.NDCGAtK, RANKED, AT_K, True),
    "mrr": (metrax.MRR, RANKED, AT_K, True),
}


def batch(seed, rows=ROWS):
    rng = np.random.default_rng(seed)
    clicks = rng.integers(0, 2, rows)
    targets = rng.normal(size=rows)
    values = dict(
        loss=rng.normal(2, 1, rows),
        logits=rng.normal(size=(rows, 5)),
        labels=rng.integers(0, 5, rows),
        clicks=clicks,
        probs=np.clip(0.3 * clicks + rng.random(rows) * 0.7, 0, 1),
        preds=targets + rng.normal(0, 0.5, rows),
        targets=targets,
        scores=rng.normal(size=(rows, 6)),
        relevance=rng.integers(0, 2, (rows, 6)),
    )
    kinds = {"f": np.float32, "i": np.int32}
    return {name: x.astype(kinds[x.dtype.kind]) for name, x in values.items()}


BATCHES = [batch(0), batch(1)]


def converted(name):
    metric_class, names, constants, changes_types = FOREIGN[name]
    like = BATCHES[0] if changes_types else None
    names = {} if name == "output" else names
    return from_clu(metric_class, like=like, constants=constants, **names)


@functools.cache
def foreign_value(name, count=2):
    """Return the value of the class itself for the first batches."""
    metric_class, names, constants, _ = FOREIGN[name]
    fixed = {n: jnp.array(x) if n == "ks" else x for n, x in constants.items()}
    total = None
    for outputs in BATCHES[:count]:
        if name == "output":
            arguments = dict(outputs)
        else:
            unnamed = {"accuracy": ("logits", "labels")}.get(name, ())
            if name in ("metrax_accuracy", "perplexity"):
                unnamed = ("labels",)
            sources = {argument: argument for argument in unnamed} | names
            arguments = {a: outputs[source] for a, source in sources.items()}
        state = metric_class.from_model_output(**arguments, **fixed)
        total = state if total is None else total.merge(state)
    return np.asarray(total.compute())


def collection():
    return jm.Collection(**{name: converted(name) for name in FOREIGN})


def assert_foreign_values(values, names=FOREIGN):
    assert values.keys() == set(names)
    for name, value in values.items():
        # A float32 sum over 8 shards and one over the batch differ in the last bits.
        np.testing.assert_allclose(value, foreign_value(name), rtol=2e-6, err_msg=name)


def mesh_of(kind=AxisType.Auto):
    return Mesh(np.array(jax.devices()), ("data",), axis_types=(kind,))


def sharded(mesh):
    rows = NamedSharding(mesh, P("data"))
    return [jax.device_put(outputs, rows) for outputs in BATCHES]


def run(step, state, batches):
    """Return the last state and the number of traces of the step."""
    traces = []

    @jit
    def traced(state, outputs):
        traces.append(None)
        return step(state, outputs)

    for outputs in batches:
        state = traced(state, outputs)
    return state, len(traces)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_values_over_global_arrays_equal_those_of_the_classes(kind):
    mesh = mesh_of(kind)
    step = lambda m, outputs: m.update(**outputs)  # noqa: E731
    state, traces = run(step, collection().place(mesh), sharded(mesh))
    assert traces == 1
    assert_foreign_values(state.compute())


def test_deferred_updates_have_no_collective_and_the_values_of_the_classes():
    mesh = mesh_of()
    state = collection().deferred(mesh)
    step = jit(lambda m, outputs: m.update(**outputs), donate_argnums=0)
    first, second = sharded(mesh)
    text = step.lower(state, first).compile().as_text()
    assert "all-reduce" not in text and "all-gather" not in text
    assert_foreign_values(step(step(state, first), second).compute())


def test_states_in_shard_map_are_gathered_and_folded():
    mesh = mesh_of()

    def body(total, outputs):
        return total.merge(total.from_model_output(**outputs).reduce("data"))

    step = jax.shard_map(body, mesh=mesh, in_specs=(P(), P("data")), out_specs=P())
    state, traces = run(step, collection().place(mesh), sharded(mesh))
    assert traces == 1
    assert_foreign_values(state.compute())


def test_states_in_pmap_are_gathered_and_folded():
    names = ["accuracy", "last", "auc_roc"]
    metrics = jm.Collection(**{name: converted(name) for name in names})

    def body(outputs):
        return metrics.from_model_output(**outputs).reduce("batch")

    step = jax.pmap(body, axis_name="batch")
    total = metrics
    for outputs in BATCHES:
        split = {n: x.reshape(8, -1, *x.shape[1:]) for n, x in outputs.items()}
        total = total.merge(jax.tree.map(lambda x: x[0], step(split)))
    assert_foreign_values(total.compute(), names)


def test_compute_gives_the_same_values_in_jit_and_on_the_host():
    state = collection().update(**BATCHES[0]).update(**BATCHES[1])
    assert_foreign_values(state.compute())
    inside = jit(lambda m: m.compute())(state)
    for name, value in state.compute().items():
        np.testing.assert_allclose(inside[name], value, rtol=1e-6, err_msg=name)


def test_states_are_carried_through_a_scan():
    stacked = jax.tree.map(lambda *x: np.stack(x), *BATCHES)

    @jit
    def run(state):
        return lax.scan(lambda m, b: (m.update(**b), None), state, stacked)[0]

    assert_foreign_values(run(collection()).compute())


def test_a_stack_of_states_computes_a_value_for_each():
    states = [collection().update(**outputs) for outputs in BATCHES]
    stack = jax.tree.map(lambda *x: np.stack(x), *states)
    for name, value in stack.compute().items():
        each = [state[name].compute() for state in states]
        np.testing.assert_allclose(value, each, rtol=1e-6, err_msg=name)
    twice = stack.merge(stack).reduce().compute()
    np.testing.assert_allclose(twice["auc_roc"], foreign_value("auc_roc"), rtol=1e-6)


def test_an_empty_state_computes_nan_and_is_the_identity_of_merge():
    empty, full = collection(), collection().update(**BATCHES[0])
    assert all(np.isnan(value).all() for value in empty.compute().values())
    for merged in (empty.merge(full), full.merge(empty)):
        for actual, expected in zip(jax.tree.leaves(merged), jax.tree.leaves(full)):
            np.testing.assert_array_equal(actual, expected)


def test_a_state_is_restored_from_a_checkpoint_and_from_pickle(tmp_path):
    import orbax.checkpoint as ocp

    mesh = mesh_of()
    state = collection().deferred(mesh)
    for outputs in sharded(mesh):
        state = state.update(**outputs)
    with ocp.CheckpointManager(tmp_path / "saved") as manager:
        args = ocp.args.Composite(jaxmetrics=jm.checkpoint.args(None, metrics=state))
        manager.save(1, args=args)
        restored = jm.checkpoint.restore(manager, 1, None, metrics=collection())
    assert_foreign_values(restored["metrics"].compute())
    assert "auc_roc/state/true_positives" in jm.state_dict(restored["metrics"])
    assert_foreign_values(pickle.loads(pickle.dumps(restored["metrics"])).compute())


def test_types_stay_fixed_with_64_bits_and_strict_promotion():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        step = jit(lambda m, outputs: m.update(**outputs))
        state = step(step(collection(), BATCHES[0]), BATCHES[1])
        assert {x.dtype.itemsize for x in jax.tree.leaves(state)} == {4}
        values = state.compute()
    assert_foreign_values(values)


def test_a_mask_is_passed_to_a_class_that_takes_it():
    loss = from_clu(clu.metrics.Average, values="loss")
    mask = np.array([True, False])
    assert loss.update(loss=[1.0, np.nan], mask=mask).compute() == 1.0
    assert loss.update(loss=3.0, mask=mask).compute() == 3.0  # a scalar is not masked


def test_a_class_without_a_mask_reads_it_as_weights_or_raises():
    outputs = dict(preds=[1.0, 5.0], targets=[0.0, 0.0], mask=[True, False])
    mse = from_clu(metrax.MSE, like=outputs, sample_weights="mask", **REAL)
    assert mse.update(**outputs).compute() == 1.0
    with pytest.raises(TypeError, match="sample_weights='mask'"):
        from_clu(metrax.MSE, **REAL).update(**outputs)
    unmasked = from_clu(metrax.MSE, mask="no_mask", **REAL)
    assert unmasked.update(**outputs).compute() == 13.0


def test_a_batch_with_other_types_is_an_error_that_shows_the_example_to_pass():
    auc = from_clu(metrax.AUCROC, **BINARY)
    with pytest.raises(TypeError, match="true_positives int32.200.") as error:
        auc.update(**BATCHES[0])
    example = str(error.value).split("like=")[1].rstrip(".")
    like = eval(example, {"jax": jax, "dict": dict})
    sized = from_clu(metrax.AUCROC, like=like)
    outputs = dict(predictions=BATCHES[0]["probs"], labels=BATCHES[0]["clicks"])
    assert sized.update(**outputs).compute() == foreign_value("auc_roc", 1)


@flax.struct.dataclass
class Rows(clu.metrics.Metric):
    """Counts rows as a Python number."""

    rows: int

    @classmethod
    def empty(cls):
        return cls(rows=0)

    @classmethod
    def from_model_output(cls, values, mask=None):
        return cls(rows=values.shape[0])

    def merge(self, other):
        return Rows(self.rows + other.rows)

    def compute(self):
        return self.rows


def test_a_python_number_that_merging_changes_becomes_state():
    like = dict(values=np.zeros(3, np.float32))
    rows = from_clu(Rows, like=like)
    step = jit(lambda m, x: m.update(values=x))
    assert step(step(rows, np.zeros(3)), np.zeros(3)).compute() == 6


def test_last_value_averages_over_devices_and_keeps_the_last_batch():
    last = from_clu(clu.metrics.LastValue, value="loss")
    mesh = mesh_of()
    state = last.deferred(mesh).update(loss=np.zeros(8, np.float32))
    state = state.update(loss=np.arange(8, dtype=np.float32))
    assert state.compute() == 3.5
    window = jm.Windowed(last, window=2)
    for loss in (1.0, 2.0, 6.0):
        window = window.update(loss=loss)
    assert window.compute() == 6.0


def test_equal_metrics_are_stored_once_and_trace_once():
    first, again = converted("auc_roc"), converted("auc_roc")
    assert jax.tree.structure(first) == jax.tree.structure(again)
    both = jm.Collection(a=first, b=again)
    assert len(jax.tree.leaves(both)) == len(jax.tree.leaves(first))
    assert jax.tree.structure(converted("average")) == jax.tree.structure(
        converted("output")
    )


@pytest.mark.parametrize(
    ("metric_class", "message"),
    [
        (metrax.FBetaScore, "defines no merge"),
        (clu.metrics.CollectingMetric.from_outputs(("loss",)), "buffer_leaf"),
        (jm.Accuracy, "expected a class of clu"),
        (clu.metrics.Average.empty(), "expected a class of clu"),
        (clu.metrics.Average.from_fun(lambda loss, **_: loss), r"jm\.Mean\.from_fun"),
        (clu.metrics.LastValue.from_fun(lambda loss, **_: loss), r"jm\.Last\.from_fun"),
    ],
)
def test_a_class_that_cannot_be_converted_is_an_error(metric_class, message):
    with pytest.raises(TypeError, match=message):
        from_clu(metric_class)


def test_an_example_without_a_required_output_is_an_error():
    with pytest.raises(TypeError, match="like has no output 'clicks'"):
        from_clu(metrax.AUCROC, like=dict(probs=[0.5]), **BINARY)


def test_text_outputs_are_an_error():
    with pytest.raises(TypeError, match="metrics read arrays and numbers"):
        from_clu(metrax.WER).update(predictions=["a b"], references=["a c"])


def test_repr_shows_the_class_its_outputs_and_its_state():
    metric = from_clu(clu.metrics.Average, values="loss")
    assert "Average" in repr(metric) and "loss" in repr(metric)
    assert "total: float32[]" in repr(metric.update(loss=1.0))


IN_CLU = clu.metrics.Collection.create(
    accuracy=jm.Accuracy, top2=jm.TopKAccuracy(k=2), loss=jm.Mean("loss")
)


def test_a_clu_collection_gathers_our_metrics_over_devices():
    def body(total, outputs):
        return total.merge(
            IN_CLU.gather_from_model_output(axis_name="batch", **outputs)
        )

    step = jax.pmap(body, axis_name="batch")
    total = flax.jax_utils.replicate(IN_CLU.empty())
    for outputs in BATCHES:
        split = {n: x.reshape(8, -1, *x.shape[1:]) for n, x in outputs.items()}
        total = step(total, split)
    values = total.unreplicate().compute()
    expected = jm.Collection(
        accuracy=jm.Accuracy, top2=jm.TopKAccuracy(k=2), loss=jm.Mean("loss")
    )
    for outputs in BATCHES:
        expected = expected.update(**outputs)
    expected = expected.compute()
    assert (
        values["accuracy"] == expected["accuracy"]
        and values["top2"] == expected["top2"]
    )
    assert values["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert total.unreplicate().compute_values()["top2"].value == expected["top2"]


def test_a_clu_collection_reduces_a_stack_of_our_metrics():
    split = {n: x.reshape(8, -1, *x.shape[1:]) for n, x in BATCHES[0].items()}
    shards = jax.pmap(lambda b: IN_CLU.single_from_model_output(**b))(split)
    values = shards.reduce().compute()
    assert values["top2"] == jm.evaluate(jm.TopKAccuracy(k=2), **BATCHES[0])


class First(jm.Metric):
    """Metric with a merge of its own."""

    value: jm.Array = jm.leaf(fill=-1)

    def observe(self, *, values, mask=None):
        return dict(value=values[0])

    def merge(self, other):
        return self.replace(value=jnp.where(self.value < 0, other.value, self.value))

    def compute(self):
        return self.value


def test_clu_reduces_a_metric_by_its_own_merge():
    first, second = (First().update(values=[x]) for x in (3.0, 4.0))
    assert first._reduce_merge(second).compute() == 3.0
