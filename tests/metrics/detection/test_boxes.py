"""BoxIoU."""

import numpy as np
import pytest

import jaxmetrics as jm

KINDS = ("iou", "giou", "diou", "ciou")
every_kind = pytest.mark.parametrize("kind", KINDS)


def overlap(kind, pred, target, **kwargs):
    preds, targets = (np.float32(x).reshape(-1, 4) for x in (pred, target))
    return jm.evaluate(jm.BoxIoU(kind=kind), preds=preds, targets=targets, **kwargs)


def test_kinds_by_hand():
    """Boxes of 2 x 2 and 2 x 4, enclosed by 3 x 4; the centres are 1 and 1 apart."""
    boxes = [0, 0, 2, 2], [1, 0, 3, 4]
    iou, distance = 2 / 10, 2 / 25
    v = (2 / np.pi * (np.arctan(1) - np.arctan(0.5))) ** 2
    right = dict(
        iou=iou,
        giou=iou - 2 / 12,
        diou=iou - distance,
        ciou=iou - distance - v**2 / (1 - iou + v),
    )
    for kind, value in right.items():
        assert overlap(kind, *boxes) == pytest.approx(value, rel=1e-5)


@every_kind
def test_equal_boxes_overlap_fully(kind):
    assert overlap(kind, [1, 2, 3, 7], [1, 2, 3, 7]) == pytest.approx(1)


def test_boxes_apart_differ_by_their_distance_except_for_plain_iou():
    near, far = ([3, 0, 4, 1], [9, 0, 10, 1])
    box = [0, 0, 1, 1]
    assert overlap("iou", box, near) == overlap("iou", box, far) == 0
    for kind in KINDS[1:]:
        assert -1 < overlap(kind, box, far) < overlap(kind, box, near) < 0


@every_kind
def test_boxes_of_no_area_have_an_overlap(kind):
    assert overlap(kind, [1, 1, 1, 1], [1, 1, 1, 1]) == 0
    assert np.isfinite(overlap(kind, [1, 1, 1, 1], [0, 0, 2, 2]))


@every_kind
def test_padded_and_invalid_boxes_do_not_count(kind):
    pred = [[0, 0, 2, 2], [3, 0, 2, 2], [0, 0, 1, np.nan], [9, 9, 9, 9]]
    target = [[1, 0, 3, 4], [0, 0, 1, 1], [0, 0, 1, 1], [np.nan] * 4]
    preds, targets = (np.float32(x).reshape(2, 2, 4) for x in (pred, target))
    mask = np.array([[True, True], [True, False]])
    state = jm.BoxIoU(kind=kind).update(preds=preds, targets=targets, mask=mask)
    assert (state.plain()["count"], state.plain()["invalid"]) == (1, 2)
    assert state.compute() == overlap(kind, pred[0], target[0])
    assert np.isnan(jm.BoxIoU(kind=kind).compute())


def test_impossible_configurations_and_shapes_are_refused():
    with pytest.raises(ValueError, match="kind is 'siou'"):
        jm.BoxIoU(kind="siou")
    for preds, targets in (((2, 4), (3, 4)), ((2, 5), (2, 5))):
        with pytest.raises(ValueError, match=r"both must be \[..., 4\] of one shape"):
            jm.BoxIoU().update(
                preds=np.zeros(preds, np.float32), targets=np.zeros(targets, np.float32)
            )
