"""Losses that return their parts for logging, next to the total to minimize."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import Array

__all__ = ["cross_entropy_with_entropy_loss"]


def cross_entropy_with_entropy_loss(
    logits: Array,
    labels: Array,
    *,
    pad_id: int | None = None,
    mask: Array | None = None,
    entropy_weight: float = 0.001,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> tuple[Array, Array, Array]:
    """Return cross entropy, entropy of the predictions, and the loss to minimize.

    `total = cross_entropy - entropy_weight * entropy + z_loss * mean(log(Z) ** 2)`,
    where `Z` is the softmax normalizer: a positive `entropy_weight` rewards uncertain
    predictions. Each is a mean over the tokens that are not masked, in nats and
    float32 for any dtype of the logits; nan if all tokens are masked, or if the label
    of a token that is not masked is out of range.

    The softmax is never stored: the backward pass recomputes it from the logits, so
    that memory is needed for the logits and their gradient only. Only reverse-mode
    differentiation is supported.

    Args:
      logits: `[..., classes]`, any float dtype.
      labels: `[...]`, integer classes.
      pad_id: Label of padding, which is masked. Default none.
      mask: `[...]`, bool; tokens where it is False are masked.
      entropy_weight: Weight of the entropy. Default 0.001.
      label_smoothing: Share of the target that is spread evenly over all classes
        (Szegedy et al., 2016), in [0, 1); also applies to the returned cross entropy.
      z_loss: Weight of the squared log normalizer; PaLM uses 1e-4. Default 0.

    Returns:
      `(cross_entropy, entropy, total)`, each a scalar.

    Raises:
      TypeError: The logits are not floats, the labels not integers, or the mask not
        bool.
      ValueError: Shapes do not match, or the smoothing is outside [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> ce, entropy, total = cross_entropy_with_entropy_loss(
      ...     jnp.zeros((2, 4)), jnp.array([1, 0]), pad_id=0, entropy_weight=0.5
      ... )
      >>> round(float(ce), 4), round(float(entropy), 4), round(float(total), 4)
      (1.3863, 1.3863, 0.6931)
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    _check(logits, labels, mask, label_smoothing)
    by_token: Any = _token_losses(logits, labels, float(label_smoothing))
    cross_entropy, entropy, log_z = by_token
    kept = jnp.ones(labels.shape, bool)
    if pad_id is not None:
        kept &= labels != pad_id
    if mask is not None:
        kept &= mask
    count = kept.sum(dtype=jnp.int32).astype(jnp.float32)

    def mean(values: Array) -> Array:
        return jnp.where(kept, values, 0).sum() / count

    cross_entropy, entropy = mean(cross_entropy), mean(entropy)
    total = cross_entropy - entropy_weight * entropy
    if z_loss:
        total = total + z_loss * mean(log_z * log_z)
    return cross_entropy, entropy, total


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _token_losses(
    logits: Array, labels: Array, smoothing: float
) -> tuple[Array, Array, Array]:
    """Return cross entropy, entropy and log normalizer of each token.

    With shifted logits `s = logits - max` and `z = sum(exp(s))`, the log probability
    of a class is `s - log(z)`, the entropy `log(z) - mean of s under the softmax`, and
    the log normalizer of the logits themselves `log(z) + max`.
    """
    x = logits.astype(jnp.float32)
    top = x.max(-1, keepdims=True)
    shifted = x - top
    weight = jnp.exp(shifted)
    # XLA fuses these sums into one pass: no other array as large as the logits is kept.
    z = weight.sum(-1)
    mean_shifted = jnp.where(weight > 0, weight * shifted, 0).sum(-1) / z
    label_shifted = jnp.where(_is_label(x, labels), shifted, 0).sum(-1)
    label_shifted = jnp.where(_in_range(x, labels), label_shifted, jnp.nan)
    if smoothing:
        label_shifted = (1 - smoothing) * label_shifted + smoothing * shifted.mean(-1)
    log_z = jnp.log(z)
    return log_z - label_shifted, log_z - mean_shifted, log_z + top[..., 0]


def _forward(logits: Array, labels: Array, smoothing: float) -> tuple[Any, Any]:
    values: Any = _token_losses(logits, labels, smoothing)
    return values, (logits, labels, values[1], values[2])


def _backward(smoothing: float, residuals: Any, cotangents: Any) -> tuple[Any, Any]:
    """Return the cotangent of the logits.

    With p the softmax and H its entropy, the derivatives by a logit are
    `p - target` of the cross entropy, `-p (log p + H)` of the entropy, and `p` of the
    log normalizer.
    """
    logits, labels, entropy, log_z = residuals
    ct_ce, ct_entropy, ct_log_z = cotangents
    # A masked token has no gradient, even where its logits are nan.
    masked = (ct_ce == 0) & (ct_entropy == 0) & (ct_log_z == 0)
    x = logits.astype(jnp.float32)
    log_p = x - log_z[..., None]
    p = jnp.exp(log_p)
    ct_ce = jnp.where(_in_range(x, labels), ct_ce, jnp.nan)
    log_p_plus_entropy = jnp.where(p > 0, log_p, 0) + entropy[..., None]
    entropy_term = ct_entropy[..., None] * log_p_plus_entropy
    gradient = p * ((ct_ce + ct_log_z)[..., None] - entropy_term)
    target = (1 - smoothing) * _is_label(x, labels) + smoothing / x.shape[-1]
    gradient = gradient - ct_ce[..., None] * target
    gradient = jnp.where(masked[..., None], 0, gradient)
    return gradient.astype(logits.dtype), np.zeros(labels.shape, jax.dtypes.float0)


_token_losses.defvjp(_forward, _backward)


def _is_label(x: Array, labels: Array) -> Array:
    classes = jax.lax.broadcasted_iota(labels.dtype, x.shape, x.ndim - 1)
    return classes == labels[..., None]


def _in_range(x: Array, labels: Array) -> Array:
    return (labels >= 0) & (labels < x.shape[-1])


def _check(logits: Array, labels: Array, mask: Array | None, smoothing: float) -> None:
    name = "cross_entropy_with_entropy_loss"
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"{name} got logits of {logits.dtype}, expected floats. Pass the outputs "
            f"of the last layer."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{name} got labels of {labels.dtype}, expected integer classes. Pass the "
            f"argmax of one-hot labels."
        )
    shape = logits.shape[:-1]
    for argument, array in {"labels": labels, "mask": mask}.items():
        if array is not None and array.shape != shape:
            raise ValueError(
                f"{name} got logits {logits.shape} and {argument} {array.shape}, "
                f"expected {argument} {shape}. Shift and slice both in the same way."
            )
    if mask is not None and mask.dtype != bool:
        raise TypeError(
            f"{name} got a mask of {mask.dtype}, expected bool. Pass mask > 0."
        )
    if not 0 <= smoothing < 1:
        raise ValueError(
            f"{name} got label_smoothing={smoothing}, expected a number in [0, 1). "
            f"Pass 0.1 to spread a tenth of the target."
        )
