"""Rows of precision and its kin, ranking curves and calibration."""

from __future__ import annotations

import numpy as np
import scipy.special
import sklearn.metrics as sk
from support.case import (
    CLASSES,
    LABELS,
    NAN,
    Case,
    binary,
    multiclass,
    multilabel,
    weighted,
    with_probs,
)

import jaxmetrics as jm

BINS = 256
FEW = 30  # weighted: the reduction of a float sum is slow where it is not optimized
ODD = "a float32 sum of weights"


def with_absent(draw):
    """The outputs of `draw` with two classes more that are never seen."""

    def outputs(rng, rows):
        given = draw(rng, rows)
        never = np.full((rows, 2), -50, np.float32)
        return dict(given, logits=np.concatenate([given["logits"], never], -1))

    return outputs


def _multiclass(score, without=(), **kwargs):
    """scikit-learn's score of the top class, over the labels that are not left out."""

    def reference(logits, labels, weights=None):
        kept = ~np.isin(labels, without)
        weights = weights if weights is None else weights[kept]
        guess = logits.argmax(-1)[kept]
        return score(labels[kept], guess, sample_weight=weights, **kwargs)

    return reference


def _thresholded(score, **kwargs):
    return lambda logits, labels: score(labels, logits >= 0, **kwargs)


def _bin(odds, bins=BINS):
    return np.clip(np.floor((odds + 20) / 40 * bins), -1, bins)


def _ranked(score, average):
    """scikit-learn's score of each class against the rest, on binned log odds."""

    def reference(logits, labels):
        odds = np.empty_like(logits)
        for c in range(CLASSES):
            rest = scipy.special.logsumexp(np.delete(logits, c, -1), axis=-1)
            odds[:, c] = logits[:, c] - rest
        return score(np.eye(CLASSES)[labels], _bin(odds), average=average)

    return reference


def _calibration(norm, bins=15):
    """From confidences, hits and weights, bin by bin."""

    def error(confidence, hit, weights=None):
        weights = np.ones_like(confidence) if weights is None else weights
        at = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1])
        share, distance = [], []
        for b in np.unique(at):
            mine = at == b
            share.append(weights[mine].sum() / weights.sum())
            gap = np.average((hit - confidence)[mine], weights=weights[mine])
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


PRECISION = (
    Case(
        "precision",
        jm.Precision(classes=CLASSES),
        multiclass,
        _multiclass(sk.precision_score, average="macro", zero_division=0),
        exact=True,
    ),
    Case(
        "precision micro, a class ignored",
        jm.Precision(classes=CLASSES, average="micro", ignore_index=2),
        multiclass,
        _multiclass(sk.precision_score, (2,), average="micro", labels=[0, 1, 3, 4]),
        exact=True,
    ),
    Case(
        "precision by support",
        jm.Precision(classes=CLASSES, average="weighted"),
        multiclass,
        _multiclass(sk.precision_score, average="weighted"),
        exact=True,
    ),
    Case(
        "precision by class",
        jm.Precision(classes=CLASSES, average="none"),
        multiclass,
        _multiclass(sk.precision_score, average=None),
        exact=True,
    ),
    Case(
        "precision binary",
        jm.Precision(task="binary"),
        binary,
        _thresholded(sk.precision_score),
        exact=True,
    ),
    Case(
        "recall weighted",
        jm.Recall(classes=CLASSES, weighted=True),
        weighted(multiclass),
        _multiclass(sk.recall_score, average="macro", zero_division=0),
        reason=ODD,
    ),
    Case(
        "recall, two classes ignored",
        jm.Recall(classes=CLASSES, ignore_index=(0, 3)),
        multiclass,
        _multiclass(sk.recall_score, (0, 3), average="macro", labels=[1, 2, 4]),
        exact=True,
    ),
    Case(
        "recall multilabel",
        jm.Recall(task="multilabel", classes=LABELS),
        multilabel,
        _thresholded(sk.recall_score, average="macro"),
        exact=True,
    ),
    Case(
        "f1, absent classes dropped",
        jm.F1(classes=CLASSES + 2),
        with_absent(multiclass),
        _multiclass(sk.f1_score, average="macro"),
        exact=True,
    ),
    Case(
        "f1, absent classes zero",
        jm.F1(classes=CLASSES + 2, absent="zero"),
        with_absent(multiclass),
        _multiclass(
            sk.f1_score, average="macro", labels=range(CLASSES + 2), zero_division=0
        ),
        exact=True,
    ),
    Case(
        "f1, absent classes nan",
        jm.F1(classes=CLASSES + 2, average="none", absent="nan", zero_division=NAN),
        with_absent(multiclass),
        _multiclass(
            sk.f1_score, average=None, labels=range(CLASSES + 2), zero_division=NAN
        ),
        exact=True,
    ),
    Case(
        "f1 multilabel, micro, weighted",
        jm.F1(task="multilabel", classes=LABELS, average="micro", weighted=True),
        weighted(multilabel),
        lambda logits, labels, weights: sk.f1_score(
            labels, logits >= 0, average="micro", sample_weight=weights
        ),
        reason=ODD,
    ),
    Case(
        "f2",
        jm.FBeta(classes=CLASSES, beta=2.0),
        multiclass,
        _multiclass(sk.fbeta_score, beta=2, average="macro"),
        exact=True,
    ),
    Case(
        "f0.5 binary, from probs",
        jm.FBeta(task="binary", beta=0.5, threshold=0.3, from_logits=False),
        with_probs(binary),
        lambda probs, labels: sk.fbeta_score(labels, probs >= 0.3, beta=0.5),
        exact=True,
        reads={"logits": "probs"},
    ),
)

