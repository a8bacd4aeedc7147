"""Average precision by pycocotools, frozen in coco.json.

Run with pycocotools 2.0.11 beside this file's images.
"""

import contextlib
import io
import json
import math
from pathlib import Path

import numpy as np

CLASSES = 4
NAN = math.nan
CASES = {
    "few": dict(seed=0, images=6, objects=4, detections=8, distance=0.15),
    "many": dict(seed=1, images=40, objects=12, detections=30, distance=0.2),
    "crowded": dict(seed=2, images=10, objects=20, detections=60, distance=0.4),
    "twenty objects of a class": dict(
        seed=3, images=20, objects=4, detections=6, distance=0.05, each=True
    ),
}
MAX_DETECTIONS = {"few": 100, "many": 100, "crowded": 3, "twenty objects of a class": 9}


BY_AREA = {
    "crowds": dict(
        seed=4, images=30, objects=10, detections=30, distance=0.1, crowds=0.2
    ),
    "crowds among large boxes": dict(
        seed=5, images=20, objects=14, detections=40, distance=0.1, crowds=0.4, scale=8
    ),
}


def images(seed, images, objects, detections, distance, each=False):
    """Return padded boxes, distinct scores, classes and masks of a case.

    Detections are near objects, some of another class, some far from all. With `each`,
    every image has one object of each class, so that recalls are hundredths exactly.
    """
    rng = np.random.default_rng(seed)
    shape = (images, objects)
    corner = rng.uniform(0, 60, (*shape, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 30, corner.shape)], -1)
    labels = rng.integers(0, CLASSES - 1, shape)  # the last class has no objects
    there = rng.random(shape) < 0.8
    if each:
        labels, there = np.broadcast_to(np.arange(objects), shape), np.ones(shape, bool)
    of = rng.integers(0, objects, (images, detections))
    near = np.take_along_axis(boxes, of[..., None], 1)
    size = (near[..., 2:] - near[..., :2]).mean(-1, keepdims=True)
    moved = near + distance * size * rng.normal(0, 1, near.shape)
    moved[..., 2:] = np.maximum(moved[..., 2:], moved[..., :2] + 1)
    same = np.take_along_axis(labels, of, 1)
    other = rng.integers(0, CLASSES, same.shape)
    pred_labels = np.where(rng.random(same.shape) < 0.8, same, other)
    scores = (rng.permutation(images * detections) + 1) / 1024
    return dict(
        pred_boxes=moved.astype(np.float32),
        pred_scores=scores.reshape(same.shape).astype(np.float32),
        pred_labels=pred_labels.astype(np.int32),
        pred_mask=rng.random(same.shape) < 0.9,
        target_boxes=boxes.astype(np.float32),
        target_labels=labels.astype(np.int32),
        target_mask=there,
    )


def images_by_area(crowds, scale=4, **case):
    """Return images of boxes of many sizes, some of which are crowds."""
    outputs = images(**case)
    rng = np.random.default_rng(case["seed"] + 100)
    shape = outputs["target_labels"].shape
    for name in ("pred_boxes", "target_boxes"):
        outputs[name] = outputs[name] * np.float32(scale)
    sizes = outputs["target_boxes"][..., 2:] - outputs["target_boxes"][..., :2]
    areas = sizes.prod(-1) * rng.uniform(0.5, 1, shape)
    return dict(
        outputs,
        target_crowd=rng.random(shape) < crowds,
        target_areas=areas.astype(np.float32),
    )


def values(outputs, max_detections=100):
    """Return the mean values, and the average precision of each class, -1 for none."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def annotations(prefix):
        kept = outputs[f"{prefix}_mask"]
        boxes = outputs[f"{prefix}_boxes"].astype(float)
        for image, i in zip(*np.nonzero(kept), strict=True):
            x1, y1, x2, y2 = boxes[image, i].tolist()
            found = dict(
                id=len(ids) + 1,
                image_id=int(image) + 1,
                category_id=int(outputs[f"{prefix}_labels"][image, i]) + 1,
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                iscrowd=0,
            )
            if prefix == "target" and "target_crowd" in outputs:
                found["iscrowd"] = int(outputs["target_crowd"][image, i])
                found["area"] = float(outputs["target_areas"][image, i])
            if prefix == "pred":
                found["score"] = float(outputs["pred_scores"][image, i])
            ids.append(found["id"])
            yield found

    with contextlib.redirect_stdout(io.StringIO()):
        truth, ids = COCO(), []
        truth.dataset = dict(
            info={},
            images=[dict(id=i + 1) for i in range(len(outputs["pred_mask"]))],
            categories=[dict(id=i + 1) for i in range(CLASSES)],
            annotations=list(annotations("target")),
        )
        truth.createIndex()
        ids = []
        found = truth.loadRes(list(annotations("pred")))
        run = COCOeval(truth, found, "bbox")
        run.params.maxDets = [1, 2, max_detections]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, classes
    kept = precision[..., (precision > -1).all((0, 1))]
    by_area = {}
    if "target_crowd" in outputs:
        for i, name in enumerate(("small", "medium", "large"), 1):
            of_area = run.eval["precision"][:, :, :, i, -1]
            kept_of_area = of_area[of_area > -1]
            by_area[f"ap_{name}"] = kept_of_area.mean() if kept_of_area.size else NAN
    return by_area | dict(
        ap=kept.mean(),
        ap50=kept[0].mean(),
        ap75=kept[5].mean(),
        by_class=precision.mean((0, 1)).tolist(),
        by_threshold=kept.mean((1, 2)).tolist(),
    )


if __name__ == "__main__":
    frozen = {
        name: values(images(**case), MAX_DETECTIONS[name])
        for name, case in CASES.items()
    }
    frozen |= {name: values(images_by_area(**case)) for name, case in BY_AREA.items()}
    path = Path(__file__).with_name("coco.json")
    path.write_text(json.dumps(frozen, indent=1) + "\n")
