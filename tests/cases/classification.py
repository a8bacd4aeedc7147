"""Rows of the classification family."""

from __future__ import annotations

import numpy as np
import scipy.special
import scipy.stats
import sklearn.metrics as sk
from support.case import (
    CLASSES,
    LABELS,
    NAN,
    Case,
    as_one_array,
    binary,
    in_top_k,
    multiclass,
    multilabel,
    tokens,
    weighted,
    weights_like,
    with_losses,
    with_masked,
    with_preds,
    with_probs,
)

import jaxmetrics as jm

BINS = 256
FEW_BINS = 32  # for weighted rows: unoptimized reductions of float sums are slow
ROWS_KEPT = 512
WEIGHTED_REASON = "a float32 sum of weights"


def with_absent(draw):
    """Return a draw function with two more classes that never occur."""

    def outputs(rng, rows):
        drawn = draw(rng, rows)
        absent = np.full((rows, 2), -50, np.float32)
        return dict(drawn, logits=np.concatenate([drawn["logits"], absent], -1))

    return outputs


def _multiclass(score, ignored=(), **kwargs):
    """Return scikit-learn's score of the top class, without the ignored labels."""

    def reference(logits, labels, weights=None):
        kept = ~np.isin(labels, ignored)
        weights = weights if weights is None else weights[kept]
        preds = logits.argmax(-1)[kept]
        return score(labels[kept], preds, sample_weight=weights, **kwargs)

    return reference


def _thresholded(score, **kwargs):
    return lambda logits, labels: score(labels, logits >= 0, **kwargs)


def separated(rng, rows):
    """Return logits so far apart that the log odds are integers, exactly in float32."""
    logits = rng.permuted(np.tile(np.arange(8), (rows, 1)), axis=1)[:, :CLASSES]
    return dict(multiclass(rng, rows), logits=40 * logits.astype(np.float32))


def _log_odds(logits):
    others = [np.delete(logits, c, -1) for c in range(CLASSES)]
    others = [scipy.special.logsumexp(x, axis=-1) for x in others]
    return logits - np.stack(others, axis=-1)


def _ranked(score, average):
    """Return scikit-learn's one-against-rest score of each class on log odds."""

    def reference(logits, labels):
        return score(np.eye(CLASSES)[labels], _log_odds(logits), average=average)

    return reference


def _over_pairs(logits, labels):
    """Return the mean of both areas of each pair of classes (Hand and Till 2001)."""
    odds, areas = _log_odds(logits), []
    for a in range(CLASSES):
        for b in range(a):
            rows = (labels == a) | (labels == b)
            both = [(a, odds[rows, a]), (b, odds[rows, b])]
            areas += [sk.roc_auc_score(labels[rows] == c, x) for c, x in both]
    return np.mean(areas)


def _preds(logits):
    return logits.argmax(-1)


def _kept(labels, ignored, *arrays):
    return [array[labels != ignored] for array in (labels, *arrays)]


def _recalls(logits, labels):
    return _recalls_of(_preds(logits), labels)


def _recalls_of(preds, labels):
    return sk.recall_score(
        labels, preds, average=None, labels=range(CLASSES), zero_division=NAN
    )


def _top_k_preds(logits, labels, k):
    return np.where(in_top_k(logits, labels, k), labels, _preds(logits))


def _k_largest(logits, k):
    best = np.argsort(-logits, axis=-1, kind="stable")[:, :k]
    return (best[:, :, None] == np.arange(logits.shape[-1])).any(1)


def confident_tokens(rng, rows):
    """Return logits that are right for most tokens: some whole sequences match."""
    drawn = tokens(rng, rows)
    right = rng.random(drawn["labels"].shape) < 0.85
    boost = 9 * np.eye(CLASSES, dtype=np.float32)[drawn["labels"]]
    return dict(drawn, logits=drawn["logits"] + boost * right[..., None])


def _sequences_match(logits, labels):
    counted = (labels != 0).any(-1)
    return ((_preds(logits) == labels) | (labels == 0)).all(-1)[counted].mean()