RANKING = (
    Case(
        "auroc binary",
        jm.AUROC(task="binary"),
        binary,
        lambda logits, labels: sk.roc_auc_score(labels, logits),
        exact=True,
    ),
    Case(
        "auroc binary, from probs, weighted",
        jm.AUROC(task="binary", bins=FEW, from_logits=False, weighted=True),
        weighted(with_probs(binary)),
        lambda probs, labels, weights: sk.roc_auc_score(
            labels, _bin(scipy.special.logit(probs), FEW), sample_weight=weights
        ),
        reads={"logits": "probs"},
        reason=ODD,
    ),
    Case(
        "auroc",
        jm.AUROC(classes=CLASSES, bins=BINS),
        multiclass,
        _ranked(sk.roc_auc_score, "macro"),
        exact=True,
    ),
    Case(
        "auroc by class",
        jm.AUROC(classes=CLASSES, bins=BINS, average="none"),
        multiclass,
        _ranked(sk.roc_auc_score, None),
        exact=True,
    ),
    Case(
        "auroc micro",
        jm.AUROC(classes=CLASSES, bins=BINS, average="micro"),
        multiclass,
        _ranked(sk.roc_auc_score, "micro"),
        exact=True,
    ),
    Case(
        "auroc multilabel",
        jm.AUROC(task="multilabel", classes=LABELS, bins=BINS),
        multilabel,
        lambda logits, labels: sk.roc_auc_score(labels, _bin(logits)),
        exact=True,
    ),
    Case(
        "average precision binary",
        jm.AveragePrecision(task="binary"),
        binary,
        lambda logits, labels: sk.average_precision_score(labels, logits),
        exact=True,
    ),
    Case(
        "average precision",
        jm.AveragePrecision(classes=CLASSES, bins=BINS),
        multiclass,
        _ranked(sk.average_precision_score, "macro"),
        exact=True,
    ),
    Case(
        "average precision binary, weighted",
        jm.AveragePrecision(task="binary", bins=FEW, weighted=True),
        weighted(binary),
        lambda logits, labels, weights: sk.average_precision_score(
            labels, _bin(logits, FEW), sample_weight=weights
        ),
        reason=ODD,
    ),
    Case(
        "average precision multilabel, micro",
        jm.AveragePrecision(
            task="multilabel", classes=LABELS, bins=BINS, average="micro"
        ),
        multilabel,
        lambda logits, labels: sk.average_precision_score(
            labels, _bin(logits), average="micro"
        ),
        exact=True,
    ),
)

CALIBRATION = (
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
        jm.ExpectedCalibrationError(task="binary", from_logits=False),
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
)

CASES = (*PRECISION, *RANKING, *CALIBRATION)
