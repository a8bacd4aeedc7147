"""Informedness and Markedness by hand, and where they are undefined."""

import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

NAN = float("nan")
PREDS, LABELS = [1, 1, 0, 0, 1, 0, 1], [1, 1, 1, 0, 0, 0, 0]


def evaluate(metric, preds, labels, **outputs):
    preds, labels = np.int32(preds), np.int32(labels)
    return jm.evaluate(metric, preds=preds, labels=labels, **outputs)


def binary(metric, **options):
    return metric(task="binary", scores="preds", **options)


def test_informedness_is_the_adjusted_balanced_accuracy():
    value = evaluate(binary(jm.Informedness), PREDS, LABELS)
    right = sk.balanced_accuracy_score(LABELS, PREDS, adjusted=True)
    assert value == pytest.approx(right, rel=1e-14)
    assert value == pytest.approx(2 / 3 + 2 / 4 - 1, rel=1e-14)


def test_markedness_is_informedness_with_the_roles_exchanged():
    value = evaluate(binary(jm.Markedness), PREDS, LABELS)
    assert value == evaluate(binary(jm.Informedness), LABELS, PREDS)
    assert value == pytest.approx(2 / 4 + 2 / 3 - 1, rel=1e-14)


def test_the_root_of_their_product_is_the_matthews_correlation():
    product = evaluate(binary(jm.Informedness), PREDS, LABELS) * evaluate(
        binary(jm.Markedness), PREDS, LABELS
    )
    assert product**0.5 == pytest.approx(sk.matthews_corrcoef(LABELS, PREDS))


@pytest.mark.parametrize("undefined", [0, 1, NAN])
@pytest.mark.parametrize("label", [0, 1])
def test_with_one_label_alone_informedness_is_undefined(label, undefined):
    metric = binary(jm.Informedness, zero_division=undefined)
    value = evaluate(metric, [0, 1], [label, label])
    np.testing.assert_equal(float(value), float(undefined))


def test_micro_takes_the_ratios_of_summed_counts():
    metric = jm.Informedness(classes=3, scores="preds", average="micro")
    value = evaluate(metric, [0, 0, 0, 1, 2], [0, 0, 1, 1, 2])
    assert value == pytest.approx(4 / 5 - 1 / 10, rel=1e-14)


@pytest.mark.parametrize("metric", [jm.Informedness, jm.Markedness])
def test_without_data_the_value_is_nan(metric):
    masked = evaluate(binary(metric), PREDS, LABELS, mask=np.zeros(7, bool))
    assert np.isnan(masked) and np.isnan(binary(metric).compute())