def _nats(logits, labels, smoothing=0.0):
    scores = scipy.special.log_softmax(logits, -1)
    target = np.eye(logits.shape[-1])[labels] * (1 - smoothing)
    return -(scores * (target + smoothing / logits.shape[-1])).sum(-1)


def _weighted_nats(logits, labels, weights):
    nats = _nats(logits, labels)
    return np.average(nats, weights=weights_like(weights, nats))


def _confusion(logits, labels, **kwargs):
    return sk.confusion_matrix(labels, _preds(logits), labels=range(CLASSES), **kwargs)


def _positives_and_negatives(matrices):
    """Return tp, fp, tn and fn of matrices of scikit-learn, `[..., 2, 2]`."""
    tn, fp, fn, tp = np.moveaxis(matrices.reshape(*matrices.shape[:-2], 4), -1, 0)
    return tp, fp, tn, fn


def _rates(value):
    """Return the reference of a value by class from tp, fp, tn and fn."""

    def reference(logits, labels, weights=None):
        if logits.ndim == 1:
            matrices = sk.confusion_matrix(labels, logits >= 0)
        elif labels.ndim == 2:
            matrices = sk.multilabel_confusion_matrix(labels, logits >= 0)
        else:
            matrices = sk.multilabel_confusion_matrix(
                labels, _preds(logits), labels=range(CLASSES), sample_weight=weights
            )
        return value(*_positives_and_negatives(matrices))

    return reference


def _label_recalls(logits, labels):
    return sk.recall_score(labels, _preds(logits), average=None, zero_division=0)


ACCURACY = (
    Case(
        "accuracy from preds",
        jm.Accuracy(scores="preds", average="macro", classes=CLASSES),
        with_preds(multiclass),
        lambda preds, labels: sk.balanced_accuracy_score(labels, preds),
        exact=True,
        reads={"logits": "preds"},
    ),
    Case(
        "accuracy, classes masked out",
        jm.Accuracy(),
        with_masked(multiclass, 2),
        lambda logits, labels: sk.accuracy_score(labels, _preds(logits)),
        exact=True,
    ),
    Case(
        "top 2 accuracy by class",
        jm.TopKAccuracy(k=2, average="none", classes=CLASSES),
        multiclass,
        lambda logits, labels: _recalls_of(_top_k_preds(logits, labels, 2), labels),
        exact=True,
    ),
    Case(
        "accuracy",
        jm.Accuracy(),
        multiclass,
        lambda logits, labels: sk.accuracy_score(labels, _preds(logits)),
        exact=True,
    ),
    Case(
        "accuracy macro",
        jm.Accuracy(average="macro", classes=CLASSES),
        multiclass,
        lambda logits, labels: sk.balanced_accuracy_score(labels, _preds(logits)),
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
            labels, _preds(logits), sample_weight=weights
        ),
    ),
    Case(
        "accuracy, a label ignored",
        jm.Accuracy(ignore_index=2),
        multiclass,
        lambda logits, labels: sk.accuracy_score(*_kept(labels, 2, _preds(logits))),
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
        jm.Accuracy(task="binary", threshold=0.3, scores="probs"),
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
        lambda logits, labels: in_top_k(logits, labels, 3).mean(),
        exact=True,
    ),
    Case(
        "top 3 accuracy weighted",
        jm.TopKAccuracy(k=3, weighted=True),
        weighted(multiclass),
        lambda logits, labels, weights: np.average(
            in_top_k(logits, labels, 3), weights=weights
        ),
    ),
)

EXACT_MATCH = (
    Case(
        "exact match",
        jm.ExactMatch(),
        multilabel,
        lambda logits, labels: sk.accuracy_score(labels, logits >= 0),
        exact=True,
    ),
    Case(
        "exact match from preds, weighted",
        jm.ExactMatch(scores="preds", weighted=True),
        weighted(with_preds(multilabel)),
        lambda preds, labels, weights: sk.accuracy_score(
            labels, preds, sample_weight=weights
        ),
        reads={"logits": "preds"},
    ),
    Case(
        "exact match of sequences, padding ignored",
        jm.ExactMatch(task="multiclass", ignore_index=0),
        confident_tokens,
        _sequences_match,
        exact=True,
    ),
)

