"""ExpectedCalibrationError: bins and norms, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm


def binary(bins, **options):
    return jm.ExpectedCalibrationError(bins, task="binary", scores="probs", **options)


def outputs(probs, labels):
    return dict(probs=np.float32(probs), labels=np.int32(labels))


def test_a_confidence_of_one_is_in_the_last_bin():
    """torchmetrics gives it a bin of its own, and 0.525 for the second case."""
    state = binary(10).update(**outputs([0.95, 1.0, 0.0], [1, 0, 0]))
    assert state.plain()["counts/count"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    error = jm.evaluate(binary(10), **outputs([0.95, 1.0], [1, 0]))
    assert error == pytest.approx(0.475, rel=1e-7)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("l1", 0.3), ("l2", math.sqrt((0.25**2 * 2 + 0.4**2) / 3)), ("max", 0.4)],
)
def test_norms_by_hand(norm, expected):
    metric = binary(5, norm=norm)
    error = jm.evaluate(metric, **outputs([0.7, 0.8 - 1e-6, 0.4], [1, 1, 0]))
    assert error == pytest.approx(expected, abs=1e-6)


def test_a_bin_contains_its_lower_edge():
    state = binary(4).update(**outputs([0.25, 0.5, 0.75], [0, 0, 0]))
    assert state.plain()["counts/count"].tolist() == [0, 1, 1, 1]


def test_multiclass_confidence_is_the_probability_of_the_top_class():
    logits = np.log(np.float32([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]]))
    metric = jm.ExpectedCalibrationError()
    error = jm.evaluate(metric, logits=logits, labels=np.int32([0, 0]))
    assert error == pytest.approx((0.3 + 0.6) / 2, rel=1e-6)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_without_data_the_error_is_nan(norm):
    metric = jm.ExpectedCalibrationError(norm=norm)
    masked = metric.update(
        logits=np.ones((2, 3)), labels=np.int32([0, 1]), mask=np.zeros(2, bool)
    )
    assert math.isnan(metric.compute()) and math.isnan(masked.compute())


def test_weights_of_rows_apply_to_all_labels_of_a_row():
    metric = jm.ExpectedCalibrationError(weighted=True)
    error = jm.evaluate(
        metric,
        logits=np.zeros((2, 3, 2), np.float32),
        labels=np.int32([[0, 0, 0], [1, 1, 1]]),
        weights=[3.0, 1.0],
    )
    assert error == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(bins=0), "bins is 0, but must be at least 1"),
        (dict(norm="L1"), "norm is 'L1', but must be one of"),
        (dict(task="multilabel"), "task is 'multilabel', but must be one of"),
    ],
)
def test_an_impossible_configuration_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        jm.ExpectedCalibrationError(**options)


def test_offsets_and_masked_classes_change_no_confidence():
    logits = np.random.default_rng(0).normal(size=(200, 4)).round(1).astype(np.float32)
    logits = np.round(logits * 16) / 16  # exact in float32 with the offset too
    labels = np.arange(200, dtype=np.int32) % 4
    right = jm.evaluate(jm.ExpectedCalibrationError(), logits=logits, labels=labels)
    far = np.pad(logits + np.float32(1e5), ((0, 0), (0, 2)), constant_values=-np.inf)
    value = jm.evaluate(jm.ExpectedCalibrationError(), logits=far, labels=labels)
    assert value == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("metric", [jm.ExpectedCalibrationError, jm.ReliabilityCurve])
def test_a_row_with_a_probability_outside_zero_and_one_is_invalid(metric):
    probs = np.float32([[0.9, -0.2], [0.2, 1.5], [math.nan, 1], [0, 1]])
    state = metric(scores="probs").update(probs=probs, labels=np.zeros(4, np.int32))
    assert state.diagnostics()["invalid"] == 3
