"""Softmax and negative log-likelihood, shared by the metrics and the losses.

The largest logit of each row is subtracted first, so that a common offset costs no
digits. With l the label's logit after that and `rest` the sum of the exponentials of
the other classes, the logarithm of the normalizer is `log1p(rest + expm1(l))`. If the
label is the top class, l is 0 and a small loss keeps the digits of `rest`: logits 17,
0, 0 have a loss of 2 exp(-17) = 8.28e-8 at label 0, while float32 rounds the sum of
exponentials, 1 + 2 exp(-17), to 1.00000012, which would be a loss of 1.19e-7.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core._class_sums import sum_over_classes
from jaxmetrics.core._labels import (
    as_class_numbers,
    as_scores,
    class_index,
    in_range,
    require_labels,
    score_of,
    unfused,
)

_WEIGHTLESS = -200.0  # exp() of it is 0 in float32
_LOG_TINY = -87.0  # exp() of it is near the least float32 with all its digits
_LOG_NOTHING = -1e20  # in place of -inf: its product with the least float32 is nearly 0


class SoftmaxTerms(NamedTuple):
    """Terms of a row's softmax and of its label's likelihood.

    The largest logit is subtracted from all logits, which are called shifted here.

    Args:
      top: Largest logit, `[...]`.
      top_probability: Largest softmax probability.
      log_z: Logarithm of the sum of the exponentials of shifted logits, at least 0.
      label: Shifted logit of the label, at most 0; of class 0 if that is out of range.
      mean_shifted: Mean of the shifted logits under the softmax; the entropy is
        `log_z - mean_shifted`.
      mean_unmasked: Mean of the shifted logits that are not -inf.
      valid: False where a logit is NaN or inf, or all are -inf; the other terms are
        then undefined.
      inside: False where the label is out of range.
    """

    top: jax.Array
    top_probability: jax.Array
    log_z: jax.Array
    label: jax.Array
    mean_shifted: jax.Array
    mean_unmasked: jax.Array
    valid: jax.Array
    inside: jax.Array

    @property
    def entropy(self) -> jax.Array:
        """Entropy of the softmax, in nats."""
        return self.log_z - self.mean_shifted

    @property
    def log_normalizer(self) -> jax.Array:
        """Logarithm of the sum of the exponentials of the logits themselves."""
        return self.log_z + self.top

    def cross_entropy(self, label_smoothing: float) -> jax.Array:
        """Return the cross entropy of the labels, in nats.

        Args:
          label_smoothing: Share of the target that is spread evenly over the classes
            whose logit is not -inf.
        """
        log_likelihood = self.label
        if label_smoothing:
            log_likelihood = (1 - label_smoothing) * log_likelihood
            log_likelihood = log_likelihood + label_smoothing * self.mean_unmasked
        return self.log_z - log_likelihood


def softmax_terms(logits: jax.Array, labels: jax.Array) -> SoftmaxTerms:
    """Return the terms from which losses, entropies and their gradients are made.

    A compiler leaves out the sums that are not used.

    Args:
      logits: Floats `[..., classes]`.
      labels: int32 `[...]`.
    """
    classes = logits.shape[-1]
    inside = in_range(labels, classes)
    index = jnp.where(inside, labels, 0)[..., None]
    largest = lax.stop_gradient(logits.max(axis=-1, keepdims=True))
    below_zero = unfused(-largest.astype(jnp.float32))
    label = score_of(logits, index).astype(jnp.float32) + below_zero
    rest = sum_over_classes(_exponential_of_others, logits, below_zero, index)
    label, top = label[..., 0], -below_zero[..., 0]
    log_z = jnp.log1p(rest + jnp.expm1(label))
    top_probability = 1 / (rest + jnp.exp(label))
    mean_shifted = sum_over_classes(_weighted_shifted, logits, below_zero)
    mean_shifted = mean_shifted * jnp.exp(-log_z)
    mean_unmasked = sum_over_classes(_finite_shifted, logits, below_zero)
    mean_unmasked = mean_unmasked / sum_over_classes(_is_finite, logits, below_zero)
    # NaN, inf, and -inf as the largest logit make one of these NaN.
    valid = jnp.isfinite(rest) & ~jnp.isnan(label)
    return SoftmaxTerms(
        top, top_probability, log_z, label, mean_shifted, mean_unmasked, valid, inside
    )


def _shifted(logits: jax.Array, below_zero: jax.Array) -> jax.Array:
    return logits.astype(jnp.float32) + below_zero


def _exponential_of_others(
    logits: jax.Array, below_zero: jax.Array, index: jax.Array
) -> jax.Array:
    """Return the exponentials of shifted logits, 0 for the class `index`."""
    exponentials = jnp.exp(_shifted(logits, below_zero))
    return jnp.where(class_index(logits) == index, jnp.float32(0), exponentials)


def _weighted_shifted(logits: jax.Array, below_zero: jax.Array) -> jax.Array:
    """Return the exponentials of shifted logits times these logits; 0 for -inf."""
    shifted = _shifted(logits, below_zero)
    weighted = jnp.exp(shifted) * shifted
    return jnp.where(shifted < _WEIGHTLESS, jnp.float32(0), weighted)


def _finite_shifted(logits: jax.Array, below_zero: jax.Array) -> jax.Array:
    """Return shifted logits, 0 for -inf."""
    shifted = _shifted(logits, below_zero)
    return jnp.where(shifted == -jnp.inf, jnp.float32(0), shifted)


def _is_finite(logits: jax.Array, below_zero: jax.Array) -> jax.Array:
    """Return 1 for shifted logits, 0 for -inf."""
    is_masked = _shifted(logits, below_zero) == -jnp.inf
    return jnp.where(is_masked, jnp.float32(0), jnp.float32(1))


def kl_divergence(
    logits: jax.Array, reference_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return KL(softmax(logits) || softmax(reference_logits)), and its validity.

    It is the sum of `p (exp(-d) - 1 + d)` with d = log p - log q, whose terms are all
    at least 0: unlike `p d`, they do not cancel where p is close to q.

    Args:
      logits: Floats `[..., classes]`.
      reference_logits: Floats of the same shape.

    Returns:
      nats: float32 `[...]`; inf if the reference masks out a class that the
        logits do not.
      valid: Bool `[...]`, False where a logit of either is NaN or inf, or all are -inf.
    """
    zeros = jnp.zeros_like(logits[..., 0], dtype=jnp.int32)
    own, other = softmax_terms(logits, zeros), softmax_terms(reference_logits, zeros)

    def added(logits: jax.Array, reference: jax.Array, *rows: jax.Array) -> jax.Array:
        own_top, own_log_z, other_top, other_log_z = rows
        logits, reference = (x.astype(jnp.float32) for x in (logits, reference))
        log_p = (logits - own_top) - own_log_z
        log_q = (reference - other_top) - other_log_z
        # At the least p neither exp() nor a product overflows or is NaN; it adds q.
        log_p = lax.max(log_p, jnp.float32(_LOG_TINY))
        d = log_p - lax.max(log_q, jnp.float32(_LOG_NOTHING))
        lost = (reference == -jnp.inf) & (logits > -jnp.inf)
        p, q = jnp.exp(log_p), jnp.exp(log_q)
        # Far from p, where nothing cancels, exp(-d) would have fewer digits than q.
        near = jnp.abs(d) < 1
        term = jnp.where(near, p * (jnp.expm1(-d) + d), (q - p) + p * d)
        return jnp.where(lost, jnp.float32(jnp.inf), term)

    rows = (own.top, own.log_z, other.top, other.log_z)
    rows = tuple(x[..., None] for x in rows)
    nats = sum_over_classes(added, logits, reference_logits, *rows)
    return nats, own.valid & other.valid