CONFUSION = (
    Case(
        "confusion from preds",
        jm.ConfusionMatrix(classes=CLASSES, scores="preds"),
        with_preds(multiclass),
        lambda preds, labels: sk.confusion_matrix(labels, preds, labels=range(CLASSES)),
        exact=True,
        reads={"logits": "preds"},
        empty=0,
    ),
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
        jm.CrossEntropy(scores="probs"),
        with_probs(multiclass),
        lambda probs, labels: -np.log(probs[np.arange(labels.size), labels]).mean(),
        reads={"logits": "probs"},
    ),
    Case(
        "cross entropy from losses",
        jm.CrossEntropy(scores="losses", ignore_index=0),
        with_losses(tokens),
        lambda losses, labels: losses[labels != 0].mean(),
        reads={"logits": "losses"},
    ),
    Case(
        "cross entropy smoothed",
        jm.CrossEntropy(label_smoothing=0.1),
        multiclass,
        lambda logits, labels: _nats(logits, labels, 0.1).mean(),
    ),
    Case(
        "cross entropy smoothed, classes masked out",
        jm.CrossEntropy(label_smoothing=0.1),
        with_masked(multiclass, 2),
        lambda logits, labels: _nats(logits[:, :CLASSES], labels, 0.1).mean(),
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
        _weighted_nats,
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

PRECISION = (
    Case(
        "precision of the top 2",
        jm.Precision(classes=CLASSES, top_k=2),
        multiclass,
        lambda logits, labels: sk.precision_score(
            labels, _top_k_preds(logits, labels, 2), average="macro", zero_division=0
        ),
        exact=True,
    ),
    Case(
        "precision of samples",
        jm.Precision(task="multilabel", average="samples", classes=LABELS),
        multilabel,
        _thresholded(sk.precision_score, average="samples", zero_division=0),
    ),
    Case(
        "f1 multilabel of the top 2, weighted",
        jm.F1(task="multilabel", classes=LABELS, top_k=2, weighted=True),
        weighted(multilabel),
        lambda logits, labels, weights: sk.f1_score(
            labels,
            _k_largest(logits, 2),
            average="macro",
            sample_weight=weights,
            zero_division=0,
        ),
        reason=WEIGHTED_REASON,
    ),
    Case(
        "f1 from preds",
        jm.F1(classes=CLASSES, scores="preds"),
        with_preds(multiclass),
        lambda preds, labels: sk.f1_score(labels, preds, average="macro"),
        exact=True,
        reads={"logits": "preds"},
    ),
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
        reason=WEIGHTED_REASON,
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
        reason=WEIGHTED_REASON,
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
        jm.FBeta(task="binary", beta=0.5, threshold=0.3, scores="probs"),
        with_probs(binary),
        lambda probs, labels: sk.fbeta_score(labels, probs >= 0.3, beta=0.5),
        exact=True,
        reads={"logits": "probs"},
    ),
    Case(
        "f-beta of samples, weighted",
        jm.FBeta(
            task="multilabel",
            average="samples",
            classes=LABELS,
            weighted=True,
            zero_division=NAN,
            beta=2.0,
        ),
        weighted(multilabel),
        lambda logits, labels, weights: sk.fbeta_score(
            labels,
            logits >= 0,
            beta=2,
            average="samples",
            sample_weight=weights,
            zero_division=NAN,
        ),
    ),
)

