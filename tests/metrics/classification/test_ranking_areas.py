"""AUROC and AveragePrecision: values by hand, bins, and bounds of the exact area."""

import math

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)


AREAS = (jm.AUROC, jm.AveragePrecision)
EXACT = {
    jm.AUROC: sk.roc_auc_score,
    jm.AveragePrecision: sk.average_precision_score,
}


def binary(metric, logits, labels):
    outputs = dict(logits=np.float32(logits), labels=np.int32(labels))
    return jm.evaluate(metric(task="binary"), **outputs)


def test_areas_by_hand():
    logits, labels = [4, 3, 2, 1], [1, 0, 1, 0]
    assert binary(jm.AUROC, logits, labels) == 0.75
    precision = binary(jm.AveragePrecision, logits, labels)
    assert precision == pytest.approx((1 + 2 / 3) / 2, rel=1e-15)


def test_ties_count_half():
    assert binary(jm.AUROC, [0, 0, 0, 1], [0, 1, 0, 1]) == 0.75


def test_a_collection_of_both_areas_stores_the_histogram_once():
    metrics = jm.Collection(
        roc=jm.AUROC(task="binary"), pr=jm.AveragePrecision(task="binary")
    )
    assert list(jm.state_dict(metrics)) == [
        "roc.histogram/cells",
        "roc.histogram/invalid",
    ]
    values = metrics.update(logits=[1.0, 2.0, 3.0], labels=[1, 0, 1]).compute()
    assert values == dict(roc=0.5, pr=pytest.approx(5 / 6, rel=1e-15))


def test_logits_with_equal_float32_probabilities_are_ranked():
    logits = [17.6, 18.4, 17.4, 19.9]  # the sigmoid of each is 1 in float32
    assert binary(jm.AUROC, logits, [0, 1, 0, 1]) == 1


def test_the_top_class_of_a_confident_softmax_is_ranked():
    logits = np.float32([[18, 0], [19, 0], [17, 0], [0, 16]])
    metric = jm.AUROC(classes=2, average="none")
    value = jm.evaluate(metric, logits=logits, labels=np.int32([0, 0, 1, 1]))
    assert value.tolist() == [1, 1]


@pytest.mark.parametrize("metric", AREAS)
def test_rows_that_differ_by_an_offset_are_ties(metric):
    logits = np.float32([[0, 2, 1], [1000, 1002, 1001]])
    state = metric(classes=3, average="none").update(logits=logits, labels=[0, 1])
    np.testing.assert_array_equal(state.compute(), [0.5, 0.5, np.nan])


def test_logits_between_zero_and_one_are_not_taken_as_probabilities():
    metric = jm.AUROC(task="binary")
    metric = metric.update(logits=[0.5], labels=[1])
    metric = metric.update(logits=[-5.0, 0.4], labels=[0, 0])
    assert metric.compute() == 1


def test_probabilities_of_zero_and_one_are_counted_apart():
    metric = jm.AUROC(task="binary", scores="probs")
    probs = np.float32([0, 1e-30, 1e-6, 1 - 1e-6, 1])
    state = metric.update(probs=probs, labels=np.int32([0, 0, 0, 1, 1]))
    (negative, positive), _ = np.moveaxis(state.histogram.compute().counts, -2, 0)
    assert (negative[0], positive[-1]) == (1, 1) and state.compute() == 1


def test_probabilities_outside_zero_and_one_are_invalid():
    metric = jm.AUROC(task="binary", scores="probs")
    state = metric.update(probs=[-0.1, 1.5, 0.5], labels=[0, 1, 1])
    assert state.plain()["histogram/invalid"] == 2


@pytest.mark.parametrize("metric", AREAS)
def test_a_class_without_positive_labels_is_nan_and_not_in_the_macro_mean(metric):
    labels = np.int32([0, 1, 2, 1])
    logits = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    logits[:, 3] = -20
    outputs = dict(logits=logits, labels=labels)
    by_class = jm.evaluate(metric(classes=4, average="none"), **outputs)
    assert np.isnan(by_class).tolist() == [False, False, False, True]
    macro = jm.evaluate(metric(classes=4), **outputs)
    assert macro == pytest.approx(by_class[:3].mean(), rel=1e-15)


def test_labels_of_one_sign_only():
    for metric in AREAS:
        assert math.isnan(binary(metric, [1, 2], [0, 0]))
        assert math.isnan(metric(task="binary").compute())
    assert math.isnan(binary(jm.AUROC, [1, 2], [1, 1]))
    assert binary(jm.AveragePrecision, [1, 2], [1, 1]) == 1


