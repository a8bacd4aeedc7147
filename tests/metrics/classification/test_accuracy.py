"""Accuracy and TopKAccuracy: averages, ties, thresholds and exact counts."""

import jax
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

NAN = float("nan")
LOGITS = np.float32([[3, 1, 0], [0, 2, 1], [1, 0, 2], [2, 1, 0]])
LABELS = np.int32([0, 1, 2, 1])  # the last one is wrong, and second best


def test_accuracy_by_hand():
    outputs = dict(logits=LOGITS, labels=LABELS)
    assert jm.evaluate(jm.Accuracy(), **outputs) == 3 / 4
    macro = jm.evaluate(jm.Accuracy(average="macro", classes=3), **outputs)
    assert macro == 2.5 / 3
    by_class = jm.evaluate(jm.Accuracy(average="none", classes=3), **outputs)
    assert by_class.tolist() == [1, 0.5, 1]
    weights = [1.0, 1.0, 1.0, 3.0]
    assert jm.evaluate(jm.Accuracy(weighted=True), **outputs, weights=weights) == 3 / 6


def test_a_class_that_does_not_occur_is_nan_and_not_in_the_macro_mean():
    outputs = dict(logits=LOGITS[:2], labels=np.int32([0, 0]))
    by_class = jm.evaluate(jm.Accuracy(average="none", classes=3), **outputs)
    np.testing.assert_array_equal(by_class, [0.5, NAN, NAN])
    assert jm.evaluate(jm.Accuracy(average="macro", classes=3), **outputs) == 0.5


def test_an_ignored_label_is_neither_scored_nor_invalid():
    metric = jm.Accuracy(ignore_index=(1, -100))
    state = metric.update(logits=LOGITS, labels=np.int32([0, 1, -100, 2]))
    assert state.plain() == dict(correct=1, total=2, invalid=0)


def test_top_k_counts_labels_among_the_k_largest_logits():
    outputs = dict(logits=LOGITS, labels=LABELS)
    values = [jm.evaluate(jm.TopKAccuracy(k=k), **outputs) for k in (1, 2, 3)]
    assert values == [0.75, 1, 1]


def test_ties_go_to_the_lower_class():
    outputs = dict(logits=np.ones((3, 3), np.float32), labels=np.int32([0, 1, 2]))
    assert jm.evaluate(jm.Accuracy(), **outputs) == 1 / 3
    assert jm.evaluate(jm.TopKAccuracy(k=2), **outputs) == 2 / 3


def test_a_score_at_the_threshold_is_positive():
    outputs = dict(probs=np.float32([0.5, 0.5]), labels=np.int32([1, 0]))
    metric = jm.Accuracy(task="binary", scores="probs")
    assert jm.evaluate(metric, **outputs) == 0.5


def test_a_logit_is_compared_although_its_probability_rounds_to_one():
    metric = jm.Accuracy(task="binary", threshold=1 - 1e-9)  # a logit of 20.7
    outputs = dict(logits=np.float32([20, 22]), labels=np.int32([0, 1]))
    assert jm.evaluate(metric, **outputs) == 1.0


@pytest.mark.parametrize("start", [2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**61])
def test_counts_stay_exact_beyond_float32_and_int32(start):
    @jax.jit
    def updated_many_times(state):
        def update(_, state):
            return state.update(logits=LOGITS, labels=LABELS)

        return lax.fori_loop(0, 1000, update, state)

    state = updated_many_times(jm.Accuracy().replace(correct=start, total=start))
    assert state.plain() == dict(correct=start + 3000, total=start + 4000, invalid=0)


def test_configuration_is_not_a_leaf():
    metric = jm.TopKAccuracy(k=2).update(logits=LOGITS, labels=LABELS)
    stacked = jax.tree.map(lambda x: np.stack([x] * 4), metric)
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    reduce = jax.shard_map(
        lambda m: jax.tree.map(lambda x: x[0], m).reduce("data"),
        mesh=mesh,
        in_specs=P("data"),
        out_specs=P(),
    )
    total = jax.jit(reduce)(stacked)
    assert total.k == 2 and total.plain()["total"] == 16
    assert jax.jit(lambda m: m.compute())(total) == 1.0


def test_top_k_accuracy_by_class():
    outputs = dict(logits=LOGITS, labels=np.int32([1, 1, 2, 1]))
    by_class = jm.evaluate(jm.TopKAccuracy(2, average="none", classes=3), **outputs)
    np.testing.assert_array_equal(by_class, [NAN, 1, 1])
    by_class = jm.evaluate(jm.TopKAccuracy(1, average="none", classes=3), **outputs)
    np.testing.assert_array_equal(by_class, [NAN, 1 / 3, 1])
    macro = jm.TopKAccuracy(1, average="macro", classes=3)
    assert jm.evaluate(macro, **outputs) == pytest.approx(2 / 3)


@pytest.mark.parametrize("average", ["micro", "macro", "none"])
def test_predicted_classes_score_as_their_logits_do(average):
    options = dict(average=average, classes=3)
    right = jm.evaluate(jm.Accuracy(**options), logits=LOGITS, labels=LABELS)
    metric = jm.Accuracy(scores="preds", **options)
    preds = LOGITS.argmax(-1).astype(np.uint8)
    np.testing.assert_array_equal(
        jm.evaluate(metric, preds=preds, labels=LABELS), right
    )