RATES = (
    Case(
        "specificity",
        jm.Specificity(classes=CLASSES),
        multiclass,
        _rates(lambda tp, fp, tn, fn: (tn / (tn + fp)).mean()),
        exact=True,
    ),
    Case(
        "specificity weighted, by class",
        jm.Specificity(classes=CLASSES, weighted=True, average="none"),
        weighted(multiclass),
        _rates(lambda tp, fp, tn, fn: tn / (tn + fp)),
        reason=WEIGHTED_REASON,
    ),
    Case(
        "negative predictive value multilabel",
        jm.NegativePredictiveValue(task="multilabel", classes=LABELS),
        multilabel,
        _rates(lambda tp, fp, tn, fn: (tn / (tn + fn)).mean()),
        exact=True,
    ),
    Case(
        "false positive rate binary",
        jm.FalsePositiveRate(task="binary"),
        binary,
        _rates(lambda tp, fp, tn, fn: fp / (fp + tn)),
        exact=True,
    ),
    Case(
        "false negative rate micro",
        jm.FalseNegativeRate(classes=CLASSES, average="micro"),
        multiclass,
        _rates(lambda tp, fp, tn, fn: fn.sum() / (fn + tp).sum()),
        exact=True,
    ),
    Case(
        "false discovery rate by support",
        jm.FalseDiscoveryRate(classes=CLASSES, average="weighted"),
        multiclass,
        _rates(
            lambda tp, fp, tn, fn: np.average(
                fp / np.maximum(tp + fp, 1), weights=tp + fn
            )
        ),
        exact=True,
    ),
    Case(
        "informedness",
        jm.Informedness(classes=CLASSES),
        multiclass,
        _rates(lambda tp, fp, tn, fn: (tp / (tp + fn) + tn / (tn + fp) - 1).mean()),
        exact=True,
    ),
    Case(
        "markedness multilabel, micro",
        jm.Markedness(task="multilabel", classes=LABELS, average="micro"),
        multilabel,
        _rates(
            lambda tp, fp, tn, fn: (
                tp.sum() / (tp + fp).sum() + tn.sum() / (tn + fn).sum() - 1
            )
        ),
        exact=True,
    ),
    Case(
        "jaccard",
        jm.Jaccard(classes=CLASSES),
        multiclass,
        _multiclass(sk.jaccard_score, average="macro", zero_division=0),
        exact=True,
    ),
    Case(
        "stat scores",
        jm.StatScores(classes=CLASSES),
        multiclass,
        _rates(lambda tp, fp, tn, fn: np.stack([tp, fp, tn, fn, tp + fn], axis=-1)),
        exact=True,
        empty=0,
    ),
    Case(
        "balanced accuracy, adjusted",
        jm.BalancedAccuracy(classes=CLASSES, adjusted=True),
        multiclass,
        _multiclass(sk.balanced_accuracy_score, adjusted=True),
        exact=True,
    ),
    Case(
        "geometric mean score",
        jm.GeometricMeanScore(classes=CLASSES, correction=0.01),
        multiclass,
        lambda logits, labels: scipy.stats.gmean(
            np.where((r := _label_recalls(logits, labels)) == 0, 0.01, r)
        ),
        exact=True,
    ),
    Case(
        "hamming distance",
        jm.Hamming(),
        multilabel,
        lambda logits, labels: sk.hamming_loss(labels, logits >= 0),
        exact=True,
    ),
)

AGREEMENT = (
    Case(
        "cohen kappa",
        jm.CohenKappa(classes=CLASSES),
        multiclass,
        lambda logits, labels: sk.cohen_kappa_score(labels, _preds(logits)),
        exact=True,
    ),
    Case(
        "cohen kappa quadratic, weighted",
        jm.CohenKappa(classes=CLASSES, disagreement="quadratic", weighted=True),
        weighted(multiclass),
        lambda logits, labels, weights: sk.cohen_kappa_score(
            labels, _preds(logits), weights="quadratic", sample_weight=weights
        ),
        reason=WEIGHTED_REASON,
    ),
    Case(
        "matthews correlation",
        jm.MatthewsCorrelation(classes=CLASSES),
        multiclass,
        _multiclass(sk.matthews_corrcoef),
        exact=True,
    ),
    Case(
        "matthews correlation binary, from preds",
        jm.MatthewsCorrelation(task="binary", scores="preds"),
        with_preds(binary),
        lambda preds, labels: sk.matthews_corrcoef(labels, preds),
        exact=True,
        reads={"logits": "preds"},
    ),
)


