"""Cases in which metric libraries are wrong, each with the right value.

The numbers are those of a survey of torchmetrics, torcheval, clu, metrax, Flax's nnx
and Keras. No other library is imported: a test states the rule and asserts our value,
and its docstring says what another library computes.
"""

import functools
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

NAN, INF = math.nan, math.inf
STEPS = 1000
TENTH = float(np.float32(0.1))
STREAMS = {  # a state, and the batch that is added to it 1000 times
    "count": (jm.Mean().replace(total=2**24, count=2**24), jnp.zeros(1)),
    "sum": (jm.Mean().replace(total=4e5, count=4_000_000), jnp.full(1, 0.1)),
    "bfloat16": (jm.Mean(), jnp.full(1, 3, jnp.bfloat16)),
    "low parts": (jm.Sum().replace(total=1e8), jnp.full(1, 1e-4)),
}


@functools.cache
def streamed():
    """The states of all streams after 1000 batches, by one program."""

    def step(states, _):
        return {n: m.update(values=STREAMS[n][1]) for n, m in states.items()}, None

    @jax.jit
    def run(states):
        return lax.scan(step, states, length=STEPS)[0]

    return run({name: state for name, (state, _) in STREAMS.items()})


@functools.cache
def normal(offset):
    """Two independent samples of one mean and variance 1."""
    rng = np.random.default_rng(7)
    return rng.normal(offset, 1, (2, 100_000)).astype(np.float32)


@functools.cache
def saturating_scores():
    """Logits around 8, whose probabilities are all in the last bins of [0, 1]."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    return (8 + rng.normal(size=20_000) + labels).astype(np.float32), labels


def in_batches(metric, batches):
    for batch in batches:
        metric = metric.update(**batch)
    return metric


def area(*batches):
    """The area of batches of at most 4 scores and labels, by one program."""
    metric = jm.AUROC(task="binary", bins=16)
    for logits, labels in batches:
        padding = 4 - len(logits)
        metric = metric.update(
            logits=np.float32([*logits, *[NAN] * padding]),
            labels=np.int32([*labels, *[0] * padding]),
            mask=np.arange(4) < len(logits),
        )
    return metric.compute()


def test_counts_grow_beyond_2_to_the_24():
    """6.1: a float32 count stays at 2^24 in metrax, torchmetrics and torcheval."""
    assert streamed()["count"].plain()["count"] == 2**24 + STEPS
    matrix = jm.ConfusionMatrix(2).replace(counts=[[2**24, 0], [0, 0]])
    batch = dict(logits=np.float32([[1, 0]] * 3), labels=np.int32([0] * 3))
    assert matrix.update(**batch).compute()[0, 0] == 2**24 + 3


def test_counts_do_not_wrap_at_2_to_the_31():
    """6.2: clu's int32 count wraps, and the mean is -1."""
    metric = jm.Mean().replace(total=2**31 - 1, count=2**31 - 1)
    metric = metric.update(values=jnp.ones(8))
    assert metric.compute() == 1
    assert metric.plain() == {"total": 2**31 + 7, "count": 2**31 + 7}


def test_float_sums_do_not_drift():
    """6.3: clu's mean of 5 million values of 0.1 is 0.0957."""
    total = streamed()["sum"].plain()["total"]
    assert total - 4e5 == pytest.approx(STEPS * TENTH, rel=1e-9)


def test_bfloat16_values_are_summed_in_float32_and_better():
    """6.4: clu's mean of 1000 batches of 3 is 1.023, metrax's is 4."""
    assert streamed()["bfloat16"].plain() == {"total": 3 * STEPS, "count": STEPS}
    assert streamed()["bfloat16"].compute() == 3


def test_variances_do_not_cancel_at_an_offset():
    """6.5: E[x^2] - E[x]^2 in float32 gives a deviation of 0 for N(1e4, 1)."""
    values = normal(1e4)[0]
    halves = [dict(values=part) for part in np.split(values, 2)]
    expected = values.astype(np.float64).std()
    assert expected == pytest.approx(1, abs=0.01)
    std = in_batches(jm.Std(), halves).compute()
    assert std == pytest.approx(expected, rel=1e-5)


def test_the_standard_deviation_of_a_batch_is_computed():
    """6.6: clu's Std raises TypeError on current versions of JAX."""
    assert jm.Std.from_model_output(values=jnp.array([1.0, 3.0])).compute() == 1