def test_predictions_out_of_range_are_invalid():
    preds, labels = np.int32([-1, 0, 3, 2]), np.int32([0, 0, 1, 2])
    metric = jm.Accuracy(scores="preds", classes=3)
    state = metric.update(preds=preds, labels=labels)
    assert state.plain() == dict(correct=2, total=2, invalid=2)
    state = jm.Accuracy(scores="preds").update(preds=preds, labels=labels)
    assert state.plain() == dict(correct=2, total=3, invalid=1)
    metric = jm.Accuracy(task="binary", scores="preds")
    state = metric.update(preds=preds, labels=np.array([True, False, True, True]))
    assert state.plain() == dict(correct=1, total=1, invalid=3)


@pytest.mark.parametrize("preds", [np.float32([0, 1]), np.ones((2, 3), np.int32)])
def test_predictions_that_are_no_class_numbers_are_refused(preds):
    with pytest.raises((TypeError, ValueError), match="scores='logits'"):
        jm.Accuracy(scores="preds").update(preds=preds, labels=np.int32([0, 1]))


@pytest.mark.parametrize(
    "metric", [jm.Accuracy(), jm.F1(classes=3), jm.ConfusionMatrix(classes=3)]
)
def test_predictions_without_scores_preds_are_refused_with_the_remedy(metric):
    name = type(metric).__name__
    with pytest.raises(ValueError, match=f"{name}.*configure scores='preds'"):
        metric.update(logits=LABELS, labels=LABELS)
    with pytest.raises(TypeError, match=rf"{name} needs .* {name}\(scores='preds'\)"):
        metric.update(preds=LABELS, labels=LABELS)


def test_every_label_of_a_row_must_match():
    logits = np.float32([[1, -1, 1], [1, 1, -1], [-1, -1, -1]])
    labels = np.int32([[1, 0, 1], [1, 0, 0], [0, 0, 0]])
    assert jm.evaluate(jm.ExactMatch(), logits=logits, labels=labels) == 2 / 3
    metric = jm.ExactMatch(weighted=True)
    weights = np.float32([1, 2, 1])
    assert jm.evaluate(metric, logits=logits, labels=labels, weights=weights) == 0.5
    mask = np.array([[True] * 3, [True, False, True], [False] * 3])
    assert jm.evaluate(jm.ExactMatch(), logits=logits, labels=labels, mask=mask) == 1
    state = jm.ExactMatch().update(logits=logits, labels=labels, mask=mask)
    assert state.plain() == dict(correct=2, total=2, invalid=0)


def test_every_token_of_a_sequence_must_match_but_padding():
    labels = np.int32([[0, 1, -100], [2, 1, 0], [-100, -100, -100]])
    logits = np.eye(3, dtype=np.float32)[[[0, 1, 2], [2, 1, 1], [0, 0, 0]]]
    metric = jm.ExactMatch(task="multiclass", ignore_index=-100)
    state = metric.update(logits=logits, labels=labels)
    assert state.plain() == dict(correct=1, total=2, invalid=0)
    preds = logits.argmax(-1)
    metric = jm.ExactMatch(task="multiclass", scores="preds", ignore_index=-100)
    assert metric.update(preds=preds, labels=labels).compute() == 0.5


def test_a_row_with_an_invalid_label_is_invalid_unless_it_is_masked():
    logits = np.float32([[1, NAN], [1, 1], [NAN, 1]])
    labels = np.int32([[1, 1], [1, 2], [1, 1]])
    mask = np.array([[True, True], [True, True], [False, True]])
    state = jm.ExactMatch().update(logits=logits, labels=labels, mask=mask)
    assert state.plain() == dict(correct=1, total=1, invalid=2)


def test_labels_without_an_axis_have_no_exact_match():
    with pytest.raises(ValueError, match="Use Accuracy for single labels"):
        jm.ExactMatch().update(logits=1.0, labels=1)


def test_an_unknown_average_is_refused():
    with pytest.raises(ValueError, match="average is 'weighted', .*labels is 'micro'"):
        jm.Accuracy(average="weighted", classes=3)
    with pytest.raises(ValueError, match="average is 'weighted', .* take 'none'"):
        jm.Accuracy(task="multilabel", average="weighted", classes=3)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_another_number_of_classes_is_refused(task):
    metric = jm.Accuracy(task=task, average="none", classes=4)
    labels = LABELS if task == "multiclass" else np.zeros((4, 3), np.int32)
    with pytest.raises(ValueError, match="the 4 classes. Configure classes=3"):
        metric.update(logits=LOGITS, labels=labels)


@pytest.mark.parametrize(
    "metric", [jm.TopKAccuracy, jm.CrossEntropy, jm.Perplexity, jm.BitsPerByte]
)
def test_metrics_of_scores_take_no_predictions(metric):
    name = metric.__name__
    with pytest.raises(ValueError, match=f"{name}: scores is one of .*have no scores"):
        metric(scores="preds")


def test_a_threshold_that_is_not_a_probability_is_refused():
    with pytest.raises(ValueError, match="Accuracy: threshold is 2.0, but must"):
        jm.Accuracy(task="binary", threshold=2)


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="TopKAccuracy: k is 0, but must be at least"):
        jm.TopKAccuracy(k=0)