def _brier_by_hand(probs, labels):
    return ((probs - np.eye(CLASSES)[labels]) ** 2).sum(-1).mean()


def _normalized_entropy(logits, labels, weights=None):
    loss = sk.log_loss(labels, scipy.special.expit(logits), sample_weight=weights)
    rate = np.average(labels, weights=weights)
    return loss / scipy.stats.entropy([rate, 1 - rate])


LOSSES = (
    Case(
        "hinge loss",
        jm.HingeLoss(),
        multiclass,
        lambda logits, labels: sk.hinge_loss(labels, logits, labels=range(CLASSES)),
    ),
    Case(
        "hinge loss one against the rest, squared",
        jm.HingeLoss(mode="one_vs_rest", classes=CLASSES, squared=True),
        multiclass,
        lambda logits, labels: (
            np.maximum(0, 1 - (2 * np.eye(CLASSES)[labels] - 1) * logits) ** 2
        ).mean(0),
    ),
    Case(
        "hinge loss binary, weighted",
        jm.HingeLoss(task="binary", weighted=True),
        weighted(binary),
        lambda logits, labels, weights: sk.hinge_loss(
            labels, logits, sample_weight=weights
        ),
    ),
    Case(
        "brier score",
        jm.BrierScore(),
        multiclass,
        lambda logits, labels: _brier_by_hand(
            scipy.special.softmax(logits, -1), labels
        ),
    ),
    Case(
        "brier score binary, from probs, weighted",
        jm.BrierScore(task="binary", scores="probs", weighted=True),
        weighted(with_probs(binary)),
        lambda probs, labels, weights: sk.brier_score_loss(
            labels, probs, sample_weight=weights
        ),
        reads={"logits": "probs"},
    ),
    Case(
        "normalized entropy",
        jm.NormalizedEntropy(),
        binary,
        _normalized_entropy,
    ),
    Case(
        "normalized entropy from probs, weighted",
        jm.NormalizedEntropy(scores="probs", weighted=True),
        weighted(with_probs(binary)),
        lambda probs, labels, weights: _normalized_entropy(
            scipy.special.logit(probs), labels, weights
        ),
        reads={"logits": "probs"},
    ),
    Case(
        "click through rate",
        jm.ClickThroughRate(),
        lambda rng, rows: dict(clicks=binary(rng, rows)["labels"]),
        lambda clicks: clicks.mean(),
        exact=True,
    ),
)

LABEL_RANKING = (
    Case(
        "coverage error",
        jm.MultilabelCoverageError(),
        multilabel,
        lambda logits, labels: sk.coverage_error(labels, logits),
    ),
    Case(
        "label ranking average precision, weighted",
        jm.LabelRankingAveragePrecision(weighted=True),
        weighted(multilabel),
        lambda logits, labels, weights: sk.label_ranking_average_precision_score(
            labels, logits, sample_weight=weights
        ),
    ),
    Case(
        "label ranking loss",
        jm.LabelRankingLoss(),
        multilabel,
        lambda logits, labels: sk.label_ranking_loss(labels, logits),
    ),
)

GROUPS = 3


def with_groups(draw):
    """Return a draw function with the group of each row."""

    def outputs(rng, rows):
        groups = rng.integers(0, GROUPS, rows).astype(np.int32)
        return dict(draw(rng, rows), groups=groups)

    return outputs


def _by_group(value):
    """Return a function of the values of the groups, from labels and predictions."""

    def reference(labels, groups, logits=None, preds=None, weights=None):
        preds = (logits >= 0) if preds is None else preds
        weights = np.ones(labels.shape) if weights is None else weights
        rows = [groups == group for group in range(GROUPS)]
        return [value(labels[r], preds[r], weights[r]) for r in rows]

    return reference