@pytest.mark.parametrize("offset", [1e3, 1e4])
def test_r2_does_not_cancel_at_an_offset(offset):
    """6.7: at 1e4 metrax and torchmetrics give +0.81 for independent series."""
    preds, targets = normal(offset)
    expected = sk.r2_score(targets.astype(np.float64), preds.astype(np.float64))
    assert expected == pytest.approx(-1, abs=0.02)
    outputs = dict(preds=preds, targets=targets)
    assert jm.evaluate(jm.R2(), **outputs) == pytest.approx(expected, rel=1e-5)
    explained = jm.evaluate(jm.ExplainedVariance(), **outputs)
    assert explained == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("scores", ["logits", "probs"])
def test_the_area_does_not_depend_on_the_scale_of_scores(scores):
    """6.8: 200 thresholds over [0, 1] give 0.502 for scores with an area of 0.76."""
    logits, labels = saturating_scores()
    values = logits if scores == "logits" else 1 / (1 + np.exp(-np.float64(logits)))
    outputs = {scores: np.float32(values), "labels": labels}
    auroc = jm.evaluate(jm.AUROC(task="binary", scores=scores), **outputs)
    assert auroc == pytest.approx(sk.roc_auc_score(labels, logits), abs=1e-3)
    area = jm.evaluate(jm.AveragePrecision(task="binary", scores=scores), **outputs)
    assert area == pytest.approx(sk.average_precision_score(labels, logits), abs=2e-3)


def test_logits_are_ranked_without_a_sigmoid():
    """6.9: torchmetrics' sigmoid makes logits of 98 equal to 1, and the area 0.5."""
    assert area(([98.0, 98.4, 97.6, 99.9], [0, 1, 0, 1])) == 1


def test_the_kind_of_scores_is_configured_not_guessed_by_batch():
    """6.10: torchmetrics takes a sigmoid of those batches that leave [0, 1]: 0.5."""
    assert area(([0.5], [1]), ([-5.0, 0.4], [0, 0])) == 1


def test_an_ignored_class_is_not_in_the_macro_mean():
    """6.11: torchmetrics averages the recall 0 of the ignored class in: 0.25."""
    recall = jm.Recall(classes=2, ignore_index=0, scores="preds")
    assert jm.evaluate(recall, preds=[0, 1, 0, 1], labels=[0, 0, 1, 1]) == 0.5


def test_the_intersection_over_union_does_not_depend_on_batches():
    """6.12: metrax averages over batches, with 0 for classes absent in a batch."""
    preds = np.int32([[[1, 1, 1, 1]], [[0, 0, 1, 1]]])
    labels = np.int32([[[1, 1, 1, 1]], [[0, 0, 0, 1]]])
    metric = jm.MeanIoU(classes=2, scores="preds")
    once = jm.evaluate(metric, preds=preds, labels=labels)
    batches = [dict(preds=preds[i : i + 1], labels=labels[i : i + 1]) for i in (0, 1)]
    assert once == in_batches(metric, batches).compute() == (2 / 3 + 5 / 6) / 2


def test_a_confidence_of_one_is_in_the_last_bin():
    """6.13: torchmetrics has a bin of its own for 1.0, and the error 0.525."""
    error = jm.ExpectedCalibrationError(bins=10, task="binary", scores="probs")
    value = jm.evaluate(error, probs=[0.95, 1.0], labels=[1, 0])
    assert value == pytest.approx(0.475, rel=1e-6)


def probs_of(nats, count):
    """Probabilities of 0.5 classes or more, of which label 0 has a given loss."""
    likely = math.exp(-nats)
    return np.tile(np.float32([[likely, 1 - likely]]), (count, 1))


def test_perplexity_is_the_mean_over_tokens_not_batches():
    """6.14: metrax averages batches, so that 8 tokens weigh as much as 128."""
    batches = [
        dict(probs=probs_of(4.0, 128), labels=np.zeros(128, np.int32)),
        dict(probs=probs_of(6.0, 8), labels=np.zeros(8, np.int32)),
    ]
    metric = in_batches(jm.Perplexity(scores="probs"), batches)
    right = math.exp((128 * 4 + 8 * 6) / 136)
    assert metric.compute() == pytest.approx(right, rel=1e-6)
    metric = metric.update(**batches[0], mask=np.zeros(128, bool))
    assert metric.compute() == pytest.approx(right, rel=1e-6)


