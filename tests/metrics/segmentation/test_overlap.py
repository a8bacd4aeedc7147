"""IoU and Dice of label maps."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm

IGNORED = 255
PREDS = np.int32([[[0, 1], [1, 1]], [[0, 0], [0, 0]]])
LABELS = np.int32([[[0, 1], [1, 0]], [[0, 0], [0, 0]]])
PER_IMAGE = (
    jm.MeanIoU(classes=2, scores="preds", per_image=True),
    jm.Dice(classes=2, scores="preds", per_image=True, average="micro"),
    jm.GeneralizedDice(classes=2, scores="preds"),
)
POOLED = (
    jm.MeanIoU(classes=2, scores="preds"),
    jm.Dice(classes=2, scores="preds"),
    jm.FrequencyWeightedIoU(classes=2, scores="preds"),
    jm.PixelAccuracy(classes=2, scores="preds"),
)
every_metric = pytest.mark.parametrize(
    "metric", PER_IMAGE + POOLED, ids=lambda m: type(m).__name__
)


def test_pooled_counts_by_hand():
    """Class 0 has 5 hits of 5 predicted and 6 labelled, class 1 has 2 of 3 and 2."""
    outputs = dict(preds=PREDS, labels=LABELS)
    values = [float(jm.evaluate(metric, **outputs)) for metric in POOLED]
    iou, dice = (5 / 6, 2 / 3), (10 / 11, 4 / 5)
    frequency = (6 * iou[0] + 2 * iou[1]) / 8
    right = [np.mean(iou), np.mean(dice), frequency, 7 / 8]
    assert values == pytest.approx(right, abs=1e-15)


def test_the_mean_over_images_is_another_metric_and_no_accident_of_batches():
    """metrax.IoU gives one or the other, depending on the split into batches."""
    metric = PER_IMAGE[0]
    right = np.mean([np.mean([1 / 2, 2 / 3]), 1])
    whole = jm.evaluate(metric, preds=PREDS, labels=LABELS)
    one_by_one = metric
    for i in range(2):
        one_by_one = one_by_one.update(preds=PREDS[i : i + 1], labels=LABELS[i : i + 1])
    assert whole == pytest.approx(right, abs=1e-7)
    assert one_by_one.compute() == pytest.approx(right, abs=1e-7)


def test_a_class_that_does_not_occur_has_no_value():
    outputs = dict(preds=PREDS, labels=LABELS)
    for per_image in (False, True):
        metric = jm.MeanIoU(classes=3, scores="preds", per_image=per_image)
        two = jm.MeanIoU(classes=2, scores="preds", per_image=per_image)
        assert jm.evaluate(metric, **outputs) == jm.evaluate(two, **outputs)
    by_class = jm.MeanIoU(classes=3, scores="preds", average="none")
    assert np.isnan(jm.evaluate(by_class, **outputs)).tolist() == [False, False, True]


def test_a_class_that_is_only_predicted_scores_zero():
    metric = jm.MeanIoU(classes=3, scores="preds", average="none")
    preds = np.where(PREDS == 1, 2, 0)
    value = jm.evaluate(metric, preds=preds, labels=LABELS)
    assert value[1:].tolist() == [0, 0]


@pytest.mark.parametrize(
    "make", [jm.MeanIoU, jm.Dice, jm.GeneralizedDice, jm.PixelAccuracy]
)
def test_ignored_pixels_do_not_count(make):
    labels, preds = LABELS.copy(), PREDS.copy()
    labels[0, 1, 1] = IGNORED  # the one wrong pixel
    metric = make(classes=2, scores="preds", ignore_index=IGNORED)
    assert jm.evaluate(metric, preds=preds, labels=labels) == pytest.approx(1)


@every_metric
def test_masked_images_and_invalid_labels_do_not_count(metric):
    labels = np.concatenate([LABELS, [[[7, -1], [7, 7]]]]).astype(np.int32)
    preds = np.concatenate([PREDS, PREDS[:1]])
    state = metric.update(preds=preds, labels=labels)
    right = jm.evaluate(metric, preds=PREDS, labels=LABELS)
    assert state.compute() == right
    invalid = [x for name, x in state.plain().items() if name.endswith("invalid")]
    assert invalid == [4]
    mask = np.array([True, True, False])
    assert jm.evaluate(metric, preds=preds, labels=labels, mask=mask) == right
    assert np.isnan(jm.evaluate(metric, preds=preds, labels=labels, mask=~mask))
    assert np.isnan(metric.compute())


@pytest.mark.parametrize("per_image", [False, True])
def test_an_ignored_class_enters_no_average(per_image):
    """Recall of the rest is full: where torchmetrics' macro means still count it."""
    metric = jm.MeanIoU(
        classes=2, scores="preds", ignore_index=1, per_image=per_image, average="none"
    )
    value = jm.evaluate(metric, preds=PREDS, labels=LABELS)
    assert np.isnan(value[1])
    assert value[0] == pytest.approx(np.mean([0.5, 1]) if per_image else 5 / 6)


