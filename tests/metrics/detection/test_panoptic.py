"""PanopticQuality."""

import cases.detection
import jax
import numpy as np
import pytest

import jaxmetrics as jm

METRIC = jm.PanopticQuality(classes=2, average="none")
VOID = (-1, 0)


def row(*pixels):
    """Return the map of one image of one row."""
    return np.int32([[pixels]])


def test_a_matched_segment_by_hand():
    """Instance numbers do not matter; 2 of 3 pixels overlap."""
    targets = row((0, 1), (0, 1), (0, 1), (1, 0))
    preds = row((0, 7), (0, 7), (1, 3), (1, 3))
    outputs = dict(preds=preds, targets=targets)
    assert jm.evaluate(METRIC, **outputs) == pytest.approx([2 / 3, 0], rel=1e-6)
    state = METRIC.update(**outputs).plain()
    # An overlap of exactly one half is no match.
    assert state["matched"].tolist() == [1, 0]
    assert state["unmatched_preds"].tolist() == [0, 1]
    assert state["unmatched_targets"].tolist() == [0, 1]


def test_quality_is_the_product_of_its_factors():
    rng = np.random.default_rng(0)
    outputs = cases.detection.segments(rng, 20)
    quality, segmentation, recognition = (
        jm.evaluate(jm.PanopticQuality(classes=3, average="none", part=part), **outputs)
        for part in ("quality", "segmentation", "recognition")
    )
    assert quality == pytest.approx(segmentation * recognition, rel=1e-6)
    assert ((quality > 0) & (quality < 1)).all()


def test_counts_are_those_of_sets_of_pixels():
    outputs = cases.detection.segments(np.random.default_rng(1), 30)
    right = cases.detection.panoptic_counts(**outputs, classes=3)
    state = jm.PanopticQuality(classes=3).update(**outputs).plain()
    assert state["overlap"] == pytest.approx(right[0], rel=1e-6)
    names = ("matched", "unmatched_preds", "unmatched_targets")
    for name, counts in zip(names, right[1:], strict=True):
        assert state[name].tolist() == counts.tolist(), name


def test_void_pixels_of_the_targets_excuse_predictions():
    targets = row((0, 1), (0, 1), VOID, VOID, VOID)
    preds = row((0, 1), (0, 1), (0, 1), (1, 0), (1, 0))
    value = jm.evaluate(METRIC, preds=preds, targets=targets)
    assert value[0] == 1 and np.isnan(value[1])


def test_a_segment_predicted_as_void_is_missed():
    """torchmetrics counts no false negative here."""
    targets, preds = row((0, 1), (1, 0)), row(VOID, (1, 0))
    assert jm.evaluate(METRIC, preds=preds, targets=targets).tolist() == [0, 1]


def test_classes_that_do_not_occur_are_not_averaged():
    targets = row((0, 1), (0, 1), (0, 2))
    metric = jm.PanopticQuality(classes=5)
    assert jm.evaluate(metric, preds=targets, targets=targets) == 1
    void = row(VOID, VOID)
    assert np.isnan(jm.evaluate(metric, preds=void, targets=void))
    assert np.isnan(metric.compute())


def test_images_with_too_many_segments_are_counted_apart():
    targets = np.concatenate([row((0, 1), (0, 2), (0, 3)), row((0, 1), (0, 1), (0, 1))])
    metric = jm.PanopticQuality(classes=1, segments=2)
    state = metric.update(preds=targets, targets=targets)
    assert state.plain()["invalid"] == 1
    assert state.plain()["matched"].tolist() == [1]
    masked = metric.update(preds=targets, targets=targets, mask=np.array([False, True]))
    assert masked.plain()["invalid"] == 0 and masked.compute() == 1


def test_any_instance_number_is_a_number():
    lowest, largest = np.iinfo(np.int32).min, np.iinfo(np.int32).max
    targets = row((0, lowest), (0, largest), (0, -1), (1, largest))
    assert jm.evaluate(METRIC, preds=targets, targets=targets).tolist() == [1, 1]


def test_counts_beyond_float32_do_not_stick():
    n = 2**24
    state = jm.PanopticQuality(classes=1).replace(
        overlap=[float(n)], matched=[n], unmatched_preds=[1], unmatched_targets=[1]
    )
    assert state.compute() == n / (n + 1)
    value = jax.jit(lambda m: m.compute())(state)
    assert value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.PanopticQuality(), "needs the number of classes"),
        (lambda: jm.PanopticQuality(classes=0), "classes is 0"),
        (lambda: jm.PanopticQuality(classes=1, segments=0), "segments 0"),
        (lambda: jm.PanopticQuality(classes=1, part="sq"), "part is 'sq'"),
        (lambda: jm.PanopticQuality(classes=1, average="micro"), "average is 'micro'"),
    ],
)
def test_impossible_configurations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_shapes_and_types_are_refused():
    maps = row((0, 1), (1, 0))
    for preds, targets in ((maps, maps[0]), (maps[..., :1], maps[..., :1])):
        with pytest.raises(ValueError, match="height, width, 2"):
            METRIC.update(preds=preds, targets=targets)
    with pytest.raises(TypeError, match="preds are class numbers"):
        METRIC.update(preds=np.float32(maps), targets=maps)
