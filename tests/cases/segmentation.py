"""Rows of the segmentation family."""

from __future__ import annotations

import numpy as np
import sklearn.metrics as sk
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist
from support.case import NAN, Case, weighted, weights_like, with_preds

import jaxmetrics as jm

CLASSES, IGNORED = 4, 3
SHAPE = (3, 4)
LABELLED = [c for c in range(CLASSES) if c != IGNORED]


def images(rng, rows):
    """Return logits and labels of images; most of them lack a class."""
    labels = rng.integers(0, CLASSES, (rows, *SHAPE))
    labels = np.minimum(labels, rng.integers(1, CLASSES, (rows, 1, 1)))
    logits = rng.normal(0, 1, (rows, *SHAPE, CLASSES))
    logits += 1.5 * np.eye(CLASSES)[labels]
    return dict(
        logits=logits.round(1).astype(np.float32), labels=labels.astype(np.int32)
    )


def _pooled(score, **kwargs):
    def reference(logits, labels):
        return score(labels.ravel(), logits.argmax(-1).ravel(), **kwargs)

    return reference


def _of_weighted_images(logits, labels, weights):
    weights = weights_like(weights, labels).ravel()
    score = _pooled(sk.jaccard_score, average="macro", sample_weight=weights)
    return score(logits, labels)


def _per_image(score, **kwargs):
    def reference(logits, labels):
        pairs = zip(labels, logits.argmax(-1), strict=True)
        return np.mean([score(x.ravel(), y.ravel(), **kwargs) for x, y in pairs])

    return reference


def _without_ignored(preds, labels):
    """Return the mean over images of the Dice of each class, without a label."""
    values = []
    for x, y in zip(labels, preds, strict=True):
        kept = x != IGNORED
        occurs = np.isin(LABELLED, [*x[kept], *y[kept]])
        dice = sk.f1_score(
            x[kept], y[kept], labels=LABELLED, average=None, zero_division=0
        )
        values.append(np.where(occurs, dice, NAN))
    return np.nanmean(values, axis=0)


def _generalized_dice(logits, labels):
    values = []
    for x, y in zip(labels, logits.argmax(-1), strict=True):
        x, y = (np.eye(CLASSES)[z.ravel()] for z in (x, y))
        volume = x.sum(0)
        weight = np.where(volume > 0, 1 / np.maximum(volume, 1) ** 2, 0)
        weight = np.where(volume > 0, weight, weight.max())
        areas = (weight * (x.sum(0) + y.sum(0))).sum()
        values.append(2 * (weight * (x * y).sum(0)).sum() / areas)
    return np.mean(values)


def _hausdorff(labels, preds, percentile=100, spacing=(1, 1), edges=True):
    """Return the distance of each class but 0 in each image, from all pairs."""
    values = np.full((len(labels), CLASSES), NAN)
    for image, pair in enumerate(zip(labels, preds, strict=True)):
        for c in range(1, CLASSES):
            masks = [x == c for x in pair]
            if edges:
                masks = [x & ~binary_erosion(x) for x in masks]
            a, b = (np.argwhere(x) * spacing for x in masks)
            if len(a) and len(b):
                apart = cdist(a, b)
                nearest = apart.min(0), apart.min(1)
                values[image, c] = max(np.percentile(x, percentile) for x in nearest)
    return values


def _mean_hausdorff(logits, labels):
    values = _hausdorff(labels, logits.argmax(-1))
    return np.nanmean([np.nanmean(x) for x in values if not np.isnan(x).all()])


def _hausdorff_by_class(preds, labels):
    options = dict(percentile=95, spacing=(2.0, 0.5), edges=False)
    values = _hausdorff(labels, preds, **options)
    return np.append(NAN, np.nanmean(values[:, 1:], axis=0))


CASES = (
    Case(
        "hausdorff distance",
        jm.HausdorffDistance(classes=CLASSES),
        images,
        _mean_hausdorff,
    ),
    Case(
        "hausdorff distance of regions by class, 95 percentile",
        jm.HausdorffDistance(
            classes=CLASSES,
            percentile=95,
            spacing=(2.0, 0.5),
            edges=False,
            average="none",
            scores="preds",
        ),
        with_preds(images),
        _hausdorff_by_class,
        reads={"logits": "preds"},
    ),
    Case(
        "mean iou",
        jm.MeanIoU(classes=CLASSES),
        images,
        _pooled(sk.jaccard_score, average="macro"),
        exact=True,
    ),
    Case(
        "mean iou weighted",
        jm.MeanIoU(classes=CLASSES, weighted=True),
        weighted(images),
        _of_weighted_images,
    ),
    Case(
        "mean iou per image",
        jm.MeanIoU(classes=CLASSES, per_image=True),
        images,
        _per_image(sk.jaccard_score, average="macro"),
    ),
    Case(
        "dice micro",
        jm.Dice(classes=CLASSES, average="micro"),
        images,
        _pooled(sk.f1_score, average="micro"),
        exact=True,
    ),
    Case(
        "dice per image and class, ignore_index",
        jm.Dice(
            classes=CLASSES,
            average="none",
            per_image=True,
            scores="preds",
            ignore_index=IGNORED,
        ),
        with_preds(images),
        lambda preds, labels: np.append(_without_ignored(preds, labels)[:IGNORED], NAN),
        reads={"logits": "preds"},
    ),
    Case(
        "frequency weighted iou",
        jm.FrequencyWeightedIoU(classes=CLASSES),
        images,
        _pooled(sk.jaccard_score, average="weighted"),
        exact=True,
    ),
    Case(
        "generalized dice",
        jm.GeneralizedDice(classes=CLASSES),
        images,
        _generalized_dice,
    ),
    Case(
        "pixel accuracy",
        jm.PixelAccuracy(classes=CLASSES),
        images,
        _pooled(sk.accuracy_score),
        exact=True,
    ),
)
