"""Precision, Recall, F1 and FBeta: averages, absent and ignored classes."""

import pickle

import jax
import numpy as np
import pytest
import sklearn.metrics as sk
from support.forms import assert_close, in_every_form

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(2)


NAN = float("nan")
RATIOS = (jm.Precision, jm.Recall, jm.F1, jm.FBeta)

# Class 0: 2 hits of 3 predictions and 2 labels; class 1: 1 of 1 and 2; 2: 1 of 1 and 1.
PREDS, LABELS = [0, 0, 0, 1, 2], [0, 0, 1, 1, 2]


def logits_for(preds, classes):
    """Return logits whose top class is the prediction."""
    return np.eye(classes, dtype=np.float32)[preds]


def evaluate(metric, preds, labels, **outputs):
    logits = logits_for(preds, metric.classes)
    return jm.evaluate(metric, logits=logits, labels=np.int32(labels), **outputs)


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
    value = evaluate(jm.Precision(average=average, classes=3), PREDS, LABELS)
    np.testing.assert_allclose(value, precision, rtol=1e-15)
    value = evaluate(jm.Recall(average=average, classes=3), PREDS, LABELS)
    np.testing.assert_allclose(value, recall, rtol=1e-15)


def test_f_scores_by_hand():
    f1 = evaluate(jm.F1(average="none", classes=3), PREDS, LABELS)
    np.testing.assert_allclose(f1, [4 / 5, 2 / 3, 1], rtol=1e-15)
    f2 = evaluate(jm.FBeta(average="none", classes=3, beta=2), PREDS, LABELS)
    np.testing.assert_allclose(f2, [10 / 11, 5 / 9, 1], rtol=1e-15)


def test_a_tie_is_a_prediction_of_the_lower_class():
    metric = jm.Precision(average="none", classes=3, absent="zero")
    logits = np.zeros((2, 3), np.float32)
    value = jm.evaluate(metric, logits=logits, labels=np.int32([0, 1]))
    assert value.tolist() == [0.5, 0, 0]


@pytest.mark.parametrize(
    ("absent", "macro", "by_class"),
    [
        ("drop", 0.75, [1, 0.5, NAN, NAN]),
        ("zero", 0.375, [1, 0.5, 0, 0]),
        ("nan", NAN, [1, 0.5, NAN, NAN]),
    ],
)
def test_a_class_without_labels_and_predictions(absent, macro, by_class):
    preds, labels = [0, 1, 1], [0, 1, 0]
    metric = jm.Precision(classes=4, absent=absent)
    np.testing.assert_equal(evaluate(metric, preds, labels), macro)
    metric = jm.Precision(classes=4, absent=absent, average="none")
    np.testing.assert_array_equal(evaluate(metric, preds, labels), by_class)


@pytest.mark.parametrize(("undefined", "macro"), [(0, 0.25), (1, 0.75), (NAN, 0.5)])
def test_the_precision_of_a_class_that_is_never_predicted(undefined, macro):
    metric = jm.Precision(classes=2, zero_division=undefined)
    value = evaluate(metric, [0, 0], [0, 1])
    assert value == macro
    assert value == sk.precision_score(
        [0, 1], [0, 0], average="macro", zero_division=np.float64(undefined)
    )


@pytest.mark.parametrize("undefined", [0, 1, NAN])
def test_a_weighted_average_without_positive_labels_is_zero_division(undefined):
    metric = jm.Recall(
        task="multilabel", classes=2, average="weighted", zero_division=undefined
    )
    outputs = dict(logits=np.float32([[1, -1]]), labels=np.int32([[0, 0]]))
    np.testing.assert_equal(float(jm.evaluate(metric, **outputs)), float(undefined))


def test_a_label_that_never_occurs_is_in_the_multilabel_mean():
    logits, labels = np.float32([[1, -1], [1, -1]]), np.int32([[1, 0], [1, 0]])
    metric = jm.F1(task="multilabel", classes=2)
    assert jm.evaluate(metric, logits=logits, labels=labels) == 0.5


