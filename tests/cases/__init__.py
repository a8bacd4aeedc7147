"""Every metric as a row: what it reads, and what NumPy or scikit-learn says it is.

A row buys the laws of test_laws.py and test_laws_on_devices.py. `outputs(rng, rows)`
draws example outputs with a leading axis of rows; `reference(**outputs)` gives the
value in float64 from those rows that are not masked, without code of ours. The rows of
the larger families are in the `cases_<family>.py` beside.
"""

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
    series,
    tokens,
    values,
    weighted,
    with_probs,
)

import jaxmetrics as jm
from cases import classification, regression, sketches, statistics, text, wrappers


def _like(weights, array):
    return np.broadcast_to(weights.reshape(-1, *[1] * (array.ndim - 1)), array.shape)


def _mean(values, weights):
    return np.average(values, weights=_like(weights, values))


def _variance(values, weights):
    share = _like(weights, values)
    return np.average((values - np.average(values, weights=share)) ** 2, weights=share)


def _guess(logits):
    return logits.argmax(-1)


def _kept(labels, ignored, *more):
    return [array[labels != ignored] for array in (labels, *more)]


def _hits(logits, labels, k):
    best = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    return (best == labels[..., None]).any(-1)


def _recalls(logits, labels):
    return sk.recall_score(
        labels, _guess(logits), average=None, labels=range(CLASSES), zero_division=NAN
    )


def _nats(logits, labels, smoothing=0.0):
    scores = scipy.special.log_softmax(logits, -1)
    target = np.eye(logits.shape[-1])[labels] * (1 - smoothing)
    return -(scores * (target + smoothing / logits.shape[-1])).sum(-1)


def _confusion(logits, labels, **kwargs):
    return sk.confusion_matrix(labels, _guess(logits), labels=range(CLASSES), **kwargs)


_ORDER = {
    "commutativity": "the right operand wins",
    "permutation": "the later row wins",
    "deferred": "the last device wins with an earlier batch if its rows are masked",
}

STATISTICS = (
    Case("mean", jm.Mean(), values, lambda values: values.mean()),
    Case("mean weighted", jm.Mean(weighted=True), weighted(values), _mean),
    Case(
        "sum",
        jm.Sum(),
        values,
        lambda values: values.sum(),
        empty=0.0,
    ),
    Case(
        "sum weighted",
        jm.Sum(weighted=True),
        weighted(values),
        lambda values, weights: (values * _like(weights, values)).sum(),
        empty=0.0,
    ),
    Case(
        "count",
        jm.Count(),
        values,
        lambda values: values.size,
        exact=True,
        empty=0,
    ),
    Case("min", jm.Min(), values, lambda values: values.min(), exact=True),
    Case("max", jm.Max(), values, lambda values: values.max(), exact=True),
    Case(
        "last",
        jm.Last(),
        values,
        lambda values: values[-1, -1],
        exact=True,
        without=_ORDER,
    ),
    Case("variance", jm.Variance(), values, lambda values: values.var()),
    Case(
        "variance, ddof 1",
        jm.Variance(ddof=1),
        values,
        lambda values: values.var(ddof=1),
    ),
    Case("variance weighted", jm.Variance(weighted=True), weighted(values), _variance),
    Case("std", jm.Std(), values, lambda values: values.std()),
    Case("std, ddof 1", jm.Std(ddof=1), values, lambda values: values.std(ddof=1)),
    Case(
        "std weighted",
        jm.Std(weighted=True),
        weighted(values),
        lambda values, weights: np.sqrt(_variance(values, weights)),
    ),
)

ACCURACY = (
    Case(
        "accuracy",
        jm.Accuracy(),
        multiclass,
        lambda logits, labels: sk.accuracy_score(labels, _guess(logits)),
        exact=True,
    ),
    Case(
        "accuracy macro",
        jm.Accuracy(average="macro", classes=CLASSES),
        multiclass,
        lambda logits, labels: sk.balanced_accuracy_score(labels, _guess(logits)),
        exact=True,
    ),
    Case(
        "accuracy by class",
        jm.Accuracy(average="none", classes=CLASSES),
        multiclass,
        _recalls,
        exact=True,
    ),
    Case(
        "accuracy weighted",
        jm.Accuracy(weighted=True),
        weighted(multiclass),
        lambda logits, labels, weights: sk.accuracy_score(
            labels, _guess(logits), sample_weight=weights
        ),
    ),
    Case(
        "accuracy, a label ignored",
        jm.Accuracy(ignore_index=2),
        multiclass,
        lambda logits, labels: sk.accuracy_score(*_kept(labels, 2, _guess(logits))),
        exact=True,
    ),
    Case(
        "accuracy binary",
        jm.Accuracy(task="binary"),
        binary,
        lambda logits, labels: sk.accuracy_score(labels, logits >= 0),
        exact=True,
    ),
    Case(
        "accuracy binary, from probs",
        jm.Accuracy(task="binary", threshold=0.3, from_logits=False),
        with_probs(binary),
        lambda probs, labels: sk.accuracy_score(labels, probs >= 0.3),
        exact=True,
        reads={"logits": "probs"},
    ),
    Case(
        "accuracy binary macro",
        jm.Accuracy(task="binary", average="macro"),
        binary,
        lambda logits, labels: sk.balanced_accuracy_score(labels, logits >= 0),
        exact=True,
    ),
    Case(
        "accuracy multilabel",
        jm.Accuracy(task="multilabel"),
        multilabel,
        lambda logits, labels: sk.accuracy_score(labels.ravel(), logits.ravel() >= 0),
        exact=True,
    ),
    Case(
        "accuracy multilabel macro",
        jm.Accuracy(task="multilabel", average="macro", classes=LABELS),
        multilabel,
        lambda logits, labels: np.mean((logits >= 0) == labels, axis=0).mean(),
        exact=True,
    ),
    Case(
        "accuracy by label",
        jm.Accuracy(task="multilabel", average="none", classes=LABELS),
        multilabel,
        lambda logits, labels: np.mean((logits >= 0) == labels, axis=0),
        exact=True,
    ),
    Case(
        "top 3 accuracy",
        jm.TopKAccuracy(k=3),
        multiclass,
        lambda logits, labels: _hits(logits, labels, 3).mean(),
        exact=True,
    ),
    Case(
        "top 3 accuracy weighted",
        jm.TopKAccuracy(k=3, weighted=True),
        weighted(multiclass),
        lambda logits, labels, weights: np.average(
            _hits(logits, labels, 3), weights=weights
        ),
    ),
    Case(
        "token accuracy",
        jm.TokenAccuracy(),
        tokens,
        lambda logits, labels: sk.accuracy_score(
            labels.ravel(), _guess(logits).ravel()
        ),
        exact=True,
    ),
    Case(
        "token accuracy, padding ignored",
        jm.TokenAccuracy(k=2, ignore_index=0),
        tokens,
        lambda logits, labels: _hits(logits, labels, 2)[labels != 0].mean(),
        exact=True,
    ),
)

