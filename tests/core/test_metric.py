"""How a metric is declared, and what follows from the declaration."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm


class Positives(jm.Metric):
    """How many values are above a threshold, and the largest."""

    threshold: float = 0.0
    count: jm.Array = jm.count_leaf()
    largest: jm.Array = jm.max_leaf()

    def observe(self, *, values, mask=None):
        values = jnp.asarray(values)
        return dict(
            count=jm.count_where(values > self.threshold, mask),
            largest=jm.maximum(values, mask),
        )

    def compute(self):
        xp = jm.namespace(self)
        return {"count": self.count, "root": xp.sqrt(self.largest)}


class Rows(jm.Metric):
    """The values themselves."""

    capacity: int = 8
    kept: jm.Array = jm.buffer_leaf("capacity")

    def observe(self, *, values, mask=None):
        values = jnp.asarray(values, jnp.float32)
        everything = jnp.ones(values.shape, bool)
        return dict(kept=(values, jm.both(everything, mask)))

    def compute(self):
        return self.kept


def test_the_instance_is_the_empty_metric():
    metric = Positives(threshold=1.0)
    assert jax.tree.structure(metric) == jax.tree.structure(metric.empty())
    assert metric.plain() == {"count": 0, "largest": -np.inf}


def test_a_metric_is_immutable_and_so_are_its_identities():
    with pytest.raises(AttributeError):
        Positives().threshold = 2.0
    with pytest.raises(ValueError, match="read-only"):
        Positives().count[0] = 5


def test_paths_are_names_and_configuration_is_structure():
    metrics = jm.Collection(hits=Positives(1.0))
    paths, treedef = jax.tree_util.tree_flatten_with_path(metrics)
    names = [jax.tree_util.keystr(p, simple=True, separator="/") for p, _ in paths]
    assert names == ["hits/count", "hits/largest"]
    assert list(jm.state_dict(metrics)) == names
    assert treedef != jax.tree.structure(jm.Collection(hits=Positives(2.0)))
    assert hash(treedef) == hash(jax.tree.structure(jm.Collection(hits=Positives(1.0))))


def test_an_integer_threshold_is_the_same_configuration_as_the_float():
    merged = Positives(1).merge(Positives(1.0))
    assert type(merged.threshold) is float


def test_methods_on_the_class_bind_the_default_configuration():
    assert Positives.empty().threshold == 0.0
    state = Positives.from_model_output(values=[1.0, -1.0, 4.0])
    assert state.compute() == {"count": 2, "root": 2.0}
    assert jm.evaluate(Positives, values=[9.0])["root"] == 3.0


def test_compute_sees_integers_and_float64_on_the_host_and_float32_in_jit():
    state = Positives().update(values=[0.25]).replace(count=2**53 + 1)
    assert state.compute()["count"] == 2**53 + 1
    assert state.compute()["root"].dtype == np.float64
    inside = jax.jit(lambda m: m.compute())(state)
    assert inside["root"].dtype == jnp.float32 and inside["root"] == 0.5


def test_replace_takes_plain_values():
    assert Positives().replace(count=2**61).plain()["count"] == 2**61
    total = jm.Mean().replace(total=0.1, count=1)
    assert total.compute() == pytest.approx(0.1, rel=1e-14)


def test_on_renames_outputs_and_from_output_is_its_other_name():
    metric = Positives().on(values="scores", mask="valid")
    state = metric.update(scores=[1.0, 2.0], valid=np.array([True, False]))
    assert state.plain()["count"] == 1
    assert jm.Mean.from_output("loss").update(loss=3.0).compute() == 3.0
    assert jm.Std("a").on(values="b").update(b=[1.0, 3.0]).compute() == 1.0
    renamed = jm.Perplexity().on(logits="x").reads()
    assert "x" in renamed.required and "logits" not in renamed.required


def test_repr_is_the_call_then_what_was_counted():
    assert repr(jm.TopKAccuracy(k=5)) == "TopKAccuracy(k=5)"
    assert repr(jm.Mean("loss")) == "Mean('loss')"
    assert repr(Positives().on(values="x")) == "Positives().on(values='x')"
    seen = jm.Mean("loss").update(loss=[1.0, 2.0])
    assert repr(seen) == "Mean('loss', total=3.0, count=2)"
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), seen)
    assert repr(stacked) == "Mean('loss', total=float32[2, 2], count=uint32[2, 2])"
    shown = []
    jax.eval_shape(lambda m: shown.append(repr(m)) or m, seen)
    assert shown == ["Mean('loss', total=traced, count=traced)"]


def test_a_donated_state_is_shown_as_such():
    state = jm.Count().place(jax.sharding.Mesh(np.array(jax.devices()), "d"))
    jax.jit(lambda m: m.update(values=1.0), donate_argnums=0)(state)
    assert repr(state) == "Count(count=donated)"


def test_a_collection_prints_its_metrics():
    metrics = jm.Collection(loss=jm.Mean("loss"), top5=jm.TopKAccuracy(k=5))
    assert repr(metrics) == "Collection(loss=Mean('loss'), top5=TopKAccuracy(k=5))"


def test_an_observe_without_a_mask_is_refused_when_the_class_is_defined():
    with pytest.raises(TypeError, match="Norm.observe takes no 'mask'"):

        class Norm(jm.Metric):
            total: jm.Array = jm.sum_leaf()

            def observe(self, *, values):
                return dict(total=jm.total(values))


def test_a_metric_of_scalars_needs_no_mask_and_refuses_arrays():
    class Scale(jm.Metric, scalars=True):
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, scale):
            return dict(total=jm.total(scale))

        def compute(self):
            return self.total

    assert Scale().update(scale=2.0).update(scale=3.0).compute() == 5.0
    with pytest.raises(ValueError, match=r"Scale observes scalars; output 'scale' has"):
        Scale().update(scale=np.ones(3))


def test_a_free_leaf_without_merge_is_refused_when_the_class_is_defined():
    with pytest.raises(TypeError, match="leaf 'value' does not combine by itself"):

        class Latest(jm.Metric, scalars=True):
            value: jm.Array = jm.leaf()

            def observe(self, *, value):
                return dict(value=value)


def test_a_contribution_of_another_shape_or_name_is_refused():
    class Wrong(jm.Metric, scalars=True):
        classes: int = 5
        counts: jm.Array = jm.count_leaf("classes classes")
        named: bool = True

        def observe(self, *, values):
            name = "counts" if self.named else "count"
            return {name: jnp.zeros(3, jnp.uint32)}

    message = r"Wrong.counts: has shape \(3,\) but is declared \(5, 5\) \(classes"
    with pytest.raises(ValueError, match=message):
        Wrong().update(values=1.0)
    with pytest.raises(TypeError, match=r"returned \['count'\]; the leaves are"):
        Wrong(named=False).update(values=1.0)


def test_a_lambda_is_refused_as_configuration():
    class Mapped(jm.Metric):
        function: object = abs
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, values, mask=None):
            return dict(total=jm.total(self.function(values), mask))

        def compute(self):
            return self.total

    assert Mapped(np.negative).update(values=np.ones(2)).compute() == -2
    with pytest.raises(TypeError, match="lambda.*cannot be pickled"):
        Mapped(lambda x: x)


def test_a_buffer_keeps_rows_and_raises_once_one_is_lost():
    metric = Rows(capacity=4)
    seen = metric.update(values=[1.0, 2.0, 3.0], mask=np.array([True, False, True]))
    seen = seen.update(values=[4.0])
    np.testing.assert_array_equal(np.sort(seen.compute()), [1.0, 3.0, 4.0])
    inside = jax.jit(lambda m: m.compute())(seen)
    assert np.isnan(inside).sum() == 1
    full = seen.update(values=[5.0, 6.0])
    with pytest.raises(ValueError, match="capacity 4 saw 5 rows"):
        full.compute()
    assert np.isnan(jax.jit(lambda m: m.compute())(full)).all()


def test_buffers_reduce_to_the_same_rows_over_devices():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    rows = np.arange(24, dtype=np.float32)
    mask = rows % 3 != 0
    metric = Rows(capacity=16).deferred(mesh)
    metric = jax.jit(lambda m: m.update(values=rows, mask=mask))(metric)
    np.testing.assert_array_equal(np.sort(metric.compute()), rows[mask])
    with pytest.raises(ValueError, match="capacity 15 saw 16"):
        Rows(capacity=15).deferred(mesh).update(values=rows, mask=mask).compute()


def test_a_metric_pickles_with_its_configuration_and_state():
    seen = jm.Collection(top=jm.TopKAccuracy(k=2), mean=jm.Mean("loss")).update(
        logits=np.eye(3, dtype=np.float32), labels=np.array([0, 1, 0]), loss=2.0
    )
    back = pickle.loads(pickle.dumps(seen))
    assert back.compute() == seen.compute()
    assert repr(back) == repr(seen)


def test_a_collection_stores_equal_metrics_once():
    metrics = jm.Collection(
        loss=jm.CrossEntropy(), perplexity=jm.Perplexity(), again=jm.CrossEntropy()
    )
    assert list(jm.state_dict(metrics)) == ["loss/total", "loss/count", "loss/invalid"]
    logits, labels = np.eye(3, dtype=np.float32), np.array([0, 1, 0])
    values = metrics.update(logits=logits, labels=labels).compute()
    assert (
        values["again"] == values["loss"] == pytest.approx(np.log(values["perplexity"]))
    )
    assert len(jax.tree.leaves(jm.Collection(a=jm.Mean("x"), b=jm.Mean("y")))) == 4


def test_a_collection_is_a_mapping_in_the_order_given():
    metrics = jm.Collection(b=jm.Mean(), a=jm.Accuracy)
    assert list(metrics) == ["b", "a"] and len(metrics) == 2 and "a" in metrics
    assert isinstance(dict(metrics.items())["a"], jm.Accuracy)
    assert list(metrics.empty().plain())[:2] == ["b/total", "b/count"]


def test_values_of_a_metric_with_several_are_flat_names():
    values = jm.Collection(x=Positives()).update(values=[4.0]).compute()
    assert values == {"x/count": 1, "x/root": 2.0}


def test_clu_collections_take_classes_and_configured_instances():
    clu = pytest.importorskip("clu.metrics")
    made = clu.Collection.create(acc=jm.Accuracy, top2=jm.TopKAccuracy(k=2))
    logits, labels = np.eye(3, dtype=np.float32), np.array([0, 1, 0])
    batch = made.single_from_model_output(logits=logits, labels=labels)
    total = made.empty().merge(batch).merge(batch)
    assert total.compute() == {"acc": 2 / 3, "top2": 1.0}
    assert total.compute_values()["acc"].value == 2 / 3
    assert total.reduce is not None
