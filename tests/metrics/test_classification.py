"""Precision and its kin, ranking curves and calibration, worked out by hand."""

import math
import pickle

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

NAN = float("nan")
RATIOS = (jm.Precision, jm.Recall, jm.F1, jm.FBeta)
AREAS = (jm.AUROC, jm.AveragePrecision)


def scores_for(guess, classes):
    return np.eye(classes, dtype=np.float32)[guess]


def of_guesses(metric, guess, labels, **more):
    logits = scores_for(guess, metric.classes)
    return jm.evaluate(metric, logits=logits, labels=np.int32(labels), **more)


def binary(metric, scores, labels, **more):
    name = metric.scores
    given = {name: np.float32(scores), "labels": np.int32(labels)}
    return jm.evaluate(metric, **given, **more)


# Class 0: 2 hits of 3 predictions and 2 labels; class 1: 1 of 1 and 2; 2: 1 of 1 and 1.
GUESS, LABELS = [0, 0, 0, 1, 2], [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("average", "precision", "recall"),
    [
        ("none", [2 / 3, 1, 1], [1, 1 / 2, 1]),
        ("macro", 8 / 9, 5 / 6),
        ("weighted", (2 * 2 / 3 + 2 + 1) / 5, 4 / 5),
        ("micro", 4 / 5, 4 / 5),
    ],
)
def test_averages_by_hand(average, precision, recall):
    given = dict(guess=GUESS, labels=LABELS)
    found = of_guesses(jm.Precision(average=average, classes=3), **given)
    np.testing.assert_allclose(found, precision, rtol=1e-15)
    found = of_guesses(jm.Recall(average=average, classes=3), **given)
    np.testing.assert_allclose(found, recall, rtol=1e-15)


def test_f_scores_by_hand():
    f1 = of_guesses(jm.F1(average="none", classes=3), GUESS, LABELS)
    np.testing.assert_allclose(f1, [4 / 5, 2 / 3, 1], rtol=1e-15)
    f2 = of_guesses(jm.FBeta(average="none", classes=3, beta=2), GUESS, LABELS)
    np.testing.assert_allclose(f2, [10 / 11, 5 / 9, 1], rtol=1e-15)


def test_a_tie_is_a_prediction_of_the_lower_class():
    tied = np.zeros((2, 3), np.float32)
    precision = jm.Precision(average="none", classes=3, absent="zero")
    found = jm.evaluate(precision, logits=tied, labels=np.int32([0, 1]))
    assert found.tolist() == [0.5, 0, 0]


@pytest.mark.parametrize(
    ("absent", "macro", "by_class"),
    [
        ("drop", 0.75, [1, 0.5, NAN, NAN]),
        ("zero", 0.375, [1, 0.5, 0, 0]),
        ("nan", NAN, [1, 0.5, NAN, NAN]),
    ],
)
def test_a_class_without_labels_and_predictions(absent, macro, by_class):
    guess, labels = [0, 1, 1], [0, 1, 0]
    metric = jm.Precision(classes=4, absent=absent)
    np.testing.assert_equal(of_guesses(metric, guess, labels), macro)
    metric = jm.Precision(classes=4, absent=absent, average="none")
    np.testing.assert_array_equal(of_guesses(metric, guess, labels), by_class)


@pytest.mark.parametrize(("undefined", "macro"), [(0, 0.25), (1, 0.75), (NAN, 0.5)])
def test_the_precision_of_a_class_that_is_never_predicted(undefined, macro):
    metric = jm.Precision(classes=2, zero_division=undefined)
    found = of_guesses(metric, [0, 0], [0, 1])
    assert found == macro
    right = sk.precision_score(
        [0, 1], [0, 0], average="macro", zero_division=np.float64(undefined)
    )
    assert found == right


def test_a_label_that_never_occurs_stays_in_the_multilabel_mean():
    logits, labels = np.float32([[1, -1], [1, -1]]), np.int32([[1, 0], [1, 0]])
    metric = jm.F1(task="multilabel", classes=2)
    assert jm.evaluate(metric, logits=logits, labels=labels) == 0.5


def test_a_class_of_nan_configuration_is_equal_to_itself():
    metric = jm.Recall(classes=2, zero_division=NAN)
    again = pickle.loads(pickle.dumps(jm.Recall(classes=2, zero_division=float("nan"))))
    assert jax.tree.structure(metric.merge(again)) == jax.tree.structure(metric)


def test_an_ignored_class_is_not_in_the_macro_mean():
    metric = jm.Recall(classes=2, ignore_index=0)
    assert of_guesses(metric, [1, 0, 1, 0], [0, 1, 1, 0]) == 0.5


