"""Losses that give what is logged beside what is minimised."""

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
    """Cross entropy, the entropy of the predictions, and the loss that joins them.

    `total = cross_entropy - entropy_weight * entropy + z_loss * mean(log(Z) ** 2)`: a
    positive `entropy_weight` rewards predictions that are not certain. Each is a mean
    over the tokens that count, in nats and float32, whatever the dtype of the logits;
    nan when none counts, and when a label that counts is no class.

    The softmax is never stored. The gradient reads the logits once more and makes it
    anew, so it costs the memory of the logits and of their gradient. It has a reverse
    mode only.

    Args:
      logits: `[..., classes]`, any float dtype.
      labels: `[...]`, integer classes.
      pad_id: The label of padding, which does not count.
      mask: `[...]`, bool; what is False does not count.
      entropy_weight: How much the entropy is rewarded.
      label_smoothing: The share of the target that is spread over all classes
        (Szegedy et al., 2016), in [0, 1). The cross entropy has it too.
      z_loss: The weight of the squared log-normaliser (PaLM's is 1e-4).

    Returns:
      `(cross_entropy, entropy, total)`, each of rank 0.

    Raises:
      TypeError: The logits are not floats or the labels not integers.
      ValueError: The shapes do not fit, or the smoothing is no share.

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
    each: Any = _of_tokens(logits, labels, float(label_smoothing))
    cross_entropy, entropy, log_z = each
    counts = jnp.ones(labels.shape, bool)
    if pad_id is not None:
        counts &= labels != pad_id
    if mask is not None:
        counts &= mask
    number = counts.sum(dtype=jnp.int32).astype(jnp.float32)

    def mean(values: Array) -> Array:
        return jnp.where(counts, values, 0).sum() / number

    cross_entropy, entropy = mean(cross_entropy), mean(entropy)
    total = cross_entropy - entropy_weight * entropy
    if z_loss:
        total = total + z_loss * mean(log_z * log_z)
    return cross_entropy, entropy, total


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _of_tokens(
    logits: Array, labels: Array, smoothing: float
) -> tuple[Array, Array, Array]:
    """Cross entropy, entropy and log-normaliser of each token."""
    x = logits.astype(jnp.float32)
    top = x.max(-1, keepdims=True)
    below = x - top
    weight = jnp.exp(below)
    # These sums are one pass over the logits: nothing as large is kept between them.
    z = weight.sum(-1)
    mean_below = jnp.where(weight > 0, weight * below, 0).sum(-1) / z
    chosen = jnp.where(_is_label(x, labels), below, 0).sum(-1)
    chosen = jnp.where(_is_class(x, labels), chosen, jnp.nan)
    if smoothing:
        chosen = (1 - smoothing) * chosen + smoothing * below.mean(-1)
    log_weight = jnp.log(z)
    return log_weight - chosen, log_weight - mean_below, log_weight + top[..., 0]


def _forward(logits: Array, labels: Array, smoothing: float) -> tuple[Any, Any]:
    values: Any = _of_tokens(logits, labels, smoothing)
    return values, (logits, labels, values[1], values[2])


def _backward(smoothing: float, kept: Any, cotangents: Any) -> tuple[Any, Any]:
    logits, labels, entropy, log_z = kept
    by_ce, by_entropy, by_log_z = cotangents
    # A token that does not count has no gradient, even where its logits are nan.
    silent = (by_ce == 0) & (by_entropy == 0) & (by_log_z == 0)
    x = logits.astype(jnp.float32)
    log_p = x - log_z[..., None]
    p = jnp.exp(log_p)
    by_ce = jnp.where(_is_class(x, labels), by_ce, jnp.nan)
    surprise = jnp.where(p > 0, log_p, 0) + entropy[..., None]
    slope = p * ((by_ce + by_log_z)[..., None] - by_entropy[..., None] * surprise)
    target = (1 - smoothing) * _is_label(x, labels) + smoothing / x.shape[-1]
    slope = slope - by_ce[..., None] * target
    slope = jnp.where(silent[..., None], 0, slope)
    return slope.astype(logits.dtype), np.zeros(labels.shape, jax.dtypes.float0)


_of_tokens.defvjp(_forward, _backward)


def _is_label(x: Array, labels: Array) -> Array:
    classes = jax.lax.broadcasted_iota(labels.dtype, x.shape, x.ndim - 1)
    return classes == labels[..., None]


def _is_class(x: Array, labels: Array) -> Array:
    return (labels >= 0) & (labels < x.shape[-1])


def _check(logits: Array, labels: Array, mask: Array | None, smoothing: float) -> None:
    who = "cross_entropy_with_entropy_loss"
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"{who} got logits of {logits.dtype}, expected floats. Pass the outputs of "
            f"the last layer."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{who} got labels of {labels.dtype}, expected integer classes. Take the "
            f"argmax of one-hot labels."
        )
    shape = logits.shape[:-1]
    for name, array in {"labels": labels, "mask": mask}.items():
        if array is not None and array.shape != shape:
            raise ValueError(
                f"{who} got logits {logits.shape} and {name} {array.shape}, expected "
                f"{name} {shape}. Shift and cut both alike."
            )
    if mask is not None and mask.dtype != bool:
        raise TypeError(
            f"{who} got a mask of {mask.dtype}, expected bool. Compare it with 0."
        )
    if not 0 <= smoothing < 1:
        raise ValueError(
            f"{who} got label_smoothing={smoothing}, expected a share in [0, 1). "
            f"Pass 0.1 for a tenth."
        )
