"""Rules for metric classes, checked when a class is defined."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.core import scores_field


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


def test_an_observe_without_a_leaf_is_refused_when_the_class_is_defined():
    with pytest.raises(TypeError, match="defines observe but no leaf.*jm.Wrapper"):

        class Hard(jm.Metric):
            metric: jm.Metric

            def observe(self, *, loss, mask=None):
                return dict()


HIDDEN = ["merge", "empty", "on", "from_fun", "renames", "holds_state", "_layout"]


@pytest.mark.parametrize("name", HIDDEN)
def test_a_field_that_hides_an_attribute_is_refused_when_the_class_is_defined(name):
    body = {"__annotations__": {name: jm.Array}, name: jm.count_leaf()}
    with pytest.raises(TypeError, match=f"field '{name}' hides the attribute"):
        types.new_class("Hiding", (jm.Metric,), exec_body=lambda ns: ns.update(body))


def test_arguments_of_observe_by_position_are_refused_when_the_class_is_defined():
    with pytest.raises(
        TypeError, match=r"observe takes \['loss', 'mask'\] without a st"
    ):

        class Norm(jm.Metric):
            total: jm.Array = jm.sum_leaf()

            def observe(self, loss, mask=None):
                return dict(total=jm.total(loss, mask))


def test_a_post_init_without_that_of_the_base_is_refused_when_the_class_is_defined():
    with pytest.raises(TypeError, match=r"Bounded defines __post_init__.*validate"):

        class Bounded(jm.Metric):
            limit: float = 1.0
            count: jm.Array = jm.count_leaf()

            def __post_init__(self):
                assert self.limit > 0


@pytest.mark.parametrize("dims", [3, "classes, classes", "-3", ("classes",)])
def test_dims_that_are_no_names_or_numbers_are_refused(dims):
    with pytest.raises(TypeError, match=r"count_leaf\(\) got dims"):
        jm.count_leaf(dims)


@pytest.mark.parametrize("classes", [None, 3.0, -3])
def test_a_size_that_is_no_number_of_entries_is_refused(classes):
    class Sized(jm.Metric):
        classes: object = None
        hits: jm.Array = jm.count_leaf("classes")

    with pytest.raises(ValueError, match=f"Sized: classes is {classes}, but is the si"):
        Sized(classes)


@pytest.mark.parametrize("metric", [jm.Accuracy, jm.CrossEntropy, jm.Perplexity])
def test_scores_are_read_from_the_output_that_is_configured(metric):
    assert "logits" in metric().reads().required
    probs = metric(scores="probs").reads()
    assert "probs" in probs.required and "logits" not in probs.names
    renamed = metric(scores="probs").on(logits="p").reads()
    assert "p" in renamed.required and "probs" not in renamed.names


@pytest.mark.parametrize("scores", ["preds", "log_probs", True])
def test_scores_that_a_metric_cannot_read_are_refused(scores):
    message = r"CrossEntropy: scores is one of \('logits', 'probs', 'losses'\), got"
    with pytest.raises(ValueError, match=message):
        jm.CrossEntropy(scores=scores)


class Positive(jm.Metric):
    """Number of predicted positives, from scores of three kinds."""

    scores: str = scores_field("probs", "logits", "preds", default="probs")
    count: jm.Array = jm.count_leaf()

    def observe(self, *, logits, mask=None):
        limit = {"probs": 0.5, "logits": 0.0, "preds": 0.5}[self.scores]
        return dict(count=jm.count_where(jnp.asarray(logits) > limit, mask))

    def compute(self):
        return self.count


def test_a_class_lists_the_scores_that_it_reads_and_the_default():
    assert jm.evaluate(Positive(), probs=[0.2, 0.7]) == 1
    assert jm.evaluate(Positive(scores="logits"), logits=[-1.0, 3.0]) == 1
    assert jm.evaluate(Positive(scores="preds"), preds=[1, 1]) == 2


def test_a_class_that_updates_itself_is_refused():
    with pytest.raises(TypeError, match=r"Total defines update\(\).*write observe"):

        class Total(jm.Metric):
            total: float = 0.0

            def update(self, loss):
                self.total += loss

            def compute(self):
                return self.total


def test_a_metric_without_any_state_is_refused():
    class Total(jm.Metric):
        total: float = 0.0

        def compute(self):
            return self.total

    with pytest.raises(TypeError, match=r"Total declares no leaf.*write observe"):
        jm.evaluate(Total(), loss=1.0)


@pytest.mark.parametrize(
    "declared",
    [
        lambda: jm.count_leaf("classes"),
        lambda: jm.sum_leaf("3 classes"),
        lambda: jm.count_leaf(weighted="classes"),
        lambda: jm.sum_leaf(moments="classes"),
        lambda: jm.buffer_leaf("classes"),
        lambda: jm.max_leaf("classes"),
        lambda: jm.leaf("classes"),
    ],
)
def test_a_leaf_of_an_unknown_size_is_refused(declared):
    with pytest.raises(TypeError, match="Bad: leaf 'hits' is declared with 'classes'"):

        class Bad(jm.Metric):
            hits: jm.Array = declared()

            def observe(self, *, labels, mask=None):
                return dict(hits=labels)

            def merge(self, other):
                return self


def test_a_size_may_be_a_property_or_a_later_field():
    class Pairs(jm.Metric):
        hits: jm.Array = jm.count_leaf("size classes")
        classes: int = 2

        @property
        def size(self):
            return self.classes**2

    assert Pairs(classes=3).plain()["hits"].shape == (9, 3)


def test_a_collection_is_not_declared_as_a_class():
    message = r"Metrics derives .*jm\.Collection\(top_5=jm\.Accuracy\(\), \.\.\.\)"
    with pytest.raises(TypeError, match=message):

        class Metrics(jm.Collection):
            top_5: jm.Accuracy

    with pytest.raises(TypeError, match="Assigned derives from Collection"):

        class Assigned(jm.Collection):
            loss = jm.Mean("loss")
