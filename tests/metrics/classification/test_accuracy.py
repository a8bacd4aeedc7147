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


def test_an_unknown_average_is_refused():
    with pytest.raises(ValueError, match="average is 'weighted', .*support is 'micro'"):
        jm.Accuracy(average="weighted", classes=3)


def test_a_threshold_that_is_not_a_probability_is_refused():
    with pytest.raises(ValueError, match="Accuracy: threshold is 2.0, but must"):
        jm.Accuracy(task="binary", threshold=2)


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="TopKAccuracy: k is 0, but must be at least"):
        jm.TopKAccuracy(k=0)
