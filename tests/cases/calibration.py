"""Rows of the calibration family."""

from __future__ import annotations

import numpy as np
import scipy.special
from support.case import (
    CLASSES,
    NAN,
    Case,
    binary,
    multiclass,
    weighted,
    with_probs,
)

import jaxmetrics as jm


def _calibration(norm, bins=15):
    """Return the calibration error of confidences, hits and weights, bin by bin."""

    def error(confidence, hit, weights=None):
        weights = np.ones_like(confidence) if weights is None else weights
        index = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1])
        share, distance = [], []
        for number in np.unique(index):
            in_bin = index == number
            share.append(weights[in_bin].sum() / weights.sum())
            gap = np.average((hit - confidence)[in_bin], weights=weights[in_bin])
            distance.append(abs(gap))
        share, distance = np.array(share), np.array(distance)
        return {
            "l1": (share * distance).sum(),
            "l2": np.sqrt((share * distance**2).sum()),
            "max": distance.max(),
        }[norm]

    return error


def _calibrated(norm):
    error = _calibration(norm)

    def reference(logits, labels, weights=None):
        confidence = scipy.special.softmax(logits, -1).max(-1)
        return error(confidence, logits.argmax(-1) == labels, weights)

    return reference


def _of_classes(probs, labels, norm, bins=15, weights=None):
    """Return the error of the probability of each class."""
    error = _calibration(norm, bins)
    return np.array([error(probs[:, c], labels == c, weights) for c in range(CLASSES)])


def tempered(rng, rows):
    """Return logits whose top probabilities are far apart, unless they are equal."""
    level = rng.integers(1, 12, rows)
    logits = np.eye(CLASSES)[rng.integers(0, CLASSES, rows)] * level[:, None] / 4
    labels = rng.integers(0, CLASSES, rows).astype(np.int32)
    return dict(logits=logits.astype(np.float32), labels=labels)


def _of_equal_mass(confidence, hit, weights, bins=5):
    """Return the error over bins of equal weight; equal confidences stay together."""
    confidence = confidence.round(6)
    levels = np.unique(confidence)
    own = np.array([weights[confidence == level].sum() for level in levels])
    middle = (np.cumsum(own) - own / 2) / own.sum()
    number = np.floor(middle * bins)[np.searchsorted(levels, confidence)]
    gaps = weights * (hit - confidence)
    return sum(abs(gaps[number == n].sum()) for n in range(bins)) / own.sum()


def _reliability(confidence, labels, bins):
    """Return mean confidence, mean label and number of each bin."""
    index = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    rows = [index == number for number in range(bins)]
    means = [
        [x[r].mean() if r.any() else NAN for r in rows] for x in (confidence, labels)
    ]
    return np.array([*means, [r.sum() for r in rows]])


CASES = (
    Case(
        "calibration error",
        jm.ExpectedCalibrationError(),
        multiclass,
        _calibrated("l1"),
    ),
    Case(
        "calibration error, squared, weighted",
        jm.ExpectedCalibrationError(norm="l2", weighted=True),
        weighted(multiclass),
        _calibrated("l2"),
    ),
    Case(
        "largest calibration error",
        jm.ExpectedCalibrationError(norm="max"),
        multiclass,
        _calibrated("max"),
    ),
    Case(
        "calibration error binary, from probs",
        jm.ExpectedCalibrationError(task="binary", scores="probs"),
        with_probs(binary),
        lambda probs, labels: _calibration("l1")(probs, labels),
        reads={"logits": "probs"},
    ),
    Case(
        "calibration error binary",
        jm.ExpectedCalibrationError(10, task="binary"),
        binary,
        lambda logits, labels: _calibration("l1", 10)(
            scipy.special.expit(logits), labels
        ),
    ),
    Case(
        "calibration error by class",
        jm.ClasswiseCalibrationError(classes=CLASSES, average="none"),
        multiclass,
        lambda logits, labels: _of_classes(
            scipy.special.softmax(logits, -1), labels, "l1"
        ),
    ),
    Case(
        "calibration error of classes from probs, squared, weighted",
        jm.ClasswiseCalibrationError(
            CLASSES, 5, norm="l2", scores="probs", weighted=True
        ),
        weighted(with_probs(multiclass)),
        lambda probs, labels, weights: np.mean(
            _of_classes(probs, labels, "l2", 5, weights)
        ),
        reads={"logits": "probs"},
    ),
    Case(
        "calibration error in bins of equal mass",
        jm.AdaptiveCalibrationError(5, task="binary", cells=256),
        binary,
        lambda logits, labels: _of_equal_mass(
            scipy.special.expit(logits), labels, np.ones(labels.shape)
        ),
    ),
    Case(
        "calibration error in bins of equal mass, weighted",
        jm.AdaptiveCalibrationError(5, cells=256, weighted=True),
        weighted(tempered),
        lambda logits, labels, weights: _of_equal_mass(
            scipy.special.softmax(logits, -1).max(-1),
            logits.argmax(-1) == labels,
            weights,
        ),
    ),
    Case(
        "reliability curve",
        jm.ReliabilityCurve(6, task="binary"),
        binary,
        lambda logits, labels: _reliability(scipy.special.expit(logits), labels, 6),
        empty=np.array([[NAN], [NAN], [0.0]]),
    ),
    Case(
        "calibration ratio",
        jm.CalibrationRatio(),
        binary,
        lambda logits, labels: scipy.special.expit(logits).sum() / labels.sum(),
    ),
    Case(
        "calibration ratio from probs, weighted",
        jm.CalibrationRatio(scores="probs", weighted=True),
        weighted(with_probs(binary)),
        lambda probs, labels, weights: (weights @ probs) / (weights @ labels),
        reads={"logits": "probs"},
    ),
)