def test_perplexity_is_not_clipped_and_without_tokens_nan():
    """6.15: metrax clips at 1e-7, normalizes logits passed as probabilities, and is
    1 if all is masked."""
    metric = jm.Perplexity(scores="probs")
    impossible = dict(probs=np.float32([[0, 1]]), labels=np.int32([0]))
    assert metric.update(**impossible).compute() == INF
    assert math.isnan(metric.update(**impossible, mask=np.array([False])).compute())
    logits = metric.update(probs=np.float32([[3, -1]]), labels=np.int32([0]))
    assert logits.loss.plain()["invalid"] == 1 and math.isnan(logits.compute())


def test_perplexity_of_bfloat16_logits_is_that_of_their_values():
    """6.16: torchmetrics' perplexity of bfloat16 logits is off by 3 %; that of a loss
    of 200 overflows, where the loss itself is shown too."""
    rng = np.random.default_rng(3)
    logits = jnp.asarray(rng.normal(0, 4, (64, 50)), jnp.bfloat16)
    labels = rng.integers(0, 50, 64)
    wide = np.asarray(logits.astype(jnp.float32), np.float64)
    log_probs = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    expected = np.exp(-log_probs[np.arange(64), labels].mean())
    value = jm.evaluate(jm.Perplexity(), logits=logits, labels=labels)
    assert value == pytest.approx(expected, rel=1e-5)
    both = jm.Collection(loss=jm.CrossEntropy(), perplexity=jm.Perplexity())
    state = both.update(logits=np.float32([[-200, 0]]), labels=np.int32([0]))
    assert state.compute() == pytest.approx(
        dict(loss=200, perplexity=math.exp(200)), rel=1e-5
    )
    on_device = jax.jit(lambda m: m.compute())(state)
    assert on_device == dict(loss=200, perplexity=INF)


def test_the_macro_mean_says_what_it_does_with_absent_classes():
    """6.17: torchmetrics drops them (0.822), scikit-learn with labels has 0 (0.493)."""
    outputs = dict(preds=[0, 0, 1, 2, 2, 2], labels=[0, 0, 1, 1, 2, 2])
    f1 = functools.partial(jm.F1, classes=5, scores="preds")
    dropped = jm.evaluate(f1(), **outputs)
    assert (
        dropped == pytest.approx((1 + 2 / 3 + 4 / 5) / 3) == pytest.approx(0.822, 1e-3)
    )
    assert jm.evaluate(f1(absent="zero"), **outputs) == pytest.approx(dropped * 3 / 5)


def test_a_class_without_labels_has_no_area():
    """6.18: torchmetrics counts it as 0.0, and has 0.406 where the mean is 0.542."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 40)
    logits = rng.normal(0, 1, (40, 4)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    areas = [sk.roc_auc_score(labels == c, probs[:, c]) for c in range(3)]
    outputs = dict(probs=probs, labels=labels)
    of = functools.partial(jm.AUROC, classes=4, scores="probs")
    by_class = jm.evaluate(of(average="none"), **outputs)
    np.testing.assert_allclose(by_class, [*areas, NAN], atol=5e-3)  # of 4096 bins
    assert jm.evaluate(of(), **outputs) == pytest.approx(np.mean(areas), abs=5e-3)


def test_ties_of_the_top_k_go_to_the_lower_class():
    """6.19: three equal scores and k=2 give 0.5, 1.0 or 0.75 by library."""
    outputs = dict(logits=np.zeros((4, 3), np.float32), labels=[0, 1, 2, 2])
    assert jm.evaluate(jm.TopKAccuracy(k=2), **outputs) == 0.5


def test_nan_under_the_mask_does_not_count():
    """6.20: metrax and nnx multiply by the mask, and NaN * 0 is NaN."""
    values, mask = np.float32([1, NAN]), np.array([True, False])
    assert jm.evaluate(jm.Mean(), values=values, mask=mask) == 1
    assert math.isnan(jm.evaluate(jm.Mean(), values=values))


def test_a_mask_of_rows_counts_the_values_that_it_covers():
    """6.21: nnx divides six values by the two entries of a mask, and has 3."""
    values = np.ones((2, 3), np.float32)
    state = jm.Mean().update(values=values, mask=np.array([True, False]))
    assert state.plain() == {"total": 3, "count": 3}
    with pytest.raises(ValueError, match=r"mask has shape \(2, 1\)"):
        jm.Mean().update(values=values, mask=np.ones((2, 1), bool))


def test_a_float_mask_is_refused_and_weights_weigh():
    """6.22: clu casts a mask of 0.5 to True, and has 2.0."""
    values, weights = np.float32([1, 3]), np.float32([0.5, 1])
    with pytest.raises(TypeError, match="mask is float32"):
        jm.Mean().update(values=values, mask=weights)
    mean = jm.evaluate(jm.Mean(weighted=True), values=values, weights=weights)
    assert mean == pytest.approx(3.5 / 1.5)


def test_a_masked_batch_keeps_the_last_value():
    """6.23: merging clu's LastValue with a masked batch is nan."""
    last = jm.Last().update(values=np.float32([1, 2]))
    last = last.update(values=np.float32([5, NAN]), mask=np.zeros(2, bool))
    assert last.compute() == 2


