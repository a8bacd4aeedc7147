"""The loss, its parts and its gradient, against the formula in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_softmax

from jaxmetrics.losses import cross_entropy_with_entropy_loss

pytestmark = pytest.mark.sampled(4)

CLASSES = 11


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    logits = (4 * rng.normal(size=(3, 5, CLASSES))).astype(np.float32)
    labels = rng.integers(1, CLASSES, (3, 5)).astype(np.int32)
    labels[0, 2:] = 0
    return logits, labels


def reference(logits, labels, *, entropy_weight=0.001, label_smoothing=0.0, z_loss=0.0):
    """Return the three values by NumPy; label 0 is padding."""
    logits = np.float64(logits)
    log_p = log_softmax(logits, -1)
    kept = labels != 0
    uniform = label_smoothing / CLASSES
    target = (1 - label_smoothing) * np.eye(CLASSES)[labels] + uniform
    ce = -(target * log_p).sum(-1)[kept].mean()
    entropy = -(np.exp(log_p) * log_p).sum(-1)[kept].mean()
    log_z = (logits - log_p)[..., 0][kept]
    return ce, entropy, ce - entropy_weight * entropy + z_loss * (log_z**2).mean()


OPTIONS = [
    {},
    dict(entropy_weight=0.3),
    dict(entropy_weight=0.3, z_loss=0.01, label_smoothing=0.1),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_three_values_are_those_of_the_formula(batch, options):
    values = cross_entropy_with_entropy_loss(*batch, pad_id=0, **options)
    np.testing.assert_allclose(values, reference(*batch, **options), rtol=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
def test_the_gradient_is_that_of_the_formula(batch, options):
    logits, labels = batch

    def formula(logits):
        log_p = jax.nn.log_softmax(logits)
        smoothing = options.get("label_smoothing", 0)
        target = (1 - smoothing) * jax.nn.one_hot(labels, CLASSES) + smoothing / CLASSES
        ce = -(target * log_p).sum(-1)
        entropy = -(jnp.exp(log_p) * log_p).sum(-1)
        log_z = jax.nn.logsumexp(logits, -1)
        total = ce - options.get("entropy_weight", 0.001) * entropy
        total += options.get("z_loss", 0) * log_z**2
        return jnp.where(labels != 0, total, 0).sum() / (labels != 0).sum()

    def loss(logits):
        return cross_entropy_with_entropy_loss(logits, labels, pad_id=0, **options)[2]

    np.testing.assert_allclose(
        jax.grad(loss)(logits), jax.grad(formula)(logits), atol=1e-7
    )


def test_the_gradient_of_the_entropy_alone_is_that_of_the_formula(batch):
    logits, labels = batch

    def entropy(logits):
        p = jax.nn.softmax(logits)
        return -(p * jnp.log(p)).sum(-1).mean()

    def loss(logits):
        return cross_entropy_with_entropy_loss(logits, labels)[1]

    np.testing.assert_allclose(
        jax.grad(loss)(logits), jax.grad(entropy)(logits), atol=1e-7
    )


def test_without_options_the_loss_is_the_cross_entropy_of_optax(batch):
    logits, labels = batch
    ce, _, total = cross_entropy_with_entropy_loss(*batch, entropy_weight=0.0)
    by_token = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    np.testing.assert_allclose(ce, by_token.mean(), rtol=1e-6)
    assert ce == total


def test_masked_tokens_are_not_read_even_where_they_are_nan(batch):
    logits, labels = batch
    value = cross_entropy_with_entropy_loss(logits, labels, pad_id=0)
    masked = cross_entropy_with_entropy_loss(logits, labels, mask=labels != 0)
    bad, labels = logits.copy(), np.where(labels == 0, -100, labels)
    bad[0, 2:] = np.nan

    def loss(logits):
        return cross_entropy_with_entropy_loss(logits, labels, pad_id=-100)

    np.testing.assert_array_equal(value, masked)
    np.testing.assert_array_equal(value, loss(bad))
    gradient = jax.grad(lambda x: loss(x)[2])(bad)
    assert not gradient[0, 2:].any() and np.isfinite(gradient).all()


def test_all_tokens_masked_is_nan(batch):
    logits, labels = batch
    values = cross_entropy_with_entropy_loss(logits, np.zeros_like(labels), pad_id=0)
    assert np.isnan(values).all()


def test_a_label_out_of_range_makes_the_loss_nan(batch):
    logits, labels = batch

    def loss(logits):
        return cross_entropy_with_entropy_loss(logits, labels + CLASSES)

    assert np.isnan(loss(logits)[0]) and np.isnan(loss(logits)[2])
    assert np.isnan(jax.grad(lambda x: loss(x)[2])(logits)).all()


def test_a_label_beyond_32_bits_is_out_of_range_and_no_other_class():
    labels, logits = np.array([2**32 + 1, -(2**32)]), np.zeros((2, CLASSES))
    values = cross_entropy_with_entropy_loss(logits, labels)
    assert np.isnan(values[0]) and np.isnan(values[2])


def test_labels_and_masks_may_be_lists():
    logits = np.eye(3, dtype=np.float32)
    right = cross_entropy_with_entropy_loss(
        logits, np.arange(3), mask=np.array([True, False, True])
    )
    lists = cross_entropy_with_entropy_loss(logits, [0, 1, 2], mask=[True, False, True])
    np.testing.assert_array_equal(lists, right)


def test_logits_of_minus_infinity_exclude_a_class():
    logits = jnp.array([[0.0, -jnp.inf, 0.0]])

    def entropy(logits):
        return cross_entropy_with_entropy_loss(logits, jnp.array([0]))[1]

    assert entropy(logits) == pytest.approx(np.log(2))
    np.testing.assert_allclose(jax.grad(entropy)(logits), np.zeros((1, 3)), atol=1e-7)


def test_a_masked_class_changes_neither_loss_nor_gradient_with_smoothing(batch):
    logits, labels = batch
    options = dict(label_smoothing=0.1, z_loss=0.01, entropy_weight=0.3)
    masked = np.pad(logits, ((0, 0), (0, 0), (0, 2)), constant_values=-np.inf)

    def loss(logits):
        return cross_entropy_with_entropy_loss(logits, labels, **options)[2]

    value, gradient = jax.value_and_grad(loss)(logits)
    masked_value, masked_gradient = jax.value_and_grad(loss)(masked)
    np.testing.assert_allclose(masked_value, value, rtol=1e-6)
    np.testing.assert_allclose(masked_gradient[..., :CLASSES], gradient, atol=1e-7)
    assert not masked_gradient[..., CLASSES:].any()


def test_the_cross_entropy_of_a_label_that_is_masked_out_is_infinite():
    logits = jnp.array([[0.0, -jnp.inf, 0.0]])
    assert cross_entropy_with_entropy_loss(logits, jnp.array([1]))[0] == jnp.inf


def test_a_common_offset_changes_neither_loss_nor_gradient(batch):
    logits, labels = batch
    logits = logits.round()  # exact in float32 with the offset too

    def loss(logits):
        return cross_entropy_with_entropy_loss(logits, labels, entropy_weight=0.1)[2]

    value, gradient = jax.value_and_grad(loss)(logits)
    far_value, far_gradient = jax.value_and_grad(loss)(logits + np.float32(1e6))
    np.testing.assert_array_equal(far_value, value)
    np.testing.assert_array_equal(far_gradient, gradient)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64])
@pytest.mark.parametrize("pad_id", [None, 0, -100, 255])
def test_labels_of_any_integer_type_count_alike(dtype, pad_id):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(64, 300)).astype(np.float32)
    labels = rng.integers(0, 127, 64)
    right = cross_entropy_with_entropy_loss(logits, labels, pad_id=pad_id)
    values = cross_entropy_with_entropy_loss(
        logits, labels.astype(dtype), pad_id=pad_id
    )
    assert np.isfinite(right).all()
    np.testing.assert_array_equal(values, right)


def test_large_logits_do_not_overflow_and_bfloat16_is_computed_in_float32():
    logits = jnp.array([[1e4, 0.0], [3.0, 3.0]], jnp.bfloat16)
    ce, entropy, _ = cross_entropy_with_entropy_loss(logits, jnp.array([0, 1]))
    assert ce.dtype == jnp.float32 and ce == pytest.approx(np.log(2) / 2)
    assert entropy == pytest.approx(np.log(2) / 2)
    gradient = jax.grad(
        lambda x: cross_entropy_with_entropy_loss(x, jnp.array([0, 1]))[2]
    )(logits)
    assert gradient.dtype == jnp.bfloat16


def test_the_softmax_is_not_kept_between_forward_and_backward():
    logits = jax.ShapeDtypeStruct((64, 512), jnp.bfloat16)
    labels = jax.ShapeDtypeStruct((64,), jnp.int32)

    def loss(logits, labels):
        return cross_entropy_with_entropy_loss(logits, labels)[2]

    _, backward = jax.eval_shape(lambda *a: jax.vjp(loss, *a), logits, labels)
    stored = [leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward)]
    *small, largest = sorted(stored)
    assert largest == 64 * 512 * 2  # the logits in bfloat16
    assert sum(small) < 64 * 8 * 4


@pytest.mark.parametrize(
    "logits, labels, options, error, match",
    [
        (np.zeros((2, 3), int), np.zeros(2, int), {}, TypeError, "logits of int"),
        (np.zeros((2, 3)), np.zeros(2), {}, TypeError, "labels of float"),
        (np.zeros((2, 3)), np.zeros(3, int), {}, ValueError, r"labels \(3,\)"),
        (
            np.zeros((2, 3)),
            np.zeros(2, int),
            {"label_smoothing": 1},
            ValueError,
            "number in",
        ),
        (np.zeros((2, 3)), np.zeros(2, int), {"mask": np.ones(2)}, TypeError, "bool"),
        (
            np.zeros((2, 3)),
            np.zeros(2, int),
            {"mask": np.ones(1, bool)},
            ValueError,
            "mask",
        ),
    ],
)
def test_invalid_arguments_are_refused(logits, labels, options, error, match):
    with pytest.raises(error, match=match):
        cross_entropy_with_entropy_loss(logits, labels, **options)