def _ratio(rates):
    return min(rates) / max(rates)


_group_scores = _by_group(
    lambda labels, preds, weights: (
        [
            weights[(preds == p) & (labels == t)].sum()
            for p, t in ((1, 1), (1, 0), (0, 0), (0, 1))
        ]
        + [weights[labels == 1].sum()]
    )
)

FAIRNESS = (
    Case(
        "stat scores by group, weighted",
        jm.GroupStatScores(GROUPS, weighted=True),
        weighted(with_groups(binary)),
        lambda **outputs: np.array(_group_scores(**outputs)),
        reason=WEIGHTED_REASON,
        empty=0,
    ),
    Case(
        "demographic parity",
        jm.DemographicParity(GROUPS),
        with_groups(binary),
        lambda **outputs: _ratio(
            _by_group(lambda labels, preds, weights: preds.mean())(**outputs)
        ),
        exact=True,
    ),
    Case(
        "equal opportunity from preds",
        jm.EqualOpportunity(GROUPS, scores="preds"),
        with_groups(with_preds(binary)),
        lambda **outputs: _ratio(
            _by_group(lambda labels, preds, weights: sk.recall_score(labels, preds))(
                **outputs
            )
        ),
        exact=True,
        reads={"logits": "preds"},
    ),
)

RANKING = (
    Case(
        "auroc binary",
        jm.AUROC(bins=BINS),
        binary,
        lambda logits, labels: sk.roc_auc_score(labels, logits),
        exact=True,
    ),
    Case(
        "auroc binary, from probs, weighted",
        jm.AUROC(task="binary", bins=FEW_BINS, scores="probs", weighted=True),
        weighted(with_probs(binary)),
        lambda probs, labels, weights: sk.roc_auc_score(
            labels, probs, sample_weight=weights
        ),
        reads={"logits": "probs"},
        reason=WEIGHTED_REASON,
    ),
    Case(
        "auroc",
        jm.AUROC(classes=CLASSES, bins=BINS),
        separated,
        _ranked(sk.roc_auc_score, "macro"),
        exact=True,
    ),
    Case(
        "auroc of pairs",
        jm.AUROC(classes=CLASSES, bins=BINS, multi_class="ovo"),
        separated,
        _over_pairs,
        exact=True,
    ),
    Case(
        "auroc of kept rows, weighted",
        jm.AUROC(exact=True, capacity=ROWS_KEPT, weighted=True),
        weighted(binary),
        lambda logits, labels, weights: sk.roc_auc_score(
            labels, logits, sample_weight=weights
        ),
        by_value=True,
    ),
    Case(
        "average precision binary",
        jm.AveragePrecision(task="binary"),
        binary,
        lambda logits, labels: sk.average_precision_score(labels, logits),
        exact=True,
    ),
    Case(
        "average precision multilabel, micro",
        jm.AveragePrecision(
            task="multilabel", classes=LABELS, bins=BINS, average="micro"
        ),
        multilabel,
        lambda logits, labels: sk.average_precision_score(
            labels, logits, average="micro"
        ),
        exact=True,
    ),
)

POINTS = 21


def _roc(logits, labels):
    """Return scikit-learn's points at even steps of the sum of both rates."""
    false, true, thresholds = sk.roc_curve(labels, logits, drop_intermediate=False)
    steps = 2 * (np.arange(POINTS) - 0.013) / (POINTS - 1)
    index = np.searchsorted(false + true, np.append(steps[:-1], 2 - 1e-9))
    return np.stack([false, true, thresholds], -1)[index]


def _precision_recall(logits, labels):
    thresholds = _roc(logits, labels)[:, 2]
    preds = [logits >= threshold for threshold in thresholds]
    recall = [sk.recall_score(labels, p) for p in preds]
    precision = [sk.precision_score(labels, p, zero_division=1) for p in preds]
    return np.stack([recall, precision, thresholds], -1)


def _precision(labels, preds):
    return sk.precision_score(labels, preds, zero_division=0)


