"""Values worked out by hand, and the cases that other libraries get wrong."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

NAN = float("nan")
LN2, LN4 = math.log(2), math.log(4)
LOGITS = np.float32([[3, 1, 0], [0, 2, 1], [1, 0, 2], [2, 1, 0]])
LABELS = np.int32([0, 1, 2, 1])  # the last is wrong, and second best


def value(metric, **outputs):
    return jm.evaluate(metric, **outputs)


def repeated(metric, times, **outputs):
    """The state after the same batch many times, in one launch."""

    @jax.jit
    def run(state, outputs):
        return lax.fori_loop(0, times, lambda _, s: s.update(**outputs), state)

    return run(metric, outputs)


def logits_of(nats, tokens, kind=np.float32):
    """Logits of two classes whose loss at label 0 is `nats`."""
    rest = np.log(np.expm1(nats))
    return np.tile(np.array([0.0, rest]), (tokens, 1)).astype(kind)


@pytest.mark.parametrize("start", [2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**61])
def test_a_count_goes_on_past_float32_and_int32(start):
    metric = repeated(jm.Mean().replace(count=start), 1000, values=np.float32([0.0]))
    assert metric.plain()["count"] == start + 1000
    counts = jm.Accuracy().replace(correct=start, total=start)
    metric = repeated(counts, 1000, logits=LOGITS, labels=LABELS)
    assert metric.plain() == dict(correct=start + 3000, total=start + 4000, invalid=0)


def test_accuracy_by_hand():
    given = dict(logits=LOGITS, labels=LABELS)
    assert value(jm.Accuracy(), **given) == 3 / 4
    assert value(jm.Accuracy(average="macro", classes=3), **given) == 2.5 / 3
    by_class = value(jm.Accuracy(average="none", classes=3), **given)
    assert by_class.tolist() == [1, 0.5, 1]
    weights = [1.0, 1.0, 1.0, 3.0]
    assert value(jm.Accuracy(weighted=True), **given, weights=weights) == 3 / 6


def test_a_class_that_does_not_occur_has_no_accuracy_and_no_share_in_the_mean():
    given = dict(logits=LOGITS[:2], labels=LABELS[:2] * 0)
    by_class = value(jm.Accuracy(average="none", classes=3), **given)
    np.testing.assert_array_equal(by_class, [0.5, NAN, NAN])
    assert value(jm.Accuracy(average="macro", classes=3), **given) == 0.5


def test_an_ignored_label_is_neither_scored_nor_invalid():
    metric = jm.Accuracy(ignore_index=(1, -100))
    state = metric.update(logits=LOGITS, labels=np.int32([0, 1, -100, 2]))
    assert state.plain() == dict(correct=1, total=2, invalid=0)


def test_top_k_counts_labels_among_the_k_best():
    given = dict(logits=LOGITS, labels=LABELS)
    assert [value(jm.TopKAccuracy(k=k), **given) for k in (1, 2, 3)] == [0.75, 1, 1]


def test_ties_go_to_the_lower_class():
    given = dict(logits=np.ones((3, 3), np.float32), labels=np.int32([0, 1, 2]))
    assert value(jm.Accuracy(), **given) == 1 / 3
    assert value(jm.TopKAccuracy(k=2), **given) == 2 / 3
    assert value(jm.ConfusionMatrix(classes=3), **given)[:, 0].tolist() == [1, 1, 1]


def test_a_score_at_the_threshold_is_positive():
    labels = np.int32([1, 0])
    probs = dict(probs=np.float32([0.5, 0.5]), labels=labels)
    assert value(jm.Accuracy(task="binary", scores="probs"), **probs) == 0.5
    logits = dict(logits=np.float32([0, 0]), labels=labels)
    matrix = value(jm.ConfusionMatrix(task="binary"), **logits)
    assert matrix.tolist() == [[0, 1], [0, 1]]


def test_a_logit_is_compared_where_its_probability_would_be_one():
    metric = jm.Accuracy(task="binary", threshold=1 - 1e-9)  # a logit of 20.7
    given = dict(logits=np.float32([20, 22]), labels=np.int32([0, 1]))
    assert value(metric, **given) == 1.0


def test_confusion_by_hand():
    given = dict(logits=LOGITS, labels=LABELS)
    matrix = value(jm.ConfusionMatrix(classes=3), **given)
    assert matrix.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert matrix.dtype == np.int64
    shares = value(jm.ConfusionMatrix(classes=3, normalize="true"), **given)
    assert shares.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]


INVALID = np.int32([-1, -100, 3, 2**31 - 1, 0])
CLASSIFIERS = [
    jm.Accuracy(),
    jm.Accuracy(average="none", classes=3),
    jm.TopKAccuracy(k=2),
    jm.TokenAccuracy(),
    jm.ConfusionMatrix(classes=3),
    jm.CrossEntropy(),
    jm.CrossEntropy(label_smoothing=0.1),
]


def scored_and_invalid(metric, **outputs):
    plain = metric.update(**outputs).plain()
    counted = [plain.get(name, 0) for name in ("total", "count", "counts")]
    if isinstance(metric, jm.CrossEntropy):
        counted = counted[1:]
    return sum(int(np.sum(n)) for n in counted), plain["invalid"]


@pytest.mark.parametrize("metric", CLASSIFIERS, ids=repr)
def test_labels_out_of_range_are_counted_as_invalid_and_never_scored(metric):
    logits = np.tile(LOGITS[:1], (5, 1))
    assert scored_and_invalid(metric, logits=logits, labels=INVALID) == (1, 4)
    valid = dict(logits=LOGITS[:1], labels=np.int32([0]))
    again = value(metric, logits=logits, labels=INVALID)
    np.testing.assert_array_equal(again, value(metric, **valid))


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("metric", CLASSIFIERS, ids=repr)
def test_rows_with_a_logit_that_is_not_finite_are_invalid(metric, bad):
    logits = LOGITS.copy()
    logits[1, 2] = bad
    assert scored_and_invalid(metric, logits=logits, labels=LABELS) == (3, 1)


def test_an_index_out_of_range_reaches_no_cell():
    index = np.int32([-1, -100, 3, 2**31 - 1, 1])
    assert jm.count_at(index, (3,)).tolist() == [0, 1, 0]
    rows = np.int32([1, 1, 1, 1, 1])
    assert jm.count_at((rows, index), (2, 3)).tolist() == [[0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_binary_labels_and_scores_that_are_invalid(task):
    logits = np.float32([[1, NAN], [1, 1], [1, 1]])
    labels = np.int32([[1, 1], [2, -1], [0, 1]])
    if task == "binary":
        logits, labels = logits.ravel(), labels.ravel()
    metrics = [
        jm.Accuracy(task=task),
        jm.Accuracy(task=task, average="none", classes=2),
        jm.ConfusionMatrix(task=task, classes=2),
    ]
    for metric in metrics:
        assert scored_and_invalid(metric, logits=logits, labels=labels) == (3, 3)


def test_masked_rows_are_neither_scored_nor_invalid():
    mask = np.array([True, False, False, False, True])
    logits = np.tile(LOGITS[:1], (5, 1))
    for metric in CLASSIFIERS:
        given = dict(logits=logits, labels=INVALID, mask=mask)
        assert scored_and_invalid(metric, **given) == (1, 1)


def test_tokens_are_masked_one_by_one():
    logits, labels = np.stack([LOGITS, LOGITS]), np.stack([LABELS, LABELS])
    mask = np.array([[True] * 4, [False, False, False, True]])
    assert value(jm.TokenAccuracy(), logits=logits, labels=labels, mask=mask) == 3 / 5
    mask = np.array([True, False])
    assert value(jm.TokenAccuracy(), logits=logits, labels=labels, mask=mask) == 3 / 4


def test_configuration_is_no_leaf():
    metric = jm.TopKAccuracy(k=2).update(logits=LOGITS, labels=LABELS)
    stacked = jax.tree.map(lambda x: np.stack([x] * 4), metric)
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    mapped = jax.shard_map(
        lambda m: jax.tree.map(lambda x: x[0], m).reduce("data"),
        mesh=mesh,
        in_specs=P("data"),
        out_specs=P(),
    )
    total = jax.jit(mapped)(stacked)
    assert total.k == 2 and total.plain()["total"] == 16
    assert jax.jit(lambda m: m.compute())(total) == 1.0


def test_cross_entropy_by_hand():
    logits, labels = np.zeros((2, 4), np.float32), np.int32([0, 3])
    assert value(jm.CrossEntropy(), logits=logits, labels=labels) == pytest.approx(LN4)
    probs = np.float32([[0.5, 0.5], [0.25, 0.75]])
    metric, labels = jm.CrossEntropy(scores="probs"), np.int32([0, 0])
    assert value(metric, probs=probs, labels=labels) == pytest.approx((LN2 + LN4) / 2)


def test_perplexity_weighs_tokens_not_batches():
    labels = np.zeros(128, np.int32)
    metric = jm.Perplexity().update(logits=logits_of(LN2, 128), labels=labels)
    metric = metric.update(logits=logits_of(3.0, 8), labels=labels[:8])
    right = math.exp((128 * LN2 + 8 * 3) / 136)
    assert metric.compute() == pytest.approx(right, rel=1e-6)
    nothing = dict(logits=logits_of(9.0, 8), labels=labels[:8], mask=np.zeros(8, bool))
    assert metric.update(**nothing).compute() == metric.compute()


def test_the_perplexity_of_nothing_is_nan():
    given = dict(logits=logits_of(1.0, 2), labels=np.int32([0, 0]))
    assert math.isnan(value(jm.Perplexity(), **given, mask=np.zeros(2, bool)))


def test_an_impossible_label_has_infinite_loss():
    metric = jm.Perplexity(scores="probs")
    given = dict(probs=np.float32([[0.0, 1.0]]), labels=np.int32([0]))
    assert value(metric, **given) == math.inf
    assert value(jm.CrossEntropy(scores="probs"), **given) == math.inf


def test_logits_are_not_read_where_probabilities_are_meant():
    with pytest.raises(TypeError, match="needs output 'probs'"):
        value(jm.Perplexity(scores="probs"), logits=LOGITS, labels=LABELS)


@pytest.mark.parametrize("nats", [200.0, 1000.0])
def test_a_perplexity_beyond_float32_leaves_the_loss(nats):
    given = dict(logits=np.float32([[0.0, nats]]), labels=np.int32([0]))
    assert value(jm.CrossEntropy(), **given) == nats
    under_jit = jax.jit(lambda m: m.compute())
    assert under_jit(jm.Perplexity().update(**given)) == math.inf
    right = math.exp(200.0) if nats < 700 else math.inf
    assert value(jm.Perplexity(), **given) == right


def test_bfloat16_logits_are_normalised_in_float32():
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 4, (64, 512)).astype(jnp.bfloat16)
    labels = rng.integers(0, 512, 64).astype(np.int32)
    wide = logits.astype(np.float64)
    nats = np.log(np.exp(wide).sum(-1)) - wide[np.arange(64), labels]
    loss = value(jm.CrossEntropy(), logits=logits, labels=labels)
    assert loss == pytest.approx(nats.mean(), rel=1e-6)