def test_nan_scores_are_counted_not_predicted():
    """6.24: torchmetrics and torcheval take the argmax, class 0, for a prediction."""
    logits = np.float32([[NAN, NAN], [0, 1]])
    state = jm.Accuracy().update(logits=logits, labels=np.int32([0, 1]))
    assert state.compute() == 1 and state.diagnostics() == {"invalid": 1}


def test_a_state_has_the_type_of_the_empty_one():
    """6.25: metrax's empty AUC is no carry of a scan, and its Average is traced twice
    for equal steps."""
    traces = []
    metrics = jm.Collection(auroc=jm.AUROC(task="binary", bins=16), mean=jm.Mean())
    batch = dict(
        logits=jnp.float32([0, 1, 2]), labels=jnp.int32([0, 1, 1]), values=jnp.ones(3)
    )

    @jax.jit
    def three_steps(metrics):
        def step(metrics, _):
            traces.append(1)
            return metrics.update(**batch), None

        return lax.scan(step, metrics, length=3)[0]

    metrics = three_steps(three_steps(metrics))
    assert metrics.compute() == {"auroc": 1, "mean": 1}
    assert len(traces) == 1 and metrics["mean"].plain()["count"] == 18


def test_configuration_is_no_leaf():
    """6.26: psum of metrax's AUCPR adds up the number of thresholds, and under jit it
    is an array; FBetaScore has no merge."""
    metric = jm.FBeta(task="binary", beta=2.0)
    assert len(jax.tree.leaves(metric)) == len(metric.plain()) == 5
    batch = dict(logits=np.float32([0.5, -1]), labels=np.int32([1, 0]))

    @jax.jit
    def on_two_shards(metric):
        shards = jax.tree.map(lambda x: jnp.stack([x, x]), metric.update(**batch))
        total = jax.vmap(lambda m: m.reduce("shards"), axis_name="shards")(shards)
        first = jax.tree.map(lambda x: x[0], total)
        return first.merge(first), first.compute()

    total, value = on_two_shards(metric)
    assert (total.beta, value) == (2, 1) and total.counts.plain()["total"] == 8
    assert jax.tree.structure(total) == jax.tree.structure(metric)


def test_strings_are_sentences_not_tokens():
    """6.27: metrax takes the sentence in a list for one token, and has 1.0."""
    assert jm.WordErrorRate().from_strings(["a b c d"], ["a b c x"]).compute() == 0.25


def test_the_closest_reference_gives_the_brevity_penalty():
    """6.28: metrax takes the shortest reference, of 3 tokens, and no penalty."""
    state = jm.BLEU(n=1).from_strings(["a b c d e"], [("a b c d e f", "a b c")])
    assert state.plain()["reference_length"] == 6
    assert state.compute() == pytest.approx(math.exp(-0.2), rel=1e-6)


def test_equal_scores_share_their_gains():
    """6.29: metrax has exponential gains, and orders ties by position: 0.98 where
    scikit-learn has 0.78."""
    scores, relevance = np.float32([[2, 1, 3, 0]]), np.int32([[3, 2, 0, 1]])
    ndcg = jm.evaluate(jm.NDCG(), scores=scores, relevance=relevance)
    assert ndcg == pytest.approx(sk.ndcg_score(relevance, scores), rel=1e-6)
    other = jm.NDCG(gain="exponential")
    exponential = sk.ndcg_score(2**relevance - 1, scores)
    value = jm.evaluate(other, scores=scores, relevance=relevance)
    assert value == pytest.approx(exponential, rel=1e-6) and value != ndcg
    tied = jm.evaluate(jm.NDCG(), scores=0 * scores, relevance=relevance)
    assert tied == pytest.approx(sk.ndcg_score(relevance, 0 * scores), rel=1e-6)


