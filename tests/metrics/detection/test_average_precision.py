"""DetectionAP: pycocotools, by hand, ties, padding, bounds, bad input."""

import importlib.util
import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmetrics as jm

NAN = math.nan
FROZEN = Path(__file__).parent / "frozen"
BOX = [0.0, 0.0, 10.0, 10.0]
FAR = [50.0, 50.0, 60.0, 60.0]


def coco():
    """Return the module that made the frozen values."""
    spec = importlib.util.spec_from_file_location("coco", FROZEN / "coco.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COCO = coco()
VALUES = json.loads((FROZEN / "coco.json").read_text())
every_frozen_case = pytest.mark.parametrize("name", COCO.CASES)


def shifted(x):
    """Return the box moved to the right: the overlap is (10 - x) / (10 + x)."""
    return [x, 0.0, 10.0 + x, 10.0]


def outputs(preds, scores, targets, labels=None, target_labels=None, **more):
    """Return the outputs of one image."""
    return dict(
        pred_boxes=np.float32([preds]),
        pred_scores=np.float32([scores]),
        pred_labels=np.int32([labels or [0] * len(preds)]),
        target_boxes=np.float32([targets]),
        target_labels=np.int32([target_labels or [0] * len(targets)]),
        **more,
    )


def at_half(**options):
    return jm.DetectionAP(classes=1, thresholds=(0.5,), **options)


@pytest.mark.sampled(3)
@every_frozen_case
def test_values_are_those_of_pycocotools(name):
    """The case of twenty objects has recalls that float64 rounds up: 7/20 < 0.35."""
    frozen, images = VALUES[name], COCO.images(**COCO.CASES[name])
    options = dict(classes=COCO.CLASSES, max_detections=COCO.MAX_DETECTIONS[name])
    metric = jm.DetectionAP(bins=2048, average="none", **options).update(**images)
    by_class = [NAN if x == -1 else x for x in frozen["by_class"]]
    assert metric.compute()["ap"] == pytest.approx(by_class, rel=1e-12, nan_ok=True)
    state = jm.DetectionAP(bins=2048, **options).update(**images)
    exact = {key: frozen[key] for key in ("ap", "ap50", "ap75")}
    assert state.compute() == pytest.approx(exact, rel=1e-12)
    under_jit = jax.jit(lambda state: state.compute())(state)
    assert under_jit == pytest.approx(exact, rel=1e-5)


@pytest.mark.sampled(3)
@every_frozen_case
def test_bounds_hold_with_few_bins(name):
    frozen, images = VALUES[name], COCO.images(**COCO.CASES[name])
    options = dict(classes=COCO.CLASSES, max_detections=COCO.MAX_DETECTIONS[name])
    state = jm.DetectionAP(bins=16, **options).update(**images)
    (low, high), value = state.bounds(), state.compute()
    for key in ("ap", "ap50", "ap75"):
        assert low[key] - 1e-12 <= frozen[key] <= high[key] + 1e-12
        assert low[key] <= value[key] <= high[key]
    assert low["ap"] < high["ap"]


@pytest.mark.parametrize("name", COCO.BY_AREA)
def test_areas_and_crowds_are_those_of_pycocotools(name):
    frozen, images = VALUES[name], COCO.images_by_area(**COCO.BY_AREA[name])
    options = dict(classes=COCO.CLASSES, bins=2048)
    both = jm.DetectionAP(crowds=True, areas=True, **options)
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    expected = {key: frozen[key] for key in names}
    value = jm.evaluate(both, **images)
    assert value == pytest.approx(expected, rel=1e-6, nan_ok=True)
    crowds = jm.DetectionAP(crowds=True, **options)
    assert jm.evaluate(crowds, **images)["ap"] == pytest.approx(frozen["ap"], rel=1e-6)
    without = jm.evaluate(jm.DetectionAP(**options), **images)["ap"]
    assert without != pytest.approx(frozen["ap"], rel=1e-2)


def test_many_detections_may_lie_in_a_crowd():
    """The first takes the object, the second and third only the crowd around it."""
    image = outputs(
        [BOX, shifted(1), shifted(2), FAR], [0.9, 0.8, 0.7, 0.6], [BOX, FAR]
    )
    image["target_boxes"] = np.float32([[BOX, [0.0, 0.0, 20.0, 20.0]]])
    image["target_crowd"] = np.array([[False, True]])
    assert jm.evaluate(at_half(crowds=True), **image)["ap"] == 1
    del image["target_crowd"]
    with pytest.raises(TypeError, match="needs output 'target_crowd'"):
        at_half(crowds=True).update(**image)


def test_objects_and_detections_outside_an_area_are_left_out():
    """An object of 100 is small; the detection of 3600 that misses is medium."""
    image = outputs([BOX, [0.0, 0.0, 60.0, 60.0]], [0.5, 0.9], [BOX])
    value = jm.evaluate(at_half(areas=True), **image)
    assert value["ap"] == value["ap50"] == 0.5 and value["ap_small"] == 1
    assert math.isnan(value["ap_medium"]) and math.isnan(value["ap_large"])
    image["target_areas"] = np.float32([[32**2 + 1]])
    assert jm.evaluate(at_half(areas=True), **image)["ap_medium"] == 0.5
    with pytest.raises(ValueError, match="target_areas has shape"):
        at_half(areas=True).update(**dict(image, target_areas=np.ones(1)))


def test_bounds_of_one_bin_by_hand():
    """In the bin of the middle scores lie a false and a true positive.

    With 4 bins these share one; the smallest and largest score are counted apart.
    The true positive has the precision 1 or 2/3 there, and recall 1.
    """
    images = [
        outputs([BOX], [16.0], [BOX]),
        outputs([FAR], [5.0], [BOX]),
        outputs([BOX], [5.5], [BOX]),
        outputs([FAR], [1.0], [BOX], target_mask=np.array([[False]])),
    ]
    state = at_half(bins=4)
    for image in images:
        state = state.update(**image)
    low, high = state.bounds()
    # Objects: 3. Recalls up to 1/3 (34 of them) have precision 1, up to 2/3 (33).
    assert high["ap"] == pytest.approx((34 + 33) / 101)
    assert low["ap"] == pytest.approx((34 + 33 * 2 / 3) / 101)
    exact = at_half(bins=64)
    for image in images:
        exact = exact.update(**image)
    assert exact.compute()["ap"] == pytest.approx((34 + 33) / 101)


def test_precision_at_a_recall_is_the_largest_from_there_on():
    """Scores fall: miss, hit, hit of two objects: precisions 0, 1/2, 2/3."""
    targets = [BOX, FAR]
    image = outputs([shifted(9), BOX, FAR], [0.75, 0.5, 0.25], targets)
    assert jm.evaluate(at_half(), **image)["ap"] == pytest.approx(2 / 3)


def test_recall_that_is_not_reached_counts_as_zero():
    image = outputs([BOX], [0.5], [BOX, FAR])
    assert jm.evaluate(at_half(), **image)["ap"] == pytest.approx(51 / 101)


def test_an_object_is_matched_once_and_by_the_higher_score():
    """The second detection of an object is a false positive, however well it lies."""
    image = outputs([shifted(2), BOX, FAR], [0.9, 0.8, 0.7], [BOX, FAR])
    expected = (51 + 50 * 2 / 3) / 101
    assert jm.evaluate(at_half(), **image)["ap"] == pytest.approx(expected)


def test_a_detection_takes_the_free_object_of_largest_overlap():
    """The first takes the nearer object, and so leaves the other one to the second."""
    targets = [shifted(2), shifted(-1)]
    image = outputs([shifted(0), shifted(3)], [0.9, 0.8], targets)
    assert jm.evaluate(at_half(), **image)["ap"] == 1
    image = outputs([shifted(0), shifted(-4)], [0.9, 0.8], targets)
    assert jm.evaluate(at_half(), **image)["ap"] == pytest.approx(51 / 101)


def test_an_overlap_equal_to_the_threshold_matches():
    image = outputs([[0.0, 0.0, 5.0, 10.0]], [0.9], [BOX])
    assert jm.evaluate(at_half(), **image)["ap"] == 1


def test_a_box_of_another_class_does_not_match():
    metric = jm.DetectionAP(classes=3, average="none")
    image = outputs([BOX, FAR], [0.9, 0.8], [BOX, FAR], [0, 1], [1, 1])
    value = jm.evaluate(metric, **image)
    assert value["ap50"] == pytest.approx([NAN, 51 / 101, NAN], nan_ok=True)
    # Nor does it take the object from a box of the right class.
    image = outputs([BOX, BOX, FAR], [0.9, 0.8, 0.7], [BOX, FAR], [0, 1, 1], [1, 1])
    value = jm.evaluate(metric, **image)
    assert value["ap50"] == pytest.approx([NAN, 1, NAN], nan_ok=True)


def test_a_class_without_objects_is_left_out_of_the_mean():
    image = outputs([BOX, FAR], [0.9, 0.8], [BOX], [0, 1])
    assert jm.evaluate(jm.DetectionAP(classes=2), **image)["ap"] == 1


def test_equal_scores_of_different_images_enter_together():
    """In either order of the images; pycocotools gives 1 or 1/2, by their order."""
    hit = outputs([BOX], [0.5], [BOX])
    miss = outputs([FAR], [0.5], [BOX], target_mask=np.array([[False]]))
    for images in ((hit, miss), (miss, hit)):
        state = at_half()
        for image in images:
            state = state.update(**image)
        assert state.compute()["ap"] == 0.5
        assert [bound["ap"] for bound in state.bounds()] == [0.5, 0.5]


def test_only_the_best_detections_of_a_class_count():
    image = outputs([FAR, BOX], [0.9, 0.8], [BOX])
    assert jm.evaluate(at_half(), **image)["ap"] == 0.5
    assert jm.evaluate(at_half(max_detections=1), **image)["ap"] == 0


def test_without_objects_the_value_is_nan_and_without_detections_zero():
    metric = jm.DetectionAP(classes=2)
    assert math.isnan(metric.compute()["ap"])
    image = outputs([BOX], [0.9], [BOX])
    masked = metric.update(**image, mask=np.array([False]))
    assert math.isnan(masked.compute()["ap50"])
    nothing = metric.update(**image, pred_mask=np.array([[False]]))
    assert nothing.compute() == {"ap": 0, "ap50": 0, "ap75": 0}


def test_padding_is_not_read():
    image = outputs([BOX, [NAN] * 4], [0.9, NAN], [BOX, [NAN] * 4], [0, -1], [0, 99])
    there = np.array([[True, False]])
    state = at_half().update(**image, pred_mask=there, target_mask=there)
    assert state.compute()["ap"] == 1 and state.diagnostics() == {}


def test_images_may_have_no_slot_for_objects():
    image = outputs([BOX], [0.9], np.zeros((0, 4)))
    assert math.isnan(jm.evaluate(at_half(), **image)["ap"])


def test_boxes_that_cannot_be_scored_are_invalid():
    preds = [BOX, BOX, [10.0, 0.0, 0.0, 10.0], [0.0, 0.0, math.inf, 1.0], BOX]
    image = outputs(preds, [0.5, NAN, 0.9, 0.9, 0.9], [BOX], [0, 0, 0, 0, 7], [0])
    state = at_half().update(**image)
    assert state.compute()["ap"] == 1 and state.diagnostics() == {"invalid": 4}
    state = at_half().update(**outputs([BOX], [0.5], [BOX, BOX], None, [0, -1]))
    assert state.compute()["ap"] == 1 and state.diagnostics() == {"invalid": 1}


def test_infinite_scores_are_ordered():
    image = outputs([FAR, BOX], [-math.inf, math.inf], [BOX])
    assert jm.evaluate(at_half(), **image)["ap"] == 1


def test_more_than_two_to_the_24_objects_are_counted_exactly():
    state = at_half().replace(objects=np.array([[2**24 + 1]]))
    state = state.update(**outputs([BOX], [0.5], [BOX]))
    assert state.plain()["objects"].tolist() == [[2**24 + 2]]


def test_wide_bounds_are_a_diagnostic():
    scores = np.linspace(0.1, 0.9, 40).tolist()
    image = outputs([BOX, FAR] * 20, scores, [BOX] * 20)
    state = at_half(bins=4).update(**image)
    low, high = state.bounds()
    assert state.diagnostics() == {"bounds_width": high["ap"] - low["ap"]}
    assert at_half(bins=4096).update(**image).diagnostics() == {}


def test_thresholds_name_the_values():
    value = jm.evaluate(
        jm.DetectionAP(classes=1, thresholds=(0.3, 0.75)),
        **outputs([shifted(5)], [0.5], [BOX]),
    )
    assert value == {"ap": 0.5, "ap75": 0}


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(), "classes"),
        (dict(classes=0), "classes"),
        (dict(classes=1, thresholds=()), "must be overlaps in"),
        (dict(classes=1, thresholds=(0.5, 50.0)), "must be overlaps in"),
        (dict(classes=1, average="micro"), "average"),
        (dict(classes=1, bins=100), "power of two"),
        (dict(classes=1, max_detections=0), "max_detections 0"),
    ],
)
def test_bad_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        jm.DetectionAP(**options)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(pred_boxes=np.zeros((1, 1, 5))), "pred_boxes have shape"),
        (dict(target_boxes=np.zeros((1, 2, 4))), "target_boxes have shape"),
        (dict(pred_scores=np.zeros((1, 2))), "pred_scores have shape"),
        (
            dict(target_boxes=np.zeros((2, 1, 4)), target_labels=np.zeros((2, 1), int)),
            "must be the same images",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, message):
    image = outputs([BOX], [0.5], [BOX])
    with pytest.raises(ValueError, match=message):
        at_half().update(**dict(image, **change))


def test_labels_are_integers():
    image = outputs([BOX], [0.5], [BOX])
    with pytest.raises(TypeError, match="pred_labels"):
        at_half().update(**dict(image, pred_labels=np.zeros((1, 1), np.float32)))
