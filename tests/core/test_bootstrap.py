"""Confidence intervals from resampled examples."""

import math

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

import jaxmetrics as jm

RNG = np.random.default_rng(0)
ROWS = 400
LOGITS = RNG.normal(size=(ROWS, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, ROWS).astype(np.int32)
LOSS = RNG.gamma(2.0, 1.0, ROWS).astype(np.float32)
IDS = RNG.permutation(10 * ROWS)[:ROWS].astype(np.int32)
OUTPUTS = dict(logits=LOGITS, labels=LABELS, ids=IDS)
ACCURACY = jm.Bootstrap(jm.Accuracy(weighted=True), samples=50)
LOSSES = jm.Bootstrap(jm.Mean("loss", weighted=True), samples=50)


def mix(word):
    """Return triple32 of uint32 words."""
    for shift, factor in ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB)):
        word = (word ^ (word >> np.uint32(shift))) * np.uint32(factor)
    return word ^ (word >> np.uint32(14))


def drawn(ids, sample):
    """Return the weights of a resample, from the definition, in NumPy."""
    golden = np.uint32(0x9E3779B9)
    with np.errstate(over="ignore"):
        number = np.uint32(sample) * golden
        word = mix(mix(ids.astype(np.uint32) + golden) + number)
    edges = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(12)])
    return (word[:, None] >= np.round(edges * 2**32)).sum(-1)


def as_bytes(value):
    return {name: np.asarray(x).tobytes() for name, x in value.items()}


def test_the_interval_is_that_of_weighted_means():
    weights = [drawn(IDS, sample) for sample in range(1, 51)]
    means = [np.average(LOSS.astype(float), weights=w) for w in weights]
    value = jm.evaluate(LOSSES, loss=LOSS, ids=IDS)
    right = dict(
        value=LOSS.astype(float).mean(),
        low=np.quantile(means, 0.025),
        high=np.quantile(means, 0.975),
        std=np.std(means, ddof=1),
    )
    assert value == pytest.approx(right, rel=1e-6)


def test_weights_of_a_resample_are_poisson():
    counts = np.bincount(drawn(np.arange(200_000), 1), minlength=13)
    right = [math.exp(-1) / math.factorial(k) for k in range(5)]
    np.testing.assert_allclose(counts[:5] / 200_000, right, atol=4e-3)
    first, second = drawn(np.arange(200_000), 1), drawn(np.arange(200_000), 2)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.01


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_the_interval_is_the_same_in_bits_over_any_number_of_devices(devices):
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    state = ACCURACY.deferred(mesh).update(**OUTPUTS)
    value = jm.evaluate(ACCURACY, **OUTPUTS)
    assert as_bytes(state.compute()) == as_bytes(value)


@pytest.mark.parametrize("batches", [1, 2, 5, 50])
def test_the_interval_is_the_same_in_bits_in_any_batches_and_order(batches):
    order = np.random.default_rng(batches).permutation(ROWS)
    state = ACCURACY
    for rows in order.reshape(batches, -1):
        state = state.update(**{name: x[rows] for name, x in OUTPUTS.items()})
    assert as_bytes(state.compute()) == as_bytes(jm.evaluate(ACCURACY, **OUTPUTS))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    metric = jm.Bootstrap(jm.Mean("loss", weighted=True), samples=100, confidence=0.9)
    trials, rows = 200, 100
    loss = np.random.default_rng(1).normal(3.0, 1.0, (trials, rows)).astype(np.float32)
    ids = np.arange(trials * rows, dtype=np.int32).reshape(trials, rows)
    evaluate = jax.vmap(lambda loss, ids: jm.evaluate(metric, loss=loss, ids=ids))
    value = jax.jit(evaluate)(loss, ids)
    covered = np.mean((value["low"] < 3.0) & (3.0 < value["high"]))
    assert 0.82 < covered < 0.95  # 0.9, with a deviation of 0.02 and few samples
    # The standard error is 1/10; that of a resample of Poisson weights likewise.
    assert abs(np.mean(value["std"]) - 0.1) < 0.005