def test_an_ignored_class_is_in_no_average_though_it_is_predicted():
    guess, labels = [0, 0, 1, 2], [0, 1, 1, 2]  # scored: all but the first
    given = dict(classes=3, ignore_index=0)
    assert of_guesses(jm.Precision(**given), guess, labels) == 1
    assert of_guesses(jm.Precision(average="micro", **given), guess, labels) == 1
    assert of_guesses(jm.Recall(average="micro", **given), guess, labels) == 2 / 3
    by_class = of_guesses(jm.Recall(average="none", **given), guess, labels)
    np.testing.assert_array_equal(by_class, [NAN, 0.5, 1])


def test_padding_that_is_no_class_leaves_all_classes_in():
    metric = jm.Recall(classes=2, ignore_index=-100)
    assert of_guesses(metric, [0, 1, 0, 1], [0, 0, 1, -100]) == 0.25


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
@pytest.mark.parametrize("metric", RATIOS)
def test_nothing_seen_or_all_masked_is_nan_whatever_zero_division(metric, average):
    metric = metric(classes=3, average=average, zero_division=1)
    masked = of_guesses(metric, GUESS, LABELS, mask=np.zeros(5, bool))
    assert np.isnan(masked).all() and np.isnan(metric.compute()).all()


def test_the_binary_task_scores_the_positive_class_whatever_the_average():
    scores, labels = [1, 1, -1, -1], [1, 0, 1, 0]
    for average in ("micro", "macro", "weighted", "none"):
        metric = jm.Precision(task="binary", average=average)
        assert binary(metric, scores, labels) == 0.5
    assert binary(jm.Recall(task="binary"), [-1, -1], [0, 0]) == 0


def test_weights_count_as_repeated_rows():
    weights = np.float32([1, 3, 2, 1, 2])
    metric = jm.F1(classes=3, weighted=True)
    found = of_guesses(metric, GUESS, LABELS, weights=weights)
    often = weights.astype(int)
    again = of_guesses(
        jm.F1(classes=3), np.repeat(GUESS, often), np.repeat(LABELS, often)
    )
    assert found == pytest.approx(again, rel=1e-15)


def test_invalid_labels_are_counted_apart():
    logits = scores_for([0, 1, 1, 2], 3)
    logits[3, 0] = NAN
    labels = np.int32([0, -1, 3, 2])
    for metric in (jm.Precision(classes=3), jm.AUROC(classes=3)):
        plain = metric.update(logits=logits, labels=labels).plain()
        invalid = [n for name, n in plain.items() if name.endswith("invalid")]
        assert invalid == [3]
    plain = jm.Precision(classes=3).update(logits=logits, labels=labels).plain()
    assert plain["counts/total"] == 1 and plain["counts/hits"].tolist() == [1, 0, 0]


def test_a_collection_of_all_four_counts_once():
    metrics = jm.Collection(
        precision=jm.Precision(classes=3),
        recall=jm.Recall(classes=3, average="none"),
        f1=jm.F1(classes=3, absent="zero"),
        f2=jm.FBeta(classes=3, beta=2, zero_division=1),
    )
    names = ("hits", "predicted", "support", "total", "invalid")
    assert list(jm.state_dict(metrics)) == [f"precision.counts/{n}" for n in names]
    given = dict(logits=scores_for(GUESS, 3), labels=np.int32(LABELS))
    found = metrics.update(**given).compute()
    for name, metric in metrics.items():
        np.testing.assert_array_equal(found[name], jm.evaluate(metric, **given))


def test_both_areas_share_a_histogram():
    metrics = jm.Collection(
        roc=jm.AUROC(task="binary"), pr=jm.AveragePrecision(task="binary")
    )
    assert list(jm.state_dict(metrics)) == [
        "roc.histogram/counts",
        "roc.histogram/invalid",
    ]
    found = metrics.update(logits=[1.0, 2.0, 3.0], labels=[1, 0, 1]).compute()
    assert found == dict(roc=0.5, pr=pytest.approx(5 / 6, rel=1e-15))


def test_areas_by_hand():
    scores, labels = [4, 3, 2, 1], [1, 0, 1, 0]
    assert binary(jm.AUROC(task="binary"), scores, labels) == 0.75
    found = binary(jm.AveragePrecision(task="binary"), scores, labels)
    assert found == pytest.approx((1 + 2 / 3) / 2, rel=1e-15)


def test_ties_count_half():
    assert binary(jm.AUROC(task="binary"), [0, 0, 0, 1], [0, 1, 0, 1]) == 0.75


