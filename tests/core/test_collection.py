"""Collections: shared states, names, and their use in clu."""

import copy

import jax
import numpy as np
import pytest
from support.forms import mesh_of

import jaxmetrics as jm


class Doubled(jm.Wrapper):
    """Twice the value of a metric."""

    def present(self, value):
        return 2 * value


def test_a_collection_prints_its_metrics():
    metrics = jm.Collection(loss=jm.Mean("loss"), top5=jm.TopKAccuracy(k=5))
    assert repr(metrics) == "Collection(loss=Mean('loss'), top5=TopKAccuracy(k=5))"


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


class Range(jm.Metric):
    """Smallest and largest value."""

    smallest: jm.Array = jm.min_leaf()
    largest: jm.Array = jm.max_leaf()

    def observe(self, *, values, mask=None):
        return dict(smallest=jm.minimum(values, mask), largest=jm.maximum(values, mask))

    def compute(self):
        return {"smallest": self.smallest, "largest": self.largest}


def test_values_of_a_metric_with_several_are_flat_names():
    values = jm.Collection(x=Range()).update(values=[4.0, 2.0]).compute()
    assert values == {"x/smallest": 2.0, "x/largest": 4.0}


def test_clu_collections_take_classes_and_configured_instances():
    clu = pytest.importorskip("clu.metrics")
    collection = clu.Collection.create(acc=jm.Accuracy, top2=jm.TopKAccuracy(k=2))
    logits, labels = np.eye(3, dtype=np.float32), np.array([0, 1, 0])
    batch = collection.single_from_model_output(logits=logits, labels=labels)
    total = collection.empty().merge(batch).merge(batch)
    assert total.compute() == {"acc": 2 / 3, "top2": 1.0}
    assert total.compute_values()["acc"].value == 2 / 3
    assert total.reduce is not None


def test_a_wrapper_that_only_presents_shares_the_state_of_its_metric():
    collection = jm.Collection(mean=jm.Mean("loss"), double=Doubled(jm.Mean("loss")))
    assert list(jm.state_dict(collection)) == ["mean/total", "mean/count"]
    values = collection.update(loss=[1.0, 2.0]).compute()
    assert values == {"mean": 1.5, "double": 3.0}


class FromOne(jm.Metric):
    """A mean that starts from one value of 1."""

    mean: jm.Metric = jm.Mean("loss")

    def identity(self):
        return self.with_fields(mean=self.mean.identity().replace(total=1.0, count=1))

    def compute(self):
        return self.mean.compute()


class Whole(jm.Metric, not_deferred="it needs whole batches"):
    """A mean of whole batches."""

    mean: jm.Metric = jm.Mean("loss")

    def compute(self):
        return self.mean.compute()


def test_what_a_metric_of_children_defines_holds_in_a_collection():
    assert jm.Collection(a=FromOne(), b=jm.Mean("loss")).empty().compute()["a"] == 1
    with pytest.raises(TypeError, match="Whole has no deferred form"):
        jm.Collection(a=Whole(), b=jm.Mean("loss")).deferred(mesh_of())


LOSS = {"loss": np.array([1.0, 3.0], np.float32)}


def test_a_mapping_names_metrics_that_are_no_identifiers():
    metrics = jm.Collection({"top-5": jm.TopKAccuracy(k=5)}, loss=jm.Mean("loss"))
    assert list(metrics) == ["top-5", "loss"]
    shown = "Collection({'top-5': TopKAccuracy(k=5), 'loss': Mean('loss')})"
    assert repr(metrics) == shown
    nested = jm.Collection({"val": {"loss": jm.Mean("loss"), "more": metrics}})
    assert list(nested) == ["val/loss", "val/more/top-5", "val/more/loss"]
    assert nested.update(
        **LOSS, logits=np.eye(2, 6, dtype=np.float32), labels=[0, 1]
    ).compute() == {"val/loss": 2.0, "val/more/top-5": 1.0, "val/more/loss": 2.0}