def scores_of(shape, rng, labels):
    """Return logits of a shape that is hard for bins."""
    noise = rng.normal(size=labels.size)
    scores = {
        "saturated": 8 + noise + labels,
        "spread": 3 * noise + 4 * labels - 2,
        "far from zero": 30 + 10 * noise + 5 * labels,
        "tied": (noise + labels).round(1),
        "reversed": noise - labels,
    }
    return scores[shape].astype(np.float32)


SHAPES = ("saturated", "spread", "far from zero", "tied", "reversed")


@pytest.mark.parametrize("rate", [0.002, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bins", [16, 4096])
@pytest.mark.parametrize("metric", AREAS)
def test_the_exact_area_is_within_the_bounds(metric, bins, shape, rate):
    rng = np.random.default_rng(3)
    labels = (rng.random(20_000) < rate).astype(np.int32)
    scores = scores_of(shape, rng, labels)
    exact = EXACT[metric](labels, scores)
    state = metric(task="binary", bins=bins).update(logits=scores, labels=labels)
    low, high = state.bounds()
    assert low - 1e-12 <= exact <= high + 1e-12
    assert low - 1e-12 <= state.compute() <= high + 1e-12
    if bins == 4096 and shape == "tied":
        assert state.compute() == pytest.approx(exact, rel=1e-12)
    elif bins == 4096:
        assert high - low < 0.01
        assert state.compute() == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("metric", AREAS)
def test_the_bounds_hold_with_weights_and_for_every_average(metric):
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, (500, 3)).astype(np.int32)
    logits = (rng.normal(size=(500, 3)) + labels).astype(np.float32)
    weights = rng.uniform(0.1, 2, 500).astype(np.float32)
    for average, name in (("macro", "macro"), ("micro", "micro"), ("none", None)):
        area = metric(
            task="multilabel", classes=3, bins=64, average=average, weighted=True
        )
        state = area.update(logits=logits, labels=labels, weights=weights)
        low, high = state.bounds()
        exact = EXACT[metric](labels, logits, average=name, sample_weight=weights)
        assert (low - 1e-6 <= exact).all() and (exact <= high + 1e-6).all()
        assert np.shape(low) == np.shape(high) == np.shape(state.compute())


def test_saturated_logits_are_ranked_where_bins_of_probability_give_chance():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000).astype(np.int32)
    logits = scores_of("saturated", rng, labels)
    exact = sk.roc_auc_score(labels, logits)
    assert exact > 0.75
    assert binary(jm.AUROC, logits, labels) == pytest.approx(exact, abs=1e-4)


def test_large_counts_are_multiplied_in_float64():
    metric = jm.AUROC(task="binary", bins=256)
    state = metric.update(logits=[1.0, 2.0, 3.0, 4.0], labels=[0, 0, 1, 1])
    low, high = np.asarray(state.histogram.cells)
    high = np.where(np.arange(low.size) < low.size - 2, low << 8, high)
    cells = np.stack([low, high.astype(np.uint32)])
    state = state.with_fields(histogram=state.histogram.with_fields(cells=cells))
    assert state.histogram.compute().counts.max() == 2**40 + 1
    assert state.compute() == 1


@pytest.mark.parametrize("metric", AREAS)
def test_bounds_under_jit_are_those_on_the_host(metric):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 200).astype(np.int32)
    outputs = dict(logits=scores_of("spread", rng, labels), labels=labels)
    state = metric(task="binary", bins=64).update(**outputs)
    under_jit = jax.jit(lambda s: s.bounds())(state)
    np.testing.assert_allclose(under_jit, state.bounds(), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: jm.AUROC("multiclass"), "needs the number of classes"),
        (lambda: jm.AUROC(classes=3, average="samples"), "AUROC: average is 'samples"),
        (lambda: jm.AUROC(bins=100), "bins is 100, but must be a power of two"),
        (lambda: jm.AUROC(scores="preds"), "predicted classes have no order"),
        (lambda: jm.AUROC(exact=True), "exact=True needs capacity"),
        (lambda: jm.AUROC(capacity=10), "without exact=True no rows"),
        (lambda: jm.AUROC(max_fpr=0.0), "max_fpr is 0.0, but must be in"),
        (lambda: jm.AUROC(multi_class="all"), "AUROC: multi_class is 'all'"),
        (lambda: jm.AUROC(multi_class="ovo"), "'ovo' needs the multiclass task"),
        (
            lambda: jm.AUROC(classes=3, multi_class="ovo", max_fpr=0.5),
            "max_fpr=0.5 is not defined for multi_class='ovo'",
        ),
    ],
)
def test_an_impossible_configuration_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"the 4 classes. Configure classes=3"):
        jm.AUROC(classes=4).update(logits=np.ones((2, 3)), labels=np.int32([0, 1]))