@pytest.mark.parametrize("metric", [jm.F1, jm.Recall, jm.Specificity, jm.Markedness])
def test_a_label_without_data_is_not_in_the_multilabel_mean(metric):
    preds, labels = [[1, 1], [0, 1], [1, 0]], [[1, -1], [0, -1], [1, -1]]
    options = dict(task="multilabel", classes=2, scores="preds", ignore_index=-1)
    state = metric(**options).update(preds=preds, labels=labels)
    assert state.compute() == 1
    by_class = metric(average="none", **options).with_fields(counts=state.counts)
    np.testing.assert_array_equal(by_class.compute(), [1, NAN])


def test_metrics_with_a_nan_in_their_configuration_are_equal():
    metric = jm.Recall(classes=2, zero_division=NAN)
    loaded = pickle.loads(
        pickle.dumps(jm.Recall(classes=2, zero_division=float("nan")))
    )
    assert jax.tree.structure(metric.merge(loaded)) == jax.tree.structure(metric)


def test_an_ignored_class_is_not_in_the_macro_mean():
    metric = jm.Recall(classes=2, ignore_index=0)
    assert evaluate(metric, [1, 0, 1, 0], [0, 1, 1, 0]) == 0.5


def test_an_ignored_class_is_in_no_average_even_if_it_is_predicted():
    preds, labels = [0, 0, 1, 2], [0, 1, 1, 2]  # all but the first are scored
    options = dict(classes=3, ignore_index=0)
    assert evaluate(jm.Precision(**options), preds, labels) == 1
    assert evaluate(jm.Precision(average="micro", **options), preds, labels) == 1
    assert evaluate(jm.Recall(average="micro", **options), preds, labels) == 2 / 3
    by_class = evaluate(jm.Recall(average="none", **options), preds, labels)
    np.testing.assert_array_equal(by_class, [NAN, 0.5, 1])


def test_padding_that_is_not_a_class_leaves_all_classes_in_the_mean():
    metric = jm.Recall(classes=2, ignore_index=-100)
    assert evaluate(metric, [0, 1, 0, 1], [0, 0, 1, -100]) == 0.25


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
@pytest.mark.parametrize("metric", RATIOS)
def test_without_data_the_value_is_nan_for_any_zero_division(metric, average):
    metric = metric(classes=3, average=average, zero_division=1)
    masked = evaluate(metric, PREDS, LABELS, mask=np.zeros(5, bool))
    assert np.isnan(masked).all() and np.isnan(metric.compute()).all()


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
def test_the_binary_task_scores_the_positive_class_for_any_average(average):
    metric = jm.Precision(task="binary", average=average)
    outputs = dict(logits=np.float32([1, 1, -1, -1]), labels=np.int32([1, 0, 1, 0]))
    assert jm.evaluate(metric, **outputs) == 0.5


def test_binary_recall_without_positive_labels_is_zero_division():
    outputs = dict(logits=np.float32([-1, -1]), labels=np.int32([0, 0]))
    assert jm.evaluate(jm.Recall(task="binary"), **outputs) == 0


def test_a_weight_counts_as_that_many_rows():
    weights = np.float32([1, 3, 2, 1, 2])
    value = evaluate(jm.F1(classes=3, weighted=True), PREDS, LABELS, weights=weights)
    times = weights.astype(int)
    repeated = np.repeat(PREDS, times), np.repeat(LABELS, times)
    assert value == pytest.approx(evaluate(jm.F1(classes=3), *repeated), rel=1e-15)