def test_counts_beyond_float32_do_not_stick():
    metric = jm.MeanIoU(classes=1, scores="preds")
    n = 2**24
    counts = metric.counts.replace(hits=[n], predicted=[n + 1], support=[n])
    state = metric.with_fields(counts=counts)
    assert state.compute() == n / (n + 1)


def test_the_weight_of_an_absent_class_does_not_depend_on_the_batch():
    """torchmetrics takes the largest weight of that class in the batch."""
    preds, labels = np.int32([[[0, 1, 0, 0]]]), np.int32([[[0, 0, 0, 0]]])
    metric = jm.GeneralizedDice(classes=2, scores="preds")
    alone = jm.evaluate(metric, preds=preds, labels=labels)
    assert alone == pytest.approx(2 * 3 / (4 + 3 + 1))
    other = np.int32([[[1, 1, 1, 1]]])
    both = dict(preds=np.stack([preds[0], other[0]]))
    both["labels"] = np.stack([labels[0], other[0]])
    assert jm.evaluate(metric, **both) == pytest.approx((alone + 1) / 2)


@pytest.mark.parametrize("weighting", ["square", "simple", "linear"])
def test_weightings_of_generalized_dice(weighting):
    labels = np.int32([[[0, 0, 0, 0, 1, 1]]])
    preds = np.int32([[[0, 0, 0, 1, 1, 0]]])
    metric = jm.GeneralizedDice(classes=2, scores="preds", weighting=weighting)
    w = dict(square=(1 / 16, 1 / 4), simple=(1 / 4, 1 / 2), linear=(1, 1))[weighting]
    right = 2 * (3 * w[0] + 1 * w[1]) / (8 * w[0] + 4 * w[1])
    value = jm.evaluate(metric, preds=preds, labels=labels)
    assert value == pytest.approx(right, rel=1e-6)


def test_metrics_of_pooled_counts_share_them():
    metrics = jm.Collection(iou=POOLED[0], dice=POOLED[1], accuracy=POOLED[3])
    assert len(jax.tree.leaves(metrics)) == len(jax.tree.leaves(POOLED[0]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.MeanIoU(), "needs the number of classes"),
        (lambda: jm.MeanIoU(classes=0), "classes is 0"),
        (lambda: jm.Dice(classes=2, average="weighted"), "average is 'weighted'"),
        (lambda: jm.GeneralizedDice(classes=2, weighting="cube"), "'cube'"),
    ],
)
def test_impossible_configurations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_shapes_are_refused():
    logits = np.zeros((2, 2, 2, 3), np.float32)
    with pytest.raises(ValueError, match="must be the 2 classes"):
        jm.MeanIoU(classes=2).update(logits=logits, labels=LABELS)
    flat = dict(preds=PREDS.ravel(), labels=LABELS.ravel())
    assert POOLED[0].update(**flat).compute() > 0
    for metric in PER_IMAGE:
        with pytest.raises(ValueError, match=r"needs labels \[..., height, width\]"):
            metric.update(**flat)