def test_weights_of_the_examples_are_multiplied_in():
    weights = RNG.uniform(0.5, 2, ROWS).astype(np.float32)
    value = jm.evaluate(LOSSES.on(weights="w"), loss=LOSS, ids=IDS, w=weights)
    shares = [weights * drawn(IDS, sample) for sample in range(1, 51)]
    means = [np.average(LOSS.astype(float), weights=w) for w in shares]
    assert value["std"] == pytest.approx(np.std(means, ddof=1), rel=1e-5)
    plain = np.average(LOSS.astype(float), weights=weights)
    assert value["value"] == pytest.approx(plain, rel=1e-6)


def test_entries_of_one_id_are_drawn_together():
    tokens = np.repeat(LOSS[:, None], 3, axis=1)
    value = jm.evaluate(LOSSES, loss=tokens, ids=IDS)
    assert value == pytest.approx(jm.evaluate(LOSSES, loss=LOSS, ids=IDS), rel=1e-6)
    ids = np.repeat(IDS[:, None], 3, axis=1)
    assert value == pytest.approx(jm.evaluate(LOSSES, loss=tokens, ids=ids), rel=1e-6)


def test_another_seed_draws_other_resamples():
    other = jm.Bootstrap(jm.Mean("loss", weighted=True), samples=50, seed=1)
    value = jm.evaluate(other, loss=LOSS, ids=IDS)
    assert value["std"] != jm.evaluate(LOSSES, loss=LOSS, ids=IDS)["std"]


def test_each_value_of_a_mapping_has_an_interval():
    recall = jm.Recall(classes=3, average="none", weighted=True)
    names = jm.Classwise(recall, names=("a", "b", "c"))
    values = jm.Collection(recall=jm.Bootstrap(names, samples=9)).update(**OUTPUTS)
    assert {"recall/a/low", "recall/c/std"} <= values.compute().keys()
    each = jm.evaluate(jm.Bootstrap(recall, samples=9), **OUTPUTS)
    assert each["low"].shape == (3,)
    assert each["low"][1] == values.compute()["recall/b/low"]


def test_no_data_is_nan_and_a_resample_without_a_value_is_left_out():
    assert all(map(math.isnan, LOSSES.compute().values()))
    value = jm.evaluate(LOSSES, loss=[5.0], ids=[3])  # not drawn in each resample
    assert value == {"value": 5.0, "low": 5.0, "high": 5.0, "std": 0.0}
    value = jm.evaluate(LOSSES, loss=[5.0, math.nan], ids=[3, 4])
    assert all(map(math.isnan, value.values()))


def test_a_metric_without_weights_is_refused():
    wrong = (
        r"Bootstrap resamples by weights, but Accuracy\(\) reads none.*weighted=True"
    )
    with pytest.raises(ValueError, match=wrong):
        jm.Bootstrap(jm.Accuracy())
    mixed = jm.Collection(a=jm.Mean("a", weighted=True), b=jm.Mean("b"))
    with pytest.raises(ValueError, match=r"but Mean\('b'\) reads none"):
        jm.Bootstrap(mixed)
    apart = jm.Collection(
        a=jm.Mean("a", weighted=True), b=jm.Mean("b", weighted=True).on(weights="w")
    )
    with pytest.raises(ValueError, match=r"read weights from \['w', 'weights'\]"):
        jm.Bootstrap(apart)


def test_bad_configuration_and_ids_are_refused():
    with pytest.raises(ValueError, match="samples is at least 2, got 1"):
        jm.Bootstrap(jm.Mean("x", weighted=True), samples=1)
    with pytest.raises(ValueError, match="between 0 and 1, got 95.0"):
        jm.Bootstrap(jm.Mean("x", weighted=True), confidence=95)
    with pytest.raises(TypeError, match="output 'ids' is float32; ids are integers"):
        LOSSES.update(loss=[1.0], ids=[0.5])
    with pytest.raises(TypeError, match="Bootstrap needs output 'ids'"):
        LOSSES.update(loss=[1.0])
