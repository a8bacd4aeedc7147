"""The negative log-likelihood that several metrics share."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from jaxmetrics.core import negative_log_likelihood, softmax_terms

pytestmark = pytest.mark.sampled(6)

LOGITS = np.log(np.float32([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]))


def test_logits_are_normalized():
    nats, valid = negative_log_likelihood(LOGITS + 7, np.int32([0, 2]))
    np.testing.assert_allclose(nats, [math.log(2), -math.log(0.6)], rtol=1e-6)
    assert valid.all()


def test_probabilities_are_not_normalized():
    probs = np.float32([[0.5, 0.25]])
    nats, _ = negative_log_likelihood(probs, np.int32([1]), kind="probs")
    assert float(nats[0]) == pytest.approx(math.log(4))


def test_smoothing_mixes_in_the_mean_over_all_classes():
    nats, _ = negative_log_likelihood(LOGITS, np.int32([0, 2]), label_smoothing=0.3)
    each = -np.float64(LOGITS)
    expected = 0.7 * each[[0, 1], [0, 2]] + 0.3 * each.mean(-1)
    np.testing.assert_allclose(nats, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint32, np.bool_])
def test_logits_of_a_type_without_negative_numbers_are_those_of_float32(dtype):
    logits = np.array([[1, 0, 1], [0, 0, 1]], dtype)
    labels = np.int32([2, 0])
    terms = softmax_terms(jnp.asarray(logits), labels)
    right = softmax_terms(jnp.asarray(logits, jnp.float32), labels)
    jax.tree.map(np.testing.assert_array_equal, terms, right)


@pytest.mark.parametrize("label", [-1, 3, -100])
def test_a_label_out_of_range_is_invalid(label):
    _, valid = negative_log_likelihood(LOGITS, np.int32([0, label]))
    assert valid.tolist() == [True, False]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("index", [0, 2])
def test_a_row_with_nan_or_infinity_is_invalid(index, bad):
    logits = LOGITS.copy()
    logits[0, index] = bad
    _, valid = negative_log_likelihood(logits, np.int32([0, 2]))
    assert valid.tolist() == [False, True]


def test_a_row_of_minus_infinity_only_is_invalid():
    _, valid = negative_log_likelihood(np.float32([[-math.inf] * 2]), np.int32([0]))
    assert valid.tolist() == [False]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_probabilities_that_are_negative_or_not_finite_are_invalid(bad):
    probs = np.float32([[0.5, bad], [0.5, 0.5]])
    _, valid = negative_log_likelihood(probs, np.int32([0, 0]), kind="probs")
    assert valid.tolist() == [False, True]


def test_masked_classes_change_no_loss_and_get_no_share_of_the_smoothing():
    labels, smoothing = np.int32([0, 2]), dict(label_smoothing=0.3)
    right, _ = negative_log_likelihood(LOGITS, labels, **smoothing)
    masked = np.pad(LOGITS, ((0, 0), (1, 2)), constant_values=-math.inf)
    nats, valid = negative_log_likelihood(masked, labels + 1, **smoothing)
    assert valid.all()
    np.testing.assert_allclose(nats, right, rtol=1e-6)
    probs = np.exp(masked)
    nats, valid = negative_log_likelihood(probs, labels + 1, kind="probs", **smoothing)
    assert valid.all()
    np.testing.assert_allclose(nats, right, rtol=1e-6)


@pytest.mark.parametrize("probs", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_label_that_is_masked_out_has_an_infinite_loss(probs, smoothing):
    logits = np.float32([[0, -math.inf, 0]])
    scores = np.exp(logits) / 2 if probs else logits
    nats, valid = negative_log_likelihood(
        scores,
        np.int32([1]),
        kind="probs" if probs else "logits",
        label_smoothing=smoothing,
    )
    assert valid.all() and nats.tolist() == [math.inf]


@pytest.mark.parametrize("offset", [-1e6, 0, 1e4, 1e6])
def test_a_common_offset_costs_no_digits(offset):
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=(64, 10)) + offset).astype(np.float32)
    labels = rng.integers(0, 10, 64).astype(np.int32)
    wide = logits.astype(np.float64)
    right = logsumexp(wide, -1) - wide[np.arange(64), labels]
    nats, _ = negative_log_likelihood(logits, labels)
    np.testing.assert_allclose(nats, right, rtol=1e-6, atol=1e-9 * abs(offset))


@pytest.mark.parametrize("distance", [10, 17, 30, 80])
def test_a_small_loss_keeps_its_digits(distance):
    logits = np.float32([[1e3, 1e3 - distance, 1e3 - distance]])
    nats, _ = negative_log_likelihood(logits, np.int32([0]))
    right = math.log1p(2 * math.exp(-distance))
    assert float(nats[0]) == pytest.approx(right, rel=1e-6)


# Six rows of these are read at once, and by a CPU in two and in one block.
VOCABULARIES = [4096, 50_257, 32_769]


def many_classes(vocabulary):
    """Rows of a large vocabulary, and their labels."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (6, vocabulary)).astype(np.float32) + 100
    return logits, np.int32([0, 63, 1024, vocabulary - 1, 2000, vocabulary - 2])


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_many_classes_are_summed_in_blocks(smoothing, vocabulary):
    logits, labels = many_classes(vocabulary)
    nats, valid = negative_log_likelihood(logits, labels, label_smoothing=smoothing)
    wide = np.float64(logits)
    each = logsumexp(wide, -1, keepdims=True) - wide
    own = each[np.arange(6), labels]
    expected = (1 - smoothing) * own + smoothing * each.mean(-1)
    np.testing.assert_allclose(nats, expected, rtol=2e-6)
    assert valid.all()


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_a_small_loss_among_many_classes_keeps_its_digits(vocabulary):
    logits = np.zeros((2, 3, vocabulary), np.float32)
    labels = np.int32([[5, 700, vocabulary - 1], [1023, 1024, vocabulary - 2]])
    np.put_along_axis(logits, labels[..., None], 40, axis=-1)
    nats, _ = negative_log_likelihood(logits, labels)
    expected = np.full((2, 3), (vocabulary - 1) * math.exp(-40))
    np.testing.assert_allclose(nats, expected, rtol=1e-6)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_rows_of_many_classes_are_invalid_wherever_a_logit_is_not_a_number(vocabulary):
    logits, labels = many_classes(vocabulary)
    logits[0, -1] = logits[1, 70] = logits[2, 65] = math.nan
    logits[3, 7], logits[4], labels[5] = math.inf, -math.inf, vocabulary
    _, valid = negative_log_likelihood(logits, labels)
    assert not valid.any()


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_the_gradient_over_blocks_is_that_of_the_softmax(vocabulary):
    logits, labels = many_classes(vocabulary)
    gradient = jax.grad(lambda x: negative_log_likelihood(x, labels)[0].sum())(logits)
    right = softmax(np.float64(logits), -1)
    right[np.arange(6), labels] -= 1
    np.testing.assert_allclose(gradient, right, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_that_of_the_softmax_also_at_ties():
    logits = jnp.float32([[1e4, 1e4, 1e4 - 1, -math.inf]])
    gradient = jax.grad(lambda x: negative_log_likelihood(x, jnp.int32([0]))[0].sum())
    p = jax.nn.softmax(jnp.float32([[0, 0, -1, -math.inf]]))
    right = p - jax.nn.one_hot(jnp.int32([0]), 4)
    np.testing.assert_allclose(gradient(logits), right, rtol=1e-6, atol=1e-7)


def test_labels_that_are_not_integers_are_refused():
    with pytest.raises(TypeError, match="labels are integer"):
        negative_log_likelihood(LOGITS, np.float32([0, 2]))
