"""NormalizedEntropy and ClickThroughRate."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm

INF, NAN = float("inf"), float("nan")


def entropy(scores, labels, kind="probs", **options):
    metric = jm.NormalizedEntropy(scores=kind, **options)
    outputs = {kind: np.float32(scores), "labels": np.int32(labels)}
    return jm.evaluate(metric, **outputs)


def test_predicting_the_rate_of_the_data_is_one():
    assert entropy([0.25] * 4, [0, 1, 0, 0]) == pytest.approx(1, rel=1e-6)
    assert entropy([0.25] * 4, [0, 1, 1, 0]) > 1


def test_the_value_by_hand():
    loss = -(np.log(0.75) + np.log(1 - 0.25)) / 2
    value = entropy([0.75, 0.25], [1, 0])
    assert value == pytest.approx(loss / np.log(2), rel=1e-6)


def test_large_logits_keep_their_digits():
    value = entropy([30, -20], [1, 0], "logits")
    right = (np.log1p(np.exp(-30)) + np.log1p(np.exp(-20))) / 2 / np.log(2)
    assert value == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize(("kind", "certain"), [("probs", 1.0), ("logits", INF)])
def test_certain_predictions(kind, certain):
    """torcheval clips the logarithm; a certain error costs infinitely much."""
    assert entropy([certain, 1 - certain], [1, 0], kind) == 0
    assert entropy([certain, certain], [1, 0], kind) == INF


@pytest.mark.parametrize("label", [0, 1])
def test_labels_that_are_all_equal_have_no_entropy_to_compare_with(label):
    assert np.isnan(entropy([0.5, 0.4], [label, label]))


def test_rare_positives_keep_their_digits_in_float32():
    state = jm.NormalizedEntropy().replace(total=100.0, positives=3, negatives=2**26)
    p = 3 / (2**26 + 3)
    right = 100 / (2**26 + 3) / -(p * np.log(p) + (1 - p) * np.log1p(-p))
    assert state.compute() == pytest.approx(right, rel=1e-8)
    assert jax.jit(lambda m: m.compute())(state) == pytest.approx(right, rel=1e-6)


def test_invalid_labels_and_scores_are_counted_and_not_scored():
    state = jm.NormalizedEntropy(scores="probs").update(
        probs=np.float32([0.5, NAN, 1.5, 0.5, 0.5]), labels=np.int32([1, 0, 0, 2, 0])
    )
    assert state.compute() == pytest.approx(1) and state.plain()["invalid"] == 3


def test_the_click_through_rate_counts_exactly():
    metric = jm.ClickThroughRate().replace(clicked=2**24 + 1, total=2**25)
    assert metric.compute() == (2**24 + 1) / 2**25
    state = jm.ClickThroughRate(ignore_index=-1).update(
        clicks=np.int32([1, 0, -1, 5]), mask=np.bool_([True] * 4)
    )
    assert state.compute() == 0.5 and state.plain()["invalid"] == 1


def test_clicks_are_integers():
    with pytest.raises(TypeError, match="must be 0 or 1 as integers"):
        jm.ClickThroughRate().update(clicks=np.float32([0.5]))


@pytest.mark.parametrize(
    ("metric", "outputs"),
    [
        (jm.ClickThroughRate(), dict(clicks=np.int32([1]))),
        (jm.NormalizedEntropy(), dict(logits=[NAN], labels=np.int32([1]))),
    ],
)
def test_without_data_the_value_is_nan(metric, outputs):
    masked = jm.evaluate(metric, **outputs, mask=np.bool_([False]))
    assert np.isnan(masked) and np.isnan(metric.compute())
