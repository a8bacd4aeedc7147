"""Tests of the metrics of one threshold."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)

METRICS = {
    "precision": (jm.PrecisionAtRecall, dict(recall=0.8)),
    "recall": (jm.RecallAtPrecision, dict(precision=0.7)),
    "sensitivity": (jm.SensitivityAtSpecificity, dict(specificity=0.8)),
    "specificity": (jm.SpecificityAtSensitivity, dict(sensitivity=0.8)),
    "distance": (jm.KolmogorovSmirnov, {}),
    "score": (jm.MaxFBeta, dict(beta=2.0)),
    "error_rate": (jm.EqualErrorRate, {}),
}


def drawn(rows=500, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    return dict(
        logits=(rng.standard_t(2, size=rows) + labels).astype(np.float32), labels=labels
    )


def rates(logits, labels):
    """Return precision, recall, specificity and threshold of every score."""
    for threshold in np.unique(logits)[::-1]:
        above = logits >= threshold
        yield (
            sk.precision_score(labels, above),
            above[labels == 1].mean(),
            1 - above[labels == 0].mean(),
            threshold,
        )


def best(name, logits, labels):
    """Return the best value over all thresholds by brute force."""
    points = list(rates(logits, labels))
    match name:
        case "precision":
            return max(p for p, r, _, _ in points if r >= 0.8)
        case "recall":
            return max(r for p, r, _, _ in points if p >= 0.7)
        case "sensitivity":
            return max([0.0, *(r for _, r, s, _ in points if s >= 0.8)])
        case "specificity":
            return max(s for _, r, s, _ in points if r >= 0.8)
        case "distance":
            positive, negative = (logits[labels == i] for i in (1, 0))
            return scipy.stats.ks_2samp(
                negative, positive, alternative="greater"
            ).statistic
        case "score":
            thresholds = np.unique(logits)
            return max(sk.fbeta_score(labels, logits >= t, beta=2) for t in thresholds)
        case _:
            errors = [(abs(r - s), 1 - (r + s) / 2) for _, r, s, _ in points]
            return min(errors)[1]


@pytest.mark.parametrize("name", METRICS)
def test_the_bounds_hold_the_best_of_all_thresholds_which_kept_rows_find(name):
    kind, options = METRICS[name]
    batch = drawn()
    expected = best(name, **batch)
    exact = jm.evaluate(kind(exact=True, capacity=500, **options), **batch)
    assert np.isclose(exact[name], expected, atol=1e-9)
    for bins in (16, 256, 4096):
        metric = kind(bins=bins, **options).update(**batch)
        low, high = (bound[name] for bound in metric.bounds())
        assert low - 1e-9 <= expected <= high + 1e-9
        value = metric.compute()[name]
        assert low - 1e-9 <= value <= high + 1e-9
    assert high - low < 0.05 and abs(value - expected) < 0.02


@pytest.mark.parametrize("name", METRICS)
def test_the_value_is_reached_at_the_threshold(name):
    kind, options = METRICS[name]
    batch = drawn()
    point = jm.evaluate(kind(bins=64, **options), **batch)
    above = batch["logits"] >= point["threshold"]
    positive = batch["labels"] == 1
    recall, specificity = above[positive].mean(), 1 - above[~positive].mean()
    reached = {
        "precision": sk.precision_score(positive, above),
        "recall": recall,
        "sensitivity": recall,
        "specificity": specificity,
        "distance": recall + specificity - 1,
        "score": sk.fbeta_score(positive, above, beta=2),
        "error_rate": 1 - (recall + specificity) / 2,
    }
    assert np.isclose(point[name], reached[name], atol=1e-9)


def test_a_rate_that_no_threshold_has_is_zero_without_a_threshold():
    metric = jm.RecallAtPrecision(precision=0.9)
    point = jm.evaluate(metric, logits=[1.0, 0.0], labels=[0, 1])
    assert point["recall"] == 0 and np.isnan(point["threshold"])


@pytest.mark.parametrize("name", METRICS)
def test_labels_of_one_kind_only(name):
    kind, options = METRICS[name]
    point = jm.evaluate(kind(**options), logits=[1.0, 0.0], labels=[0, 0])
    assert np.isnan(point[name]) and np.isnan(point["threshold"])
    needs_negatives = name not in ("precision", "recall", "score")
    point = jm.evaluate(kind(**options), logits=[1.0, 0.0], labels=[1, 1])
    assert np.isnan(point[name]) == needs_negatives


def test_each_class_has_its_own():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    logits = (np.eye(3)[labels] + rng.normal(size=(200, 3))).astype(np.float32)
    point = jm.evaluate(jm.KolmogorovSmirnov(classes=3), logits=logits, labels=labels)
    assert point["distance"].shape == point["threshold"].shape == (3,)
    metric = jm.KolmogorovSmirnov(classes=3, average="micro")
    assert np.ndim(jm.evaluate(metric, logits=logits, labels=labels)["distance"]) == 0


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: jm.PrecisionAtRecall(recall=0.0), "recall is 0.0"),
        (lambda: jm.RecallAtPrecision(precision=2), "precision is 2"),
        (lambda: jm.SensitivityAtSpecificity(specificity=-1), "specificity is -1"),
        (lambda: jm.SpecificityAtSensitivity(sensitivity=1.1), "sensitivity is 1.1"),
        (lambda: jm.MaxFBeta(beta=0.0), "beta is 0.0"),
        (lambda: jm.EqualErrorRate(average="macro", classes=2), "average is 'macro'"),
    ],
)
def test_refuses(make, match):
    with pytest.raises(ValueError, match=match):
        make()
