"""ClasswiseCalibrationError: by hand, and classes that are ignored."""

import numpy as np
import pytest

import jaxmetrics as jm

NAN = float("nan")
PROBS = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]]


def of(classes=3, **options):
    return jm.ClasswiseCalibrationError(classes, scores="probs", **options)


def evaluate(metric, probs, labels, **outputs):
    probs, labels = np.float32(probs), np.int32(labels)
    return jm.evaluate(metric, probs=probs, labels=labels, **outputs)


def test_the_errors_of_all_classes_by_hand():
    by_class = evaluate(of(bins=1, average="none"), PROBS, [0, 2])
    np.testing.assert_allclose(by_class, [0.15, 0.25, 0.4], rtol=1e-6)
    assert evaluate(of(bins=1), PROBS, [0, 2]) == pytest.approx(0.8 / 3, rel=1e-6)


def test_two_classes_have_the_error_of_the_binary_task():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.99, 100).astype(np.float32)
    labels = rng.integers(0, 2, 100).astype(np.int32)
    by_class = evaluate(of(2, average="none"), np.stack([1 - p, p], -1), labels)
    binary = jm.ExpectedCalibrationError(task="binary", scores="probs")
    right = jm.evaluate(binary, probs=p, labels=labels)
    assert by_class[1] == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize(
    ("norm", "expected"), [("l1", 0.35), ("l2", 0.125**0.5), ("max", 0.4)]
)
def test_norms_over_bins(norm, expected):
    metric = of(1, bins=2, norm=norm)
    errors = dict(count=[[2, 2]], hits=[[1, 1]], confidence=[[0.4, 1.8]])
    assert metric.replace(**errors).compute() == pytest.approx(expected, rel=1e-6)


def test_an_ignored_class_is_not_in_the_mean():
    labels = [0, 1]
    by_class = evaluate(of(bins=1, average="none", ignore_index=1), PROBS, labels)
    np.testing.assert_allclose(by_class, [0.3, NAN, 0.1], rtol=1e-6)
    macro = evaluate(of(bins=1, ignore_index=1), PROBS, labels)
    assert macro == pytest.approx(0.2, rel=1e-6)


def test_invalid_rows_are_counted_and_not_scored():
    state = of(2).update(
        probs=np.float32([[1, 0], [2, -1], [NAN, 0], [1, 0]]),
        labels=np.int32([0, 0, 0, 2]),
    )
    assert state.compute() == 0 and state.plain()["invalid"] == 3


def test_counts_beyond_float32_are_exact():
    many = 2**24 + 1
    state = of(1, bins=1).replace(count=[[many]], hits=[[many]], confidence=[[1.0]])
    assert state.compute() == (many - 1) / many


def test_without_data_the_error_is_nan():
    masked = evaluate(of(), [[NAN] * 3], [0], mask=np.bool_([False]))
    assert np.isnan(masked) and np.isnan(of(average="none").compute()).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(classes=None), "needs the number of classes"),
        (dict(classes=0), "classes is 0, but must be at least 1"),
        (dict(bins=0), "bins is 0, but must be at least 1"),
        (dict(average="micro"), "average is 'micro', but must be one of"),
        (dict(norm="l3"), "norm is 'l3', but must be one of"),
    ],
)
def test_an_impossible_configuration_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        of(**options)


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="the 3 classes"):
        evaluate(of(), [[0.5, 0.5]], [0])
