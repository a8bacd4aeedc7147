"""Collections: shared states, names, and their use in clu."""

import jax
import numpy as np
import pytest

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