def _specificity(labels, preds):
    return sk.recall_score(1 - labels, 1 - preds)


def _best_at(logits, labels, score, other, limit=0.5):
    """Return the best score where another one has a limit, and its threshold."""
    points = []
    for threshold in np.unique(logits):
        preds = (logits >= threshold).astype(int)
        rate = other(labels, preds)
        if rate >= limit:
            points.append((score(labels, preds), rate, threshold))
    best, _, threshold = max(points)
    return best, threshold


def _equal_error(logits, labels):
    false, true, thresholds = sk.roc_curve(labels, logits, drop_intermediate=False)
    missed = 1 - true
    apart = abs(false - missed).round(9)
    _, rate, threshold = min(zip(apart, (false + missed) / 2, -thresholds))
    return rate, -threshold


def _distance(probs, labels):
    positive, negative = (probs[labels == i] for i in (1, 0))
    result = scipy.stats.ks_2samp(negative, positive, alternative="greater")
    gaps = [(positive >= t).mean() - (negative >= t).mean() for t in np.unique(probs)]
    return result.statistic, np.unique(probs)[np.argmax(np.round(gaps, 9))]


CURVES = (
    Case(
        "roc",
        jm.Compose(as_one_array, value=jm.ROC(bins=BINS, points=POINTS)),
        binary,
        _roc,
        exact=True,
    ),
    Case(
        "precision-recall curve",
        jm.Compose(
            as_one_array, value=jm.PrecisionRecallCurve(bins=BINS, points=POINTS)
        ),
        binary,
        _precision_recall,
        exact=True,
    ),
    Case(
        "precision at recall",
        jm.Compose(as_one_array, value=jm.PrecisionAtRecall(bins=BINS, recall=0.5)),
        binary,
        lambda logits, labels: _best_at(logits, labels, _precision, sk.recall_score),
        exact=True,
    ),
    Case(
        "recall at precision",
        jm.Compose(as_one_array, value=jm.RecallAtPrecision(bins=BINS, precision=0.4)),
        binary,
        lambda logits, labels: _best_at(
            logits, labels, sk.recall_score, _precision, 0.4
        ),
        exact=True,
    ),
    Case(
        "sensitivity at specificity",
        jm.Compose(
            as_one_array,
            value=jm.SensitivityAtSpecificity(bins=BINS, specificity=0.5),
        ),
        binary,
        lambda logits, labels: _best_at(logits, labels, sk.recall_score, _specificity),
        exact=True,
    ),
    Case(
        "specificity at sensitivity",
        jm.Compose(
            as_one_array,
            value=jm.SpecificityAtSensitivity(bins=BINS, sensitivity=0.5),
        ),
        binary,
        lambda logits, labels: _best_at(logits, labels, _specificity, sk.recall_score),
        exact=True,
    ),
    Case(
        "best f2",
        jm.Compose(as_one_array, value=jm.MaxFBeta(bins=BINS, beta=2.0)),
        binary,
        lambda logits, labels: _best_at(
            logits,
            labels,
            lambda labels, preds: sk.fbeta_score(labels, preds, beta=2),
            sk.recall_score,
        ),
        exact=True,
    ),
    Case(
        "equal error rate",
        jm.Compose(as_one_array, value=jm.EqualErrorRate(bins=BINS)),
        binary,
        _equal_error,
        exact=True,
    ),
    Case(
        "kolmogorov-smirnov distance of kept rows, from probs",
        jm.Compose(
            as_one_array,
            value=jm.KolmogorovSmirnov(exact=True, capacity=ROWS_KEPT, scores="probs"),
        ),
        with_probs(binary),
        _distance,
        reads={"logits": "probs"},
        by_value=True,
    ),
)

CASES = (
    *ACCURACY,
    *EXACT_MATCH,
    *CONFUSION,
    *LIKELIHOOD,
    *PRECISION,
    *RATES,
    *AGREEMENT,
    *LOSSES,
    *LABEL_RANKING,
    *FAIRNESS,
    *RANKING,
    *CURVES,
)