def test_scores_that_a_sigmoid_cannot_tell_apart_are_ranked():
    logits = [17.6, 18.4, 17.4, 19.9]  # the sigmoid of each is 1 in float32
    assert binary(jm.AUROC(task="binary"), logits, [0, 1, 0, 1]) == 1


def test_a_sure_softmax_ranks_its_top_class():
    sure = np.float32([[18, 0], [19, 0], [17, 0], [0, 16]])
    metric = jm.AUROC(classes=2, average="none")
    found = jm.evaluate(metric, logits=sure, labels=np.int32([0, 0, 1, 1]))
    assert found.tolist() == [1, 1]


def test_probabilities_and_logits_are_never_guessed_from_the_batch():
    metric = jm.AUROC(task="binary")
    metric = metric.update(logits=[0.5], labels=[1])
    metric = metric.update(logits=[-5.0, 0.4], labels=[0, 0])
    assert metric.compute() == 1


def test_probabilities_of_zero_and_one_lie_at_the_ends():
    metric = jm.AUROC(task="binary", scores="probs")
    probs = np.float32([0, 1e-30, 1e-6, 1 - 1e-6, 1])
    state = metric.update(probs=probs, labels=np.int32([0, 0, 0, 1, 1]))
    negative, positive = state.histogram.compute()
    assert (negative[0], positive[-1]) == (2, 1) and state.compute() == 1


def test_probabilities_outside_zero_and_one_are_invalid():
    metric = jm.AUROC(task="binary", scores="probs")
    state = metric.update(probs=[-0.1, 1.5, 0.5], labels=[0, 1, 1])
    assert state.plain()["histogram/invalid"] == 2


@pytest.mark.parametrize("average", ["macro", "none"])
def test_a_class_of_one_kind_has_no_area_and_no_share_in_the_mean(average):
    labels = np.int32([0, 1, 2, 1])
    logits = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    logits[:, 3] = -20
    for metric in AREAS:
        by_class = jm.evaluate(
            metric(classes=4, average="none"), logits=logits, labels=labels
        )
        assert np.isnan(by_class).tolist() == [False, False, False, True]
        macro = jm.evaluate(metric(classes=4), logits=logits, labels=labels)
        assert macro == pytest.approx(by_class[:3].mean(), rel=1e-15)


def test_areas_of_one_kind():
    for metric in AREAS:
        assert math.isnan(binary(metric(task="binary"), [1, 2], [0, 0]))
        assert math.isnan(metric(task="binary").compute())
    assert math.isnan(binary(jm.AUROC(task="binary"), [1, 2], [1, 1]))
    assert binary(jm.AveragePrecision(task="binary"), [1, 2], [1, 1]) == 1


def scores_of(kind, rng, labels):
    noise = rng.normal(size=labels.size)
    scores = {
        "saturated": 8 + noise + labels,
        "spread": 3 * noise + 4 * labels - 2,
        "beyond the bins": 30 + 10 * noise + 5 * labels,
        "tied": (noise + labels).round(1),
        "reversed": noise - labels,
    }
    return scores[kind].astype(np.float32)


KINDS = ("saturated", "spread", "beyond the bins", "tied", "reversed")
EXACT = {
    jm.AUROC: sk.roc_auc_score,
    jm.AveragePrecision: sk.average_precision_score,
}


@pytest.mark.parametrize("rate", [0.002, 0.5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bins", [16, 4096])
@pytest.mark.parametrize("metric", AREAS)
def test_the_bounds_hold_the_exact_area(metric, bins, kind, rate):
    rng = np.random.default_rng(3)
    labels = (rng.random(20_000) < rate).astype(np.int32)
    scores = scores_of(kind, rng, labels)
    exact = EXACT[metric](labels, scores)
    state = metric(task="binary", bins=bins).update(logits=scores, labels=labels)
    low, high = state.bounds()
    assert low - 1e-12 <= exact <= high + 1e-12
    assert low - 1e-12 <= state.compute() <= high + 1e-12
    if bins == 4096 and kind == "tied":
        assert state.compute() == pytest.approx(exact, rel=1e-12)
    elif bins == 4096 and kind != "beyond the bins":
        assert high - low < 0.01
        assert state.compute() == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("metric", AREAS)
def test_the_bounds_hold_for_weights_and_every_average(metric):
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


def test_the_saturated_case_that_bins_of_probability_read_as_chance():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000).astype(np.int32)
    logits = scores_of("saturated", rng, labels)
    exact = sk.roc_auc_score(labels, logits)
    assert exact > 0.75
    assert binary(jm.AUROC(task="binary"), logits, labels) == pytest.approx(
        exact, abs=1e-4
    )


def test_large_counts_are_multiplied_in_float64():
    counts = np.zeros((2, 258), np.int64)
    counts[0, 100], counts[1, 200] = 2**40, 2**40
    metric = jm.AUROC(task="binary", bins=256)
    histogram = metric.histogram.replace(counts=counts)
    assert metric.with_fields(histogram=histogram).compute() == 1


def test_bounds_under_jit_are_those_of_the_host():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 200).astype(np.int32)
    given = dict(logits=scores_of("spread", rng, labels), labels=labels)
    for metric in AREAS:
        state = metric(task="binary", bins=64).update(**given)
        np.testing.assert_allclose(
            jax.jit(lambda s: s.bounds())(state), state.bounds(), atol=1e-5
        )


