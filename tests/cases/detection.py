"""Rows of the detection family."""

from __future__ import annotations

import numpy as np
from support.case import NAN, Case, weighted

import jaxmetrics as jm

CLASSES, SHAPE = 3, (4, 5)
REASON = "areas and ratios of boxes are computed in float32"


def boxes(rng, rows):
    """Return boxes of two objects an image, true ones and predictions near them."""
    corner = rng.uniform(0, 5, (rows, 2, 2))
    targets = np.concatenate([corner, corner + rng.uniform(1, 4, corner.shape)], -1)
    preds = targets + rng.uniform(-0.4, 0.4, targets.shape)
    return dict(preds=preds.astype(np.float32), targets=targets.astype(np.float32))


def segments(rng, rows):
    """Return maps of classes and instances, some void, and noisy predictions."""
    shape = (rows, 1, SHAPE[1], 2)
    targets = rng.integers(0, (CLASSES + 1, 2), shape)
    targets = np.broadcast_to(targets, (rows, *SHAPE, 2))
    noise = rng.integers(0, (CLASSES, 2), targets.shape)
    preds = np.where(rng.random((rows, *SHAPE, 1)) < 0.75, targets, noise)
    return dict(preds=preds.astype(np.int32), targets=targets.astype(np.int32))


def _iou(preds, targets):
    corner = np.maximum(preds[..., :2], targets[..., :2])
    end = np.minimum(preds[..., 2:], targets[..., 2:])
    inner = np.maximum(end - corner, 0).prod(-1)
    areas = sum((x[..., 2:] - x[..., :2]).prod(-1) for x in (preds, targets))
    return inner / (areas - inner)


def _complete_iou(preds, targets):
    size = [x[..., 2:] - x[..., :2] for x in (preds, targets)]
    centre = [(x[..., 2:] + x[..., :2]) / 2 for x in (preds, targets)]
    distance = ((centre[0] - centre[1]) ** 2).sum(-1)
    corner = np.minimum(preds[..., :2], targets[..., :2])
    diagonal = ((np.maximum(preds[..., 2:], targets[..., 2:]) - corner) ** 2).sum(-1)
    angle = [np.arctan(s[..., 0] / s[..., 1]) for s in size]
    v = 4 / np.pi**2 * (angle[0] - angle[1]) ** 2
    iou = _iou(preds, targets)
    return iou - distance / diagonal - v / (1 - iou + v) * v


def panoptic_counts(preds, targets, classes):
    """Return sums of IoU, matches, false positives and negatives, with sets of pixels.

    As panopticapi: void of the targets leaves the unions.
    """
    counts = np.zeros((4, classes))
    for pred, target in zip(preds, targets, strict=True):
        maps = []
        for x in (pred, target):
            pixels = {}
            for i, key in enumerate(map(tuple, x.reshape(-1, 2))):
                if 0 <= key[0] < classes:
                    pixels.setdefault(key, set()).add(i)
            maps.append(pixels)
        labelled = set().union(*maps[1].values())
        found = set()
        for key, members in maps[1].items():
            best = 0.0
            for other, area in maps[0].items():
                union = members | (area & labelled)
                iou = len(members & area) / len(union)
                if other[0] == key[0] and iou > 0.5:
                    best = iou
                    found.add(other)
            counts[:2, key[0]] += best, best > 0
            counts[3, key[0]] += best == 0
        for key, area in maps[0].items():
            if key not in found and len(area & labelled) >= len(area) / 2:
                counts[2, key[0]] += 1
    return counts


def _panoptic(preds, targets):
    overlap, matched, extra, missed = panoptic_counts(preds, targets, CLASSES)
    number = matched + extra / 2 + missed / 2
    return np.mean(overlap[number > 0] / number[number > 0]) if number.any() else NAN


CASES = (
    Case(
        "box iou, weighted",
        jm.BoxIoU(weighted=True),
        weighted(boxes),
        lambda preds, targets, weights: np.average(
            _iou(preds, targets).mean(-1), weights=weights
        ),
        tolerance=3e-6,
        reason=REASON,
    ),
    Case(
        "complete box iou",
        jm.BoxIoU(kind="ciou"),
        boxes,
        lambda preds, targets: _complete_iou(preds, targets).mean(),
        tolerance=3e-6,
        reason=REASON,
    ),
    Case(
        "panoptic quality",
        jm.PanopticQuality(classes=CLASSES, segments=8),
        segments,
        _panoptic,
    ),
)
