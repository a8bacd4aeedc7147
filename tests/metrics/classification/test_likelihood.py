"""CrossEntropy and Perplexity: hand-computed values, overflow, low precision."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)

LN2, LN4 = math.log(2), math.log(4)


def logits_with_loss(nats, tokens):
    """Return logits of two classes whose loss at label 0 is `nats`."""
    other = np.log(np.expm1(nats))
    return np.tile(np.array([0.0, other]), (tokens, 1)).astype(np.float32)


def test_cross_entropy_by_hand():
    outputs = dict(logits=np.zeros((2, 4), np.float32), labels=np.int32([0, 3]))
    assert jm.evaluate(jm.CrossEntropy(), **outputs) == pytest.approx(LN4)
    probs = np.float32([[0.5, 0.5], [0.25, 0.75]])
    metric = jm.CrossEntropy(scores="probs")
    loss = jm.evaluate(metric, probs=probs, labels=np.int32([0, 0]))
    assert loss == pytest.approx((LN2 + LN4) / 2)


def test_perplexity_weights_tokens_not_batches():
    labels = np.zeros(128, np.int32)
    metric = jm.Perplexity().update(logits=logits_with_loss(LN2, 128), labels=labels)
    metric = metric.update(logits=logits_with_loss(3.0, 8), labels=labels[:8])
    expected = math.exp((128 * LN2 + 8 * 3) / 136)
    assert metric.compute() == pytest.approx(expected, rel=1e-6)
    masked = dict(logits=logits_with_loss(9.0, 8), mask=np.zeros(8, bool))
    assert metric.update(**masked, labels=labels[:8]).compute() == metric.compute()


def test_the_perplexity_without_data_is_nan():
    outputs = dict(logits=logits_with_loss(1.0, 2), labels=np.int32([0, 0]))
    mask = np.zeros(2, bool)
    assert math.isnan(jm.evaluate(jm.Perplexity(), **outputs, mask=mask))


@pytest.mark.parametrize("metric", [jm.CrossEntropy, jm.Perplexity])
def test_a_label_of_probability_zero_has_infinite_loss(metric):
    outputs = dict(probs=np.float32([[0.0, 1.0]]), labels=np.int32([0]))
    assert jm.evaluate(metric(scores="probs"), **outputs) == math.inf


def test_logits_are_not_read_if_probabilities_are_configured():
    with pytest.raises(TypeError, match="needs output 'probs'"):
        jm.evaluate(jm.Perplexity(scores="probs"), logits=np.zeros((1, 2)), labels=[0])


@pytest.mark.parametrize("nats", [200.0, 1000.0])
def test_a_perplexity_beyond_float32_leaves_the_loss_finite(nats):
    outputs = dict(logits=np.float32([[0.0, nats]]), labels=np.int32([0]))
    assert jm.evaluate(jm.CrossEntropy(), **outputs) == nats
    under_jit = jax.jit(lambda m: m.compute())
    assert under_jit(jm.Perplexity().update(**outputs)) == math.inf
    expected = math.exp(200.0) if nats < 700 else math.inf
    assert jm.evaluate(jm.Perplexity(), **outputs) == expected


def test_bfloat16_logits_are_normalized_in_float32():
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 4, (64, 512)).astype(jnp.bfloat16)
    labels = rng.integers(0, 512, 64).astype(np.int32)
    exact = logits.astype(np.float64)
    nats = np.log(np.exp(exact).sum(-1)) - exact[np.arange(64), labels]
    loss = jm.evaluate(jm.CrossEntropy(), logits=logits, labels=labels)
    assert loss == pytest.approx(nats.mean(), rel=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(ValueError, match="label_smoothing is .*, but must be in"):
        jm.CrossEntropy(label_smoothing=smoothing)


def test_the_standard_error_of_a_cross_entropy_is_that_of_its_labels():
    probs = [[0.5, 0.5], [0.25, 0.75], [0.125, 0.875], [0.5, 0.5]]
    metric = jm.CrossEntropy(scores="probs", stderr=True)
    value = jm.evaluate(metric, probs=probs, labels=[0, 0, 0, 7])
    nats = np.log([2.0, 4.0, 8.0])
    assert value["mean"] == pytest.approx(nats.mean())
    assert value["stderr"] == pytest.approx(nats.std(ddof=1) / math.sqrt(3))
    metric = jm.CrossEntropy(scores="probs", weighted=True, stderr=True)
    equal = jm.evaluate(metric, probs=probs, labels=[0, 0, 0, 7], weights=[2.0] * 4)
    assert equal["stderr"] == pytest.approx(float(value["stderr"]))


def test_losses_take_the_place_of_logits():
    losses = np.float32([[1, np.nan], [3, np.inf]])
    labels = np.int32([[0, 1], [2, -1]])
    state = jm.CrossEntropy(scores="losses").update(losses=losses, labels=labels)
    assert state.compute() == 2 and state.plain()["invalid"] == 2
    value = jm.evaluate(
        jm.Perplexity(scores="losses", ignore_index=-1),
        losses=np.float32([LN2, 100]),
        labels=np.int32([4, -1]),
    )
    assert value == pytest.approx(2, rel=1e-6)


def test_losses_that_cannot_be_what_they_should_are_refused():
    with pytest.raises(ValueError, match="needs all scores"):
        jm.CrossEntropy(scores="losses", label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"losses have shape \(2, 3\)"):
        jm.CrossEntropy(scores="losses").update(
            losses=np.zeros((2, 3), np.float32), labels=np.zeros(2, np.int32)
        )