def test_confidence_of_one_is_in_the_last_bin():
    ece = jm.ExpectedCalibrationError(10, task="binary", scores="probs")
    state = ece.update(probs=[0.95, 1.0, 0.0], labels=[1, 0, 0])
    assert state.plain()["count"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    found = binary(ece, [0.95, 1.0], [1, 0])
    assert found == pytest.approx(0.475, rel=1e-7)


@pytest.mark.parametrize(
    ("norm", "right"),
    [("l1", 0.3), ("l2", math.sqrt((0.25**2 * 2 + 0.4**2) / 3)), ("max", 0.4)],
)
def test_calibration_by_hand(norm, right):
    ece = jm.ExpectedCalibrationError(5, norm=norm, task="binary", scores="probs")
    found = binary(ece, [0.7, 0.8 - 1e-6, 0.4], [1, 1, 0])
    assert found == pytest.approx(right, abs=1e-6)


def test_a_bin_holds_its_lower_edge():
    ece = jm.ExpectedCalibrationError(4, task="binary", scores="probs")
    state = ece.update(probs=[0.25, 0.5, 0.75], labels=[0, 0, 0])
    assert state.plain()["count"].tolist() == [0, 1, 1, 1]


def test_confidence_is_that_of_the_top_class():
    logits = np.log(np.float32([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]]))
    ece = jm.ExpectedCalibrationError()
    found = jm.evaluate(ece, logits=logits, labels=np.int32([0, 0]))
    assert found == pytest.approx((0.3 + 0.6) / 2, rel=1e-6)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_calibration_of_nothing_is_nan(norm):
    ece = jm.ExpectedCalibrationError(norm=norm)
    masked = ece.update(
        logits=np.ones((2, 3)), labels=np.int32([0, 1]), mask=np.zeros(2, bool)
    )
    assert math.isnan(ece.compute()) and math.isnan(masked.compute())


def test_calibration_weights_are_of_rows():
    ece = jm.ExpectedCalibrationError(weighted=True)
    logits = np.zeros((2, 3, 2), np.float32)
    labels = np.int32([[0, 0, 0], [1, 1, 1]])
    found = jm.evaluate(ece, logits=logits, labels=labels, weights=[3.0, 1.0])
    assert found == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: jm.Precision(), "needs the number of classes"),
        (lambda: jm.AUROC(), "needs the number of classes"),
        (lambda: jm.F1(classes=3, average="mean"), "F1: average is one of"),
        (lambda: jm.AUROC(classes=3, average="weighted"), "AUROC: average is one of"),
        (lambda: jm.Recall(classes=3, absent="skip"), "Recall: absent is one of"),
        (lambda: jm.Recall(task="binary", absent="nan"), "Set zero_division"),
        (lambda: jm.Recall(classes=3, zero_division=0.5), "zero_division is 0, 1"),
        (lambda: jm.Recall(classes=3, zero_division="warn"), "zero_division is 0, 1"),
        (lambda: jm.FBeta(classes=3, beta=0), "beta is above 0"),
        (lambda: jm.AUROC(task="binary", bins=0), "bins is at least 1"),
        (lambda: jm.F1(task="multi"), "F1: task is one of"),
        (lambda: jm.ExpectedCalibrationError(bins=0), "bins is at least 1"),
        (lambda: jm.ExpectedCalibrationError(norm="L1"), "norm is one of"),
        (lambda: jm.ExpectedCalibrationError(task="multilabel"), "task is one of"),
    ],
)
def test_a_configuration_without_sense_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("metric", [jm.Precision(classes=4), jm.AUROC(classes=4)])
def test_another_number_of_classes_is_refused(metric):
    with pytest.raises(ValueError, match=r"the 4 classes. Configure classes=3"):
        metric.update(logits=np.ones((2, 3)), labels=np.int32([0, 1]))
