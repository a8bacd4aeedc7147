"""BalancedAccuracy and GeometricMeanScore: classes that do not occur, corrections."""

import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

PREDS, LABELS = [0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 2, 2]  # recalls 2/3, 1, 1/2


def evaluate(metric, preds=PREDS, labels=LABELS, **outputs):
    preds, labels = np.int32(preds), np.int32(labels)
    return jm.evaluate(metric, preds=preds, labels=labels, **outputs)


def balanced(classes=3, **options):
    return jm.BalancedAccuracy(classes=classes, scores="preds", **options)


def geometric(classes=3, **options):
    return jm.GeometricMeanScore(classes=classes, scores="preds", **options)


def test_the_values_by_hand():
    assert evaluate(balanced()) == pytest.approx(13 / 18, rel=1e-14)
    assert evaluate(balanced(adjusted=True)) == pytest.approx(7 / 12, rel=1e-14)
    assert evaluate(geometric()) == pytest.approx((1 / 3) ** (1 / 3), rel=1e-14)


def test_it_is_the_macro_average_of_accuracy():
    accuracy = jm.Accuracy(average="macro", classes=3, scores="preds")
    assert evaluate(balanced()) == evaluate(accuracy)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("adjusted", [False, True])
def test_classes_that_are_never_the_label_do_not_count(adjusted):
    preds, labels = [0, 3, 1, 1], [0, 0, 1, 1]
    value = evaluate(balanced(classes=5, adjusted=adjusted), preds, labels)
    right = sk.balanced_accuracy_score(labels, preds, adjusted=adjusted)
    assert value == pytest.approx(right, rel=1e-14)


def test_with_one_class_there_is_no_chance_to_adjust_for():
    assert evaluate(balanced(), [0, 0, 1], [0, 0, 0]) == pytest.approx(2 / 3)
    assert np.isnan(evaluate(balanced(adjusted=True), [0, 0, 1], [0, 0, 0]))


def test_the_binary_geometric_mean_is_of_sensitivity_and_specificity():
    metric = jm.GeometricMeanScore(task="binary", scores="preds")
    value = evaluate(metric, [1, 0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0, 1])
    assert value == pytest.approx((2 / 3 * 3 / 4) ** 0.5, rel=1e-14)


def test_a_class_that_is_never_right_makes_the_mean_zero_or_is_corrected():
    preds, labels = [0, 0, 0, 2], [0, 0, 1, 2]
    assert evaluate(geometric(), preds, labels) == 0
    corrected = evaluate(geometric(correction=0.001), preds, labels)
    assert corrected == pytest.approx(0.1, rel=1e-14)


def test_the_geometric_mean_counts_a_predicted_class_without_labels():
    assert evaluate(geometric(), [0, 1], [0, 0]) == 0
    assert evaluate(geometric(classes=5)) == evaluate(geometric())


def test_an_ignored_class_is_not_in_the_mean():
    assert evaluate(balanced(ignore_index=0)) == 0.75
    value = evaluate(geometric(ignore_index=0), [0, *PREDS], [1, *LABELS])
    assert value == pytest.approx(0.5, rel=1e-14)


@pytest.mark.parametrize("metric", [balanced, geometric])
def test_without_data_the_value_is_nan(metric):
    masked = evaluate(metric(), mask=np.zeros(6, bool))
    assert np.isnan(masked) and np.isnan(metric().compute())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: balanced(classes=None), "needs the number of classes"),
        (lambda: balanced(task="multilabel"), "task is 'multilabel', but must be"),
        (lambda: geometric(correction=2), "correction is 2.0, but must be a recall"),
    ],
)
def test_an_impossible_configuration_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