def test_a_collection_of_all_four_stores_the_counts_once():
    metrics = jm.Collection(
        precision=jm.Precision(classes=3),
        recall=jm.Recall(classes=3, average="none"),
        f1=jm.F1(classes=3, absent="zero"),
        f2=jm.FBeta(classes=3, beta=2, zero_division=1),
    )
    names = ("hits", "predicted", "support", "total", "invalid")
    assert list(jm.state_dict(metrics)) == [f"precision.counts/{n}" for n in names]
    outputs = dict(logits=logits_for(PREDS, 3), labels=np.int32(LABELS))
    values = metrics.update(**outputs).compute()
    for name, metric in metrics.items():
        np.testing.assert_array_equal(values[name], jm.evaluate(metric, **outputs))


@pytest.mark.parametrize("metric", RATIOS)
def test_predicted_classes_score_as_their_logits_do(metric):
    right = evaluate(metric(classes=3, average="none"), PREDS, LABELS)
    from_preds = metric(classes=3, average="none", scores="preds")
    value = jm.evaluate(from_preds, preds=PREDS, labels=LABELS)
    np.testing.assert_array_equal(value, right)
    state = from_preds.update(preds=[-1, 3, 0], labels=[0, 1, 0])
    assert state.plain()["counts/invalid"] == 2 and state.plain()["counts/total"] == 1
    binary = metric(task="binary", scores="preds")
    assert jm.evaluate(binary, preds=[1, 1, 2], labels=[1, 0, 1]) == pytest.approx(
        jm.evaluate(metric(task="binary"), logits=[1.0, 1.0], labels=[1, 0])
    )


def test_a_label_among_the_k_largest_is_the_prediction_else_the_top_class():
    logits = np.float32([[3, 2, 1], [3, 2, 1], [3, 2, 1], [1, 2, 3]])
    labels = np.int32([0, 1, 2, 2])  # predicted with top_k=2: 0, 1, 0, 2
    options = dict(classes=3, average="none", top_k=2)
    precision = jm.evaluate(jm.Precision(**options), logits=logits, labels=labels)
    assert precision.tolist() == [0.5, 1, 1]
    recall = jm.evaluate(jm.Recall(**options), logits=logits, labels=labels)
    assert recall.tolist() == [1, 1, 0.5]
    micro = jm.F1(classes=3, average="micro", top_k=2)
    accuracy = jm.evaluate(jm.TopKAccuracy(k=2), logits=logits, labels=labels)
    assert jm.evaluate(micro, logits=logits, labels=labels) == accuracy


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_the_k_largest_scores_are_the_predicted_labels(top_k):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4)).round().astype(np.float32)  # with ties
    logits[3, 1] = -np.inf
    labels = rng.integers(0, 2, (50, 4)).astype(np.int32)
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :top_k]
    chosen = np.zeros_like(labels)
    np.put_along_axis(chosen, order, 1, -1)
    options = dict(task="multilabel", classes=4, average="none", top_k=top_k)
    for metric, score in ((jm.Precision, sk.precision_score), (jm.F1, sk.f1_score)):
        value = jm.evaluate(metric(**options), logits=logits, labels=labels)
        right = score(labels, chosen, average=None, zero_division=0)
        np.testing.assert_allclose(value, right, rtol=1e-15)


def test_a_score_of_nan_is_chosen_last_and_invalid():
    logits, labels = np.float32([[NAN, 1, 2, 0]]), np.int32([[1, 1, 1, 1]])
    metric = jm.Recall(task="multilabel", classes=4, average="none", top_k=2)
    value = jm.evaluate(metric, logits=logits, labels=labels)
    np.testing.assert_array_equal(value, [NAN, 1, 1, 0])
    assert metric.update(logits=logits, labels=labels).plain()["counts/invalid"] == 1
    metric = jm.Recall("multilabel", classes=4, top_k=2, scores="probs")
    state = metric.update(probs=logits / 2 - 0.25, labels=labels)
    assert state.plain()["counts/invalid"] == 2  # NaN and -0.25