def negative_log_likelihood(
    scores: Any, labels: Any, *, kind: str = "logits", label_smoothing: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Return the loss of each label, `-log softmax(logits)[label]`, and its validity.

    Classes with a logit of -inf or a probability of 0 are masked out: a label among
    them has an infinite loss, and label smoothing spreads nothing over them.

    Args:
      scores: Logits or probabilities `[..., classes]`, or losses `[...]`.
      labels: Integers `[...]`.
      kind: "logits"; "probs", which are not normalized; or "losses", the negative
        log-likelihoods of the labels themselves, as `jm.losses` return them.
      label_smoothing: Share of the target that is spread evenly over all classes that
        are not masked out, in [0, 1).

    Returns:
      nats: float32 `[...]`, the loss in nats; undefined where `valid` is False.
      valid: Bool `[...]`, False where the label is out of range, where a logit is NaN
        or inf, where all logits are -inf, where a probability is not in [0, 1], or
        where a loss is NaN.

    Raises:
      TypeError: The labels are not integers.
      ValueError: The labels do not have the shape of the scores without the classes.
    """
    scores, labels = as_scores(scores), as_class_numbers(labels)
    if kind == "losses":
        if labels.shape != scores.shape:
            raise ValueError(
                f"losses have shape {scores.shape} and labels {labels.shape}; the "
                "shapes must be equal. Pass one loss for each label, or scores as "
                "logits with scores='logits'."
            )
        require_labels(scores[..., None], labels)
        inside = in_range(labels, jnp.iinfo(jnp.int32).max)
        return scores.astype(jnp.float32), inside & ~jnp.isnan(scores)
    require_labels(scores, labels)
    if kind == "probs":
        return _of_probabilities(scores.astype(jnp.float32), labels, label_smoothing)
    terms = softmax_terms(scores, labels)
    return terms.cross_entropy(label_smoothing), terms.inside & terms.valid


def _of_probabilities(
    probs: jax.Array, labels: jax.Array, label_smoothing: float
) -> tuple[jax.Array, jax.Array]:
    inside = in_range(labels, probs.shape[-1])
    valid = inside & ((probs >= 0) & (probs <= 1)).all(axis=-1)
    label_prob = score_of(probs, jnp.where(inside, labels, 0)[..., None])[..., 0]
    nats = -jnp.log(jnp.where(valid, label_prob, jnp.float32(1)))
    if label_smoothing:
        unmasked = probs > 0
        log_probs = jnp.log(jnp.where(unmasked, probs, jnp.float32(1)))
        count = unmasked.sum(axis=-1, dtype=jnp.int32).astype(jnp.float32)
        mean = log_probs.sum(axis=-1) / jnp.maximum(count, 1)
        nats = (1 - label_smoothing) * nats - label_smoothing * mean
    return nats, valid