def test_correlation_of_a_constant_prediction_is_zero():
    """6.30: torchmetrics has 1 and 0.408; scikit-learn has 0."""
    metric = jm.MatthewsCorrelation(task="binary", scores="preds")
    assert jm.evaluate(metric, preds=[1, 1], labels=[1, 1]) == 0
    assert jm.evaluate(metric, preds=[1, 1, 1], labels=[1, 0, 1]) == 0
    assert sk.matthews_corrcoef([1, 0, 1], [1, 1, 1]) == 0


def test_labels_out_of_range_touch_no_cell():
    """6.31: in JAX an index of -1 is the last row, and bincount counts it as 0."""
    logits = np.zeros((4, 3), np.float32)
    labels = np.int32([-1, -100, 3, 2**31 - 1])
    state = jm.ConfusionMatrix(3).update(logits=logits, labels=labels)
    assert state.plain()["invalid"] == 4 and not state.compute().any()
    loss = jm.CrossEntropy().update(logits=logits, labels=labels)
    assert loss.plain() == {"total": 0, "count": 0, "invalid": 4}


def test_equal_collections_share_one_trace():
    """6.32: clu's collection that is created inside the loop is traced in each run."""
    traces = []

    @jax.jit
    def step(metrics, values):
        traces.append(1)
        return metrics.update(values=values)

    for _ in range(3):
        metrics = jm.Collection(mean=jm.Mean(), largest=jm.Max())
        values = step(metrics, jnp.arange(3.0)).compute()
        assert values == {"mean": 1, "largest": 2}
    assert len(traces) == 1


def test_event_files_need_no_tensorflow(tmp_path, monkeypatch):
    """6.33: clu's metric writers import TensorFlow."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # an import would fail
    writers = [jm.writers.TensorBoard()]
    with jm.TrainingLogger("p", "r", root=tmp_path, writers=writers) as logger:
        logger.log_step(1, loss=0.5)
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    assert b"loss" in events.read_bytes()


def test_a_score_at_the_threshold_is_positive():
    """6.34: torchmetrics predicts 0 at exactly 0.5."""
    accuracy = functools.partial(jm.Accuracy, task="binary")
    assert jm.evaluate(accuracy(), logits=[0.0], labels=[1]) == 1
    assert jm.evaluate(accuracy(scores="probs"), probs=[0.5], labels=[1]) == 1


@functools.cache
def reduced_over_devices():
    """A count and a sum of 8 devices, added up by psum."""
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    state = jm.Mean().replace(total=1e8, count=2**40)

    def add(values):
        part = state.update(values=values)
        return part.reduce("data")

    # Each device has a state of its own; with check_vma equal ones are one state.
    sharded = jax.shard_map(
        add, mesh=mesh, in_specs=P("data"), out_specs=P(), check_vma=False
    )
    return jax.jit(sharded)(jnp.full(8, 1e-4))


def test_compensated_sums_survive_the_compiler():
    """6.35: a compiler that re-associates additions loses the low part of a sum."""
    tick = float(np.float32(1e-4))
    total = streamed()["low parts"].plain()["total"]
    assert total == pytest.approx(1e8 + STEPS * tick, abs=1e-5)
    total = reduced_over_devices().plain()["total"]
    assert total == pytest.approx(8 * (1e8 + tick), abs=1e-5)


def test_counts_of_any_number_of_devices_carry():
    """6.36: sums of the low halves of counters wrap beyond 2^11 devices."""
    assert reduced_over_devices().plain()["count"] == 8 * (2**40 + 1)
    shards = 4096
    full = jm.Count().replace(count=2**32 - 1)
    stacked = jax.tree.map(lambda x: jnp.broadcast_to(x, (shards, *x.shape)), full)
    total = jax.vmap(lambda m: m.reduce("shards"), axis_name="shards")(stacked)
    counts = total.plain()["count"]
    assert np.asarray(counts).tolist() == [shards * (2**32 - 1)] * shards
    assert stacked.reduce().plain()["count"] == shards * (2**32 - 1)