CONFUSION = (
    Case(
        "confusion",
        jm.ConfusionMatrix(classes=CLASSES),
        multiclass,
        _confusion,
        exact=True,
        empty=0,
    ),
    Case(
        "confusion weighted",
        jm.ConfusionMatrix(classes=CLASSES, weighted=True),
        weighted(multiclass),
        lambda logits, labels, weights: _confusion(
            logits, labels, sample_weight=weights
        ),
        empty=0.0,
    ),
    Case(
        "confusion by label",
        jm.ConfusionMatrix(classes=CLASSES, normalize="true"),
        multiclass,
        lambda logits, labels: _confusion(logits, labels, normalize="true"),
        exact=True,
    ),
    Case(
        "confusion by prediction",
        jm.ConfusionMatrix(classes=CLASSES, normalize="pred"),
        multiclass,
        lambda logits, labels: _confusion(logits, labels, normalize="pred"),
        exact=True,
    ),
    Case(
        "confusion in shares",
        jm.ConfusionMatrix(classes=CLASSES, normalize="all"),
        multiclass,
        lambda logits, labels: _confusion(logits, labels, normalize="all"),
        exact=True,
    ),
    Case(
        "confusion binary",
        jm.ConfusionMatrix(task="binary"),
        binary,
        lambda logits, labels: sk.confusion_matrix(labels, logits >= 0),
        exact=True,
        empty=0,
    ),
    Case(
        "confusion multilabel",
        jm.ConfusionMatrix(task="multilabel", classes=LABELS),
        multilabel,
        lambda logits, labels: sk.multilabel_confusion_matrix(labels, logits >= 0),
        exact=True,
        empty=0,
    ),
)

LIKELIHOOD = (
    Case(
        "cross entropy",
        jm.CrossEntropy(),
        multiclass,
        lambda logits, labels: _nats(logits, labels).mean(),
    ),
    Case(
        "cross entropy from probs",
        jm.CrossEntropy(from_logits=False),
        with_probs(multiclass),
        lambda probs, labels: -np.log(probs[np.arange(labels.size), labels]).mean(),
        reads={"logits": "probs"},
    ),
    Case(
        "cross entropy smoothed",
        jm.CrossEntropy(label_smoothing=0.1),
        multiclass,
        lambda logits, labels: _nats(logits, labels, 0.1).mean(),
    ),
    Case(
        "cross entropy, a label ignored",
        jm.CrossEntropy(ignore_index=0),
        tokens,
        lambda logits, labels: _nats(logits, labels)[labels != 0].mean(),
    ),
    Case(
        "cross entropy weighted",
        jm.CrossEntropy(weighted=True),
        weighted(tokens),
        lambda logits, labels, weights: _mean(_nats(logits, labels), weights),
    ),
    Case(
        "perplexity",
        jm.Perplexity(),
        tokens,
        lambda logits, labels: np.exp(_nats(logits, labels).mean()),
        tolerance=1e-5,
        reason="the exponential multiplies the loss's error by the perplexity",
    ),
)

REGRESSION = (
    Case(
        "r2",
        jm.R2(),
        series,
        lambda preds, targets: sk.r2_score(targets.ravel(), preds.ravel()),
    ),
    Case(
        "r2 of three outputs",
        jm.R2(outputs=3),
        series,
        lambda preds, targets: sk.r2_score(targets, preds),
    ),
    Case(
        "r2 weighted",
        jm.R2(outputs=3, weighted=True),
        weighted(series),
        lambda preds, targets, weights: sk.r2_score(
            targets, preds, sample_weight=weights
        ),
    ),
)

CASES = (
    *STATISTICS,
    *ACCURACY,
    *CONFUSION,
    *LIKELIHOOD,
    *REGRESSION,
    *classification.CASES,
    *regression.CASES,
    *sketches.CASES,
    *statistics.CASES,
    *text.CASES,
    *wrappers.CASES,
)
