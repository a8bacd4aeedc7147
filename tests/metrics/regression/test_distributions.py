"""Cosine similarity and divergences: by hand, zero support, invalid rows."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

import jaxmetrics as jm

NAN, INF = math.nan, math.inf
KL = jm.KLDivergence(scores="probs")
JS = jm.JensenShannonDivergence(scores="probs")


def test_cosines_by_hand_and_zero_vectors():
    outputs = dict(preds=[[3.0, 4.0], [0.0, 0.0]], targets=[[4.0, 3.0], [1.0, 0.0]])
    assert jm.evaluate(jm.CosineSimilarity(), **outputs) == pytest.approx(0.48)
    total = jm.CosineSimilarity(reduction="sum")
    assert jm.evaluate(total, **outputs) == pytest.approx(0.96)
    assert math.isnan(total.compute()) and math.isnan(jm.CosineSimilarity().compute())


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_squares_that_leave_float32_do_not_matter(scale):
    outputs = dict(preds=np.float32([[3 * scale, 4 * scale]]), targets=[[4.0, 3.0]])
    assert jm.evaluate(jm.CosineSimilarity(), **outputs) == pytest.approx(0.96)


def test_a_mask_of_vectors_hides_nan_and_others_are_visible():
    outputs = dict(preds=[[1.0, 0.0], [NAN, 1.0]], targets=[[1.0, 0.0], [0.0, 1.0]])
    state = jm.CosineSimilarity()
    assert state.update(**outputs, mask=[True, False]).compute() == 1
    assert math.isnan(state.update(**outputs).compute())
    with pytest.raises(ValueError, match="reduction is 'none'"):
        jm.CosineSimilarity(reduction="none")
    with pytest.raises(ValueError, match="need a last axis"):
        state.update(preds=1.0, targets=1.0)


def test_divergences_by_hand():
    outputs = dict(probs=[[0.25, 0.75]], targets=[[0.5, 0.5]])
    right = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert jm.evaluate(KL, **outputs) == pytest.approx(right)
    middle = np.array([0.375, 0.625])
    right = sum(scipy.stats.entropy(x, middle) for x in ([0.25, 0.75], [0.5, 0.5])) / 2
    assert jm.evaluate(JS, **outputs) == pytest.approx(right, rel=1e-5)


def test_zero_support():
    certain = dict(targets=[[1.0, 0.0]], probs=[[0.5, 0.5]])
    assert jm.evaluate(KL, **certain) == pytest.approx(math.log(2))
    excluded = dict(targets=[[0.5, 0.5]], probs=[[1.0, 0.0]])
    assert jm.evaluate(KL, **excluded) == INF
    assert jm.evaluate(JS, targets=[[0.0, 1.0]], probs=[[1.0, 0.0]]) == pytest.approx(
        math.log(2)
    )
    both = dict(targets=[[0.5, 0.5, 0.0]], probs=[[0.5, 0.5, 0.0]])
    assert jm.evaluate(KL, **both) == 0 and jm.evaluate(JS, **both) == 0


def test_masked_classes_have_logits_of_minus_infinity():
    outputs = dict(logits=[[0.0, 1.0, -INF]], targets=[[1.0, 0.0, -INF]])
    t, p = scipy.special.softmax([1.0, 0.0]), scipy.special.softmax([0.0, 1.0])
    value = jm.evaluate(jm.KLDivergence(), **outputs)
    assert value == pytest.approx(scipy.stats.entropy(t, p))
    impossible = dict(outputs, logits=[[0.0, -INF, -INF]])
    assert jm.evaluate(jm.KLDivergence(), **impossible) == INF
    # exp(-200) is 0 in float32, but not excluded.
    tiny = dict(impossible, targets=[[0.0, -200.0, -INF]])
    assert jm.evaluate(jm.KLDivergence(), **tiny) == INF


@pytest.mark.parametrize("gap", [10.0, 100.0, 1000.0])
def test_distributions_far_apart(gap):
    outputs = dict(logits=[[gap, 0.0]], targets=[[0.0, gap]])
    assert jm.evaluate(jm.KLDivergence(), **outputs) == pytest.approx(gap, rel=1e-3)
    value = jm.evaluate(jm.JensenShannonDivergence(), **outputs)
    assert value == pytest.approx(math.log(2), rel=1e-3)


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-3])
def test_a_small_divergence_keeps_its_digits(distance):
    rng = np.random.default_rng(0)
    targets = rng.normal(0, 2, (20, 8)).astype(np.float32)
    logits = (targets + distance * rng.normal(0, 1, (20, 8))).astype(np.float32)
    t, p = (scipy.special.softmax(x.astype(float), -1) for x in (targets, logits))
    right = scipy.stats.entropy(t, p, axis=-1).mean()
    value = jm.evaluate(jm.KLDivergence(), logits=logits, targets=targets)
    assert value == pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize("metric", [KL, JS])
def test_rows_that_are_no_distribution_are_invalid(metric):
    probs = [[0.5, 0.5], [0.5, 0.6], [NAN, 0.5], [-0.1, 1.1], [0.5, 0.5], [0.502, 0.5]]
    targets = [[0.5, 0.5]] * 4 + [[0.9, 0.9], [0.5, 0.5]]
    state = metric.update(probs=probs, targets=targets)
    assert state.diagnostics() == dict(invalid=4)
    assert state.compute() == pytest.approx(0, abs=1e-5)
    mask = [True, False, False, False, False, True]
    masked = metric.update(probs=probs, targets=targets, mask=mask)
    assert masked.diagnostics() == {}
    assert math.isnan(metric.compute())


@pytest.mark.parametrize("metric", [jm.KLDivergence, jm.JensenShannonDivergence])
def test_logits_without_a_softmax_are_invalid(metric):
    logits = [[0.0, 0.0], [NAN, 0.0], [INF, 0.0], [-INF, -INF]]
    state = metric().update(logits=logits, targets=np.zeros((4, 2)))
    assert state.compute() == 0 and state.diagnostics() == dict(invalid=3)


@pytest.mark.parametrize("metric", [jm.KLDivergence, jm.JensenShannonDivergence])
def test_classes_and_wrong_scores_are_refused(metric):
    with pytest.raises(ValueError, match="Pass the target distribution"):
        metric().update(logits=np.zeros((4, 3)), targets=np.zeros(4))
    with pytest.raises(ValueError, match="at least 2"):
        metric().update(logits=np.zeros((4, 1)), targets=np.zeros((4, 1)))
    with pytest.raises(ValueError, match="scores is one of"):
        metric(scores="preds")
