"""Rows of the detection family."""

from __future__ import annotations

import jax
import jax.numpy as jnp
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


def _inside(box, region):
    corner, end = np.maximum(box[:2], region[:2]), np.minimum(box[2:], region[2:])
    return np.maximum(end - corner, 0).prod() / (box[2:] - box[:2]).prod()


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


def detections(rng, rows):
    """Return padded boxes of two objects and three detections an image."""
    targets = boxes(rng, rows)["targets"]
    of = rng.integers(0, 2, (rows, 3))
    preds = np.take_along_axis(targets, of[..., None], 1)
    preds = preds + rng.uniform(-0.4, 0.4, preds.shape)
    labels = rng.integers(0, CLASSES, (rows, 2))
    return dict(
        pred_boxes=preds.astype(np.float32),
        pred_scores=(rng.integers(1, 65, (rows, 3)) / 64).astype(np.float32),
        pred_labels=np.take_along_axis(labels, of, 1).astype(np.int32),
        pred_mask=rng.random((rows, 3)) < 0.8,
        target_boxes=targets,
        target_labels=labels.astype(np.int32),
        target_mask=rng.random((rows, 2)) < 0.9,
    )


def detections_and_crowds(rng, rows):
    """Return detections beside two objects an image, some of which are crowds."""
    drawn = detections(rng, rows)
    return dict(drawn, target_crowd=rng.random(drawn["target_labels"].shape) < 0.3)


def average_precision(thresholds, max_detections=100, **outputs):
    """Return the average precision `[thresholds, classes]`, nan without objects.

    Equal scores of several images enter together. Detections that only lie in a crowd
    are left out.
    """
    names = "pred_boxes", "pred_scores", "pred_labels", "target_boxes", "target_labels"
    hits, found = {}, np.zeros(CLASSES)
    no_crowds = np.zeros(outputs["target_mask"].shape, bool)
    for image in range(len(outputs["pred_scores"])):
        one = {name: outputs[name][image] for name in names}
        there = outputs["target_mask"][image]
        for c in range(CLASSES):
            of_class = there & (one["target_labels"] == c)
            is_crowd = outputs.get("target_crowd", no_crowds)[image]
            truth = one["target_boxes"][of_class & ~is_crowd]
            crowds = one["target_boxes"][of_class & is_crowd]
            own = outputs["pred_mask"][image] & (one["pred_labels"] == c)
            scores = one["pred_scores"][own]
            order = np.argsort(-scores, kind="stable")[:max_detections]
            found[c] += len(truth)
            for t, threshold in enumerate(thresholds):
                free = list(range(len(truth)))
                for box, score in zip(one["pred_boxes"][own][order], scores[order]):
                    ious = [(_iou(box, truth[i]), i) for i in free]
                    best = max(ious, default=(-1, -1))
                    if best[0] >= threshold:
                        free.remove(best[1])
                    elif any(_inside(box, x) >= threshold for x in crowds):
                        continue
                    hits.setdefault((t, c), []).append((score, best[0] >= threshold))
    value = np.full((len(thresholds), CLASSES), NAN)
    for t, c in np.ndindex(value.shape):
        if found[c] == 0:
            continue
        score, true = np.array(hits.get((t, c), [(0, 0)])).T
        steps = [(true[score >= s].sum(), (score >= s).sum()) for s in np.unique(score)]
        value[t, c] = np.mean(
            [
                max((k / n for k, n in steps if k >= max(r * found[c], 1)), default=0)
                for r in np.arange(101) / 100 - 1e-12
            ]
        )
    return value


def _mean_precisions(**outputs):
    found = average_precision((0.5, 0.75), **outputs)
    if np.isnan(found).all():
        return np.full(3, NAN)
    return np.nanmean(np.stack([found.mean(0), *found]), axis=1)


def means_of_precision(value):
    """Join the three values into one array."""
    xp = jnp if isinstance(value["ap"], jax.Array) else np
    return xp.stack([value[name] for name in ("ap", "ap50", "ap75")], axis=-1)


CASES = (
    Case(
        "detection average precision",
        jm.Compose(
            means_of_precision,
            value=jm.DetectionAP(classes=CLASSES, thresholds=(0.5, 0.75), bins=64),
        ),
        detections,
        _mean_precisions,
        exact=True,
    ),
    Case(
        "detection average precision, crowds and areas",
        jm.Compose(
            means_of_precision,
            value=jm.DetectionAP(
                classes=CLASSES,
                thresholds=(0.5, 0.75),
                crowds=True,
                areas=True,
                bins=64,
            ),
        ),
        detections_and_crowds,
        _mean_precisions,
        exact=True,
    ),
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
