"""CohenKappa and MatthewsCorrelation: degenerate cases and large counts."""

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

PREDS, LABELS = [0, 0, 0, 1, 2, 2], [0, 0, 1, 1, 2, 0]


def evaluate(metric, preds=PREDS, labels=LABELS, **outputs):
    preds, labels = np.int32(preds), np.int32(labels)
    return jm.evaluate(metric, preds=preds, labels=labels, **outputs)


def of(metric, classes=3, **options):
    return metric(classes=classes, scores="preds", **options)


def with_counts(metric, counts):
    return metric.with_fields(matrix=metric.matrix.replace(counts=counts))


def test_kappa_by_hand():
    # observed 4/6 agree; expected (3*3 + 2*1 + 1*2) / 36
    value = evaluate(of(jm.CohenKappa))
    assert value == pytest.approx((4 / 6 - 13 / 36) / (1 - 13 / 36), rel=1e-14)


@pytest.mark.parametrize("disagreement", ["none", "linear", "quadratic"])
def test_weights_of_disagreement_are_those_of_scikit_learn(disagreement):
    weights = None if disagreement == "none" else disagreement
    right = sk.cohen_kappa_score(LABELS, PREDS, weights=weights)
    value = evaluate(of(jm.CohenKappa, disagreement=disagreement))
    assert value == pytest.approx(right, rel=1e-14)


def test_classes_that_do_not_occur_change_nothing():
    for metric in (jm.CohenKappa, jm.MatthewsCorrelation):
        right = evaluate(of(metric))
        assert evaluate(of(metric, classes=6)) == pytest.approx(right, rel=1e-14)


def test_kappa_of_one_class_alone_is_undefined():
    assert np.isnan(evaluate(of(jm.CohenKappa), [1, 1], [1, 1]))
    assert evaluate(of(jm.CohenKappa), [1, 1], [1, 0]) == 0


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("preds", [[1, 1, 1], [1, 0, 1], [0, 0, 0]])
def test_the_correlation_with_labels_of_one_class_is_zero(preds):
    """torchmetrics returns 1 for equal classes, and 0.408 for the second case."""
    metric = jm.MatthewsCorrelation(task="binary", scores="preds")
    value = evaluate(metric, preds, [1, 1, 1])
    assert value == 0 == sk.matthews_corrcoef([1, 1, 1], preds)
    assert evaluate(metric, [1, 1, 1], preds) == 0


def test_perfect_and_inverted_predictions():
    metric = jm.MatthewsCorrelation(task="binary", scores="preds")
    labels = np.int32([0, 1, 1, 0, 1])
    assert evaluate(metric, labels, labels) == pytest.approx(1, rel=1e-14)
    assert evaluate(metric, 1 - labels, labels) == pytest.approx(-1, rel=1e-14)


def test_products_of_large_counts_do_not_overflow():
    """The product of four sums of counts exceeds 64 bits."""
    counts = np.array([[2**40, 2**38], [2**39, 2**40]])
    metric = jm.MatthewsCorrelation(task="binary")
    small = with_counts(metric, counts // 2**38).compute()
    assert with_counts(metric, counts).compute() == pytest.approx(small, rel=1e-14)
    kappa = jm.CohenKappa(task="binary")
    small = with_counts(kappa, counts // 2**38).compute()
    assert with_counts(kappa, counts).compute() == pytest.approx(small, rel=1e-14)


def test_rare_positives_need_no_float64():
    """1 minus the sum of squared shares would keep two digits in float32."""
    counts = np.array([[3 * 10**7, 3], [4, 5]])
    state = with_counts(jm.MatthewsCorrelation(task="binary"), counts)
    right = state.compute()
    hits, missed, false, rest = 5, 4, 3, 3 * 10**7
    sums = [hits + missed, hits + false, rest + missed, rest + false]
    expected = (hits * rest - missed * false) / np.sqrt(np.prod(np.float64(sums)))
    assert right == pytest.approx(expected, rel=1e-14)
    assert jax.jit(lambda m: m.compute())(state) == pytest.approx(expected, rel=1e-6)


def test_they_share_the_state_of_a_confusion_matrix():
    matrix = of(jm.ConfusionMatrix)
    metrics = jm.Collection(
        matrix=matrix,
        kappa=of(jm.CohenKappa),
        linear=of(jm.CohenKappa, disagreement="linear"),
        correlation=of(jm.MatthewsCorrelation),
    )
    assert len(jax.tree.leaves(metrics)) == len(jax.tree.leaves(matrix))


@pytest.mark.parametrize("metric", [jm.CohenKappa, jm.MatthewsCorrelation])
def test_without_data_the_value_is_nan(metric):
    masked = evaluate(of(metric), mask=np.zeros(6, bool))
    assert np.isnan(masked) and np.isnan(of(metric).compute())


@pytest.mark.parametrize("metric", [jm.CohenKappa, jm.MatthewsCorrelation])
def test_an_impossible_configuration_is_refused(metric):
    with pytest.raises(ValueError, match="needs the number of classes"):
        metric()
    with pytest.raises(ValueError, match="task is 'multilabel', but must be one of"):
        metric(classes=3, task="multilabel")


def test_an_unknown_weight_of_disagreement_is_refused():
    with pytest.raises(ValueError, match="disagreement is 'cubic', but must be one of"):
        of(jm.CohenKappa, disagreement="cubic")
