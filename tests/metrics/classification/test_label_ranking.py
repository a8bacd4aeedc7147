"""Rankings of labels: ties, rows without relevant labels, masked labels."""

import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

NAN = float("nan")
METRICS = {
    jm.MultilabelCoverageError: sk.coverage_error,
    jm.LabelRankingAveragePrecision: sk.label_ranking_average_precision_score,
    jm.LabelRankingLoss: sk.label_ranking_loss,
}

every_metric = pytest.mark.parametrize("metric", METRICS)


def evaluate(metric, logits, labels, **outputs):
    logits, labels = np.float32(logits), np.int32(labels)
    return jm.evaluate(metric, logits=logits, labels=labels, **outputs)


@pytest.mark.parametrize(
    ("labels", "coverage", "precision", "loss"),
    [
        ([1, 0, 0], 3, 1 / 3, 1),  # ties are read, share the worst rank, and are wrong
        ([1, 1, 0], 3, 2 / 3, 1),
        ([1, 1, 1], 3, 1, 0),
        ([0, 0, 0], 0, 1, 0),
    ],
)
def test_equal_scores(labels, coverage, precision, loss):
    expected = dict(zip(METRICS, (coverage, precision, loss)))
    for metric, function in METRICS.items():
        value = evaluate(metric(), [[0.5] * 3], [labels])
        right = function([labels], [[0.5] * 3])
        assert value == pytest.approx(right) == pytest.approx(expected[metric])


@every_metric
def test_all_rankings_of_four_labels_with_ties(metric):
    levels = np.stack(np.meshgrid(*[range(3)] * 4), axis=-1).reshape(-1, 4)
    for labels in ([1, 0, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1]):
        labels = np.broadcast_to(labels, levels.shape)
        right = METRICS[metric](labels, levels)
        assert evaluate(metric(), levels, labels) == pytest.approx(right, rel=1e-6)


@every_metric
def test_masked_labels_are_left_out_of_their_row(metric):
    logits, labels = [[3.0, 2.0, 1.0, 0.0]], [[0, 1, 0, 1]]
    right = evaluate(metric(), [[2.0, 1.0, 0.0]], [[1, 0, 1]])
    mask = np.bool_([[False, True, True, True]])
    assert evaluate(metric(), logits, labels, mask=mask) == right
    ignored = evaluate(metric(ignore_index=-1), logits, [[-1, 1, 0, 1]])
    assert ignored == right != evaluate(metric(), logits, labels)


@every_metric
def test_a_row_with_an_invalid_label_or_score_is_not_scored(metric):
    state = metric().update(
        logits=np.float32([[1, 0], [NAN, 0], [1, 0], [1, 0]]),
        labels=np.int32([[0, 1], [1, 0], [2, 0], [-1, 0]]),
        mask=np.bool_([True, True, True, False]),
    )
    assert state.plain()["count"] == 1 and state.plain()["invalid"] == 2
    probs = dict(probs=np.float32([[1, 0], [1.5, 0]]), labels=np.int32([[0, 1]] * 2))
    assert metric(scores="probs").update(**probs).plain()["invalid"] == 1


@every_metric
def test_without_data_the_value_is_nan(metric):
    masked = evaluate(metric(), [[NAN, 0.0]], [[0, 1]], mask=np.bool_([False]))
    assert np.isnan(masked) and np.isnan(metric().compute())


@every_metric
def test_labels_of_the_shape_of_the_scores_are_needed(metric):
    with pytest.raises(ValueError, match="shapes must be equal"):
        metric().update(logits=np.ones((2, 3)), labels=np.int32([0, 1]))
    with pytest.raises(ValueError, match="labels are a scalar"):
        metric().update(logits=np.float32(1), labels=np.int32(1))