def test_a_collection_reads_like_a_mapping():
    metrics = jm.Collection(loss=jm.Mean("loss"), most=jm.Max("loss")).update(**LOSS)
    assert {n: m.compute() for n, m in {**metrics}.items()} == {"loss": 2, "most": 3}
    assert metrics.keys() == {"loss", "most"} and len(metrics.values()) == 2
    assert metrics.get("most").compute() == 3.0
    assert metrics.get("least") is None and metrics.get("least", 1) == 1


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a | b,
        lambda a, b: a | {**b},
        lambda a, b: {**a} | b,
        lambda a, b: jm.Collection(a, **b),
        lambda a, b: jm.Collection({**a, **b}),
    ],
)
def test_a_union_keeps_the_states(join):
    loss = jm.Collection(loss=jm.Mean("loss")).update(**LOSS)
    rows = jm.Collection(rows=jm.Count("loss")).update(loss=[1.0])
    metrics = join(loss, rows)
    assert metrics.compute() == {"loss": 2.0, "rows": 1}
    assert metrics.update(loss=[5.0]).compute() == {"loss": 3.0, "rows": 2}


def test_a_union_in_jit_keeps_the_states():
    loss = jm.Collection(loss=jm.Mean("loss"))
    metrics = jax.jit(lambda m: m.update(**LOSS) | {"n": jm.Count("loss")})(loss)
    assert metrics.compute() == {"loss": 2.0, "n": 0}
    again = jax.jit(lambda m: jm.Collection(**m) | m)(metrics)
    assert again.compute() == {"loss": 2.0, "n": 0}


@pytest.mark.parametrize("copied", [lambda x: x, copy.deepcopy])
@pytest.mark.parametrize("placed", [lambda x: x, jax.device_get])
def test_an_empty_metric_takes_the_state_of_its_equal(copied, placed):
    mean = copied(jm.Mean("loss"))
    state = placed(mean.update(**LOSS))
    for metrics in (jm.Collection(a=mean, b=state), jm.Collection(a=state, b=mean)):
        assert metrics.compute() == {"a": 2.0, "b": 2.0}
        assert len(jax.tree.leaves(metrics)) == 2
    same = jm.Collection(a=state) | {"b": jax.device_put(state)}
    assert same.compute() == {"a": 2.0, "b": 2.0}


def test_equal_metrics_with_different_states_are_refused():
    a, b = jm.Mean("loss").update(**LOSS), jm.Mean("loss").update(loss=9.0)
    wrong = "Collection: a and b are equal metrics.*Merge the two"
    with pytest.raises(ValueError, match=wrong):
        jm.Collection(a=a, b=b)
    with pytest.raises(ValueError, match="Collection: loss and loss are equal metrics"):
        jm.Collection(loss=a) | {"loss": b}
    with pytest.raises(ValueError, match=wrong):
        jax.jit(lambda a, b: jm.Collection(a=a, b=b))(a, b)


def test_a_name_of_two_metrics_is_refused():
    wrong = r"Collection: 'loss' names two metrics, the second Mean\('b'\)\. Give one"
    with pytest.raises(ValueError, match=wrong):
        jm.Collection(loss=jm.Mean("a")) | {"loss": jm.Mean("b")}
    with pytest.raises(ValueError, match=wrong):
        jm.Collection({"loss": jm.Mean("a")}, loss=jm.Mean("b"))
    metrics = jm.Collection({"x": Range(), "x/largest": jm.Max("values")})
    with pytest.raises(ValueError, match="two values are named 'x/largest'"):
        metrics.update(values=[1.0]).compute()


def test_what_is_no_mapping_of_names_to_metrics_is_refused():
    with pytest.raises(TypeError, match="takes metrics by name, got a Mean"):
        jm.Collection(jm.Mean())
    with pytest.raises(TypeError, match="name 5 is a int; names are strings"):
        jm.Collection({5: jm.Mean()})
    with pytest.raises(TypeError, match=r"val/loss is a int, not a metric"):
        jm.Collection({"val": {"loss": 3}})
    with pytest.raises(TypeError, match="unsupported operand"):
        jm.Collection(loss=jm.Mean()) | 3
