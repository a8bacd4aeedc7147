"""Rules for metric classes, checked when a class is defined."""

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


def test_a_field_that_hides_a_method_is_refused_when_the_class_is_defined():
    with pytest.raises(TypeError, match="field 'merge' hides the method"):

        class Merging(jm.Metric):
            merge: str = "sum"


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