def test_the_k_largest_are_found_in_every_form():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(16, 4)).astype(np.float32)
    labels = rng.integers(0, 2, (16, 4)).astype(np.int32)
    metric = jm.F1(task="multilabel", classes=4, top_k=2)
    outputs = dict(logits=logits, labels=labels)
    assert_close(in_every_form(metric, outputs), jm.evaluate(metric, **outputs))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: jm.Precision(), "needs the number of classes"),
        (lambda: jm.F1(classes=3, average="mean"), "F1: average is 'mean', but must"),
        (lambda: jm.Recall(classes=3, absent="skip"), "Recall: absent is 'skip', but"),
        (lambda: jm.Recall(task="binary", absent="nan"), "Set zero_division"),
        (lambda: jm.Recall(classes=3, zero_division=0.5), "must be 0, 1 or nan"),
        (lambda: jm.F1(classes=3, top_k=0), "top_k is 0, but must be from 1 to"),
        (lambda: jm.F1(classes=3, top_k=4), "top_k is 4, but must be from 1 to"),
        (lambda: jm.F1(task="binary", top_k=2), "where there is one score"),
        (
            lambda: jm.F1(classes=3, top_k=2, scores="preds"),
            "a predicted class has no second best",
        ),
        (lambda: jm.F1(classes=3, top_k=2, threshold=0.3), "takes no threshold, got"),
        (lambda: jm.FBeta(classes=3, beta=0), "beta is 0.0, but must be positive"),
        (lambda: jm.F1(task="multi"), "F1: task is 'multi', but must be one of"),
    ],
)
def test_an_impossible_configuration_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"the 4 classes. Configure classes=3"):
        jm.Precision(classes=4).update(logits=np.ones((2, 3)), labels=np.int32([0, 1]))


SAMPLES = dict(task="multilabel", average="samples", classes=3, scores="preds")


@pytest.mark.parametrize(
    ("metric", "score", "zero_division"),
    [
        (jm.Precision, sk.precision_score, 0),
        (jm.Precision, sk.precision_score, NAN),
        (jm.Recall, sk.recall_score, 1),
        (jm.F1, sk.f1_score, NAN),
        (jm.Jaccard, sk.jaccard_score, 1),
    ],
)
def test_means_over_samples_agree_with_scikit_learn(metric, score, zero_division):
    rng = np.random.default_rng(0)
    preds, labels = rng.integers(0, 2, (2, 50, 3)).astype(np.int32)
    preds[0] = labels[0] = 0
    assert not labels[1:].any(-1).all() and not preds[1:].any(-1).all()
    ours = metric(**SAMPLES, zero_division=zero_division)
    value = jm.evaluate(ours, preds=preds, labels=labels)
    expected = score(labels, preds, average="samples", zero_division=zero_division)
    assert value == pytest.approx(expected, rel=1e-6)


def test_ratios_of_samples_by_hand():
    """Labels apart from the ignored ones; a sample without any does not count."""
    preds = np.int32([[1, 1, 0], [1, 0, 1], [1, 1, 1]])
    labels = np.int32([[1, 0, 0], [1, -1, -1], [-1, -1, -1]])
    outputs = dict(preds=preds, labels=labels)
    precision = jm.Precision(**SAMPLES, ignore_index=-1)
    assert jm.evaluate(precision, **outputs) == (1 / 2 + 1) / 2
    specificity = jm.Specificity(**SAMPLES, ignore_index=-1, zero_division=NAN)
    assert jm.evaluate(specificity, **outputs) == 1 / 2
    weighted = jm.Precision(**SAMPLES, ignore_index=-1, weighted=True)
    value = jm.evaluate(weighted, **outputs, weights=np.float32([3, 1, 9]))
    assert value == (3 / 2 + 1) / 4
    nothing = precision.update(**outputs, mask=np.zeros(3, bool))
    assert np.isnan(nothing.compute())


def test_a_mean_over_samples_needs_several_labels_and_one_ratio():
    with pytest.raises(ValueError, match="of several labels, but task is 'multi"):
        jm.Precision(average="samples", classes=3)
    with pytest.raises(ValueError, match="not with metrics that combine two ratios"):
        jm.Informedness(**SAMPLES)
