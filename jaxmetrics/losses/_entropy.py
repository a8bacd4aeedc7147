"""Cross entropy with the entropy of the predictions."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    as_class_numbers,
    class_index,
    in_range,
    softmax_terms,
)
from jaxmetrics.losses._tokens import (
    is_used,
    kept_tokens,
    mean_over_tokens,
    one_for_each_token,
    require_floats,
    require_smoothing,
    require_static,
    require_tokens,
)


def cross_entropy_with_entropy_loss(
    logits: Array,
    labels: Array,
    *,
    pad_id: int | None = None,
    mask: Array | None = None,
    entropy_weight: float | Array = 0.001,
    label_smoothing: float = 0.0,
    z_loss: float | Array = 0.0,
) -> tuple[Array, Array, Array]:
    """Return cross entropy, entropy of the predictions, and the loss to minimize.

    `total = cross_entropy - entropy_weight * entropy + z_loss * mean(log(Z) ** 2)`,
    where `Z` is the softmax normalizer: a positive `entropy_weight` rewards uncertain
    predictions. Each is a mean over the tokens that are not masked, in nats and
    float32 for any dtype of the logits; nan if all tokens are masked, or if the label
    of a token that is not masked is out of range, or one of its logits NaN or inf.
    The values keep their digits at any common offset of the logits.

    A logit of -inf masks its class out: the class takes no part in the entropy and
    gets no share of the smoothing. The cross entropy of a label that is masked out is
    inf.

    The softmax is never stored: the backward pass recomputes it from the logits, so
    that memory is needed for the logits and their gradient only. Only reverse-mode
    differentiation is supported.

    Args:
      logits: `[..., classes]`, any float dtype.
      labels: `[...]`, integer classes of any integer type.
      pad_id: Label of padding, which is masked. Default none.
      mask: `[...]`, bool; tokens where it is False are masked.
      entropy_weight: Weight of the entropy, which may be traced. Default 0.001.
      label_smoothing: Share of the target that is spread evenly over all classes that
        are not masked out (Szegedy et al., 2016), in [0, 1); also applies to the
        returned cross entropy.
      z_loss: Weight of the squared log normalizer, which may be traced; PaLM uses 1e-4.
        Default 0.

    Returns:
      `(cross_entropy, entropy, total)`, each a scalar.

    Raises:
      TypeError: The logits are not floats, the labels not integers, the mask not
        bool, or the padding or the smoothing is traced.
      ValueError: Shapes do not match, or the smoothing is outside [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> ce, entropy, total = cross_entropy_with_entropy_loss(
      ...     jnp.zeros((2, 4)), jnp.array([1, 0]), pad_id=0, entropy_weight=0.5
      ... )
      >>> round(float(ce), 4), round(float(entropy), 4), round(float(total), 4)
      (1.3863, 1.3863, 0.6931)
    """
    call = "cross_entropy_with_entropy_loss"
    logits = jnp.asarray(logits)
    labels, mask = one_for_each_token(labels), one_for_each_token(mask)
    require_floats(call, logits=logits)
    require_tokens(call, "logits", logits, labels, mask)
    require_static(call, pad_id=pad_id, label_smoothing=label_smoothing)
    require_smoothing(call, label_smoothing)
    class_number = as_class_numbers(labels)
    by_token: Any = _token_losses(logits, class_number, float(label_smoothing))
    cross_entropy, entropy, log_z = by_token
    kept = kept_tokens(labels, pad_id, mask)
    mean = functools.partial(mean_over_tokens, kept=kept)
    cross_entropy, entropy = mean(cross_entropy), mean(entropy)
    total = cross_entropy - entropy_weight * entropy
    if is_used(z_loss):
        total = total + z_loss * mean(log_z * log_z)
    return cross_entropy, entropy, total


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _token_losses(
    logits: Array, labels: Array, smoothing: float
) -> tuple[Array, Array, Array]:
    """Return cross entropy, entropy and log normalizer of each token, and its gradient.

    The normalizer is that of the logits themselves. Where a token is invalid all are
    nan.
    """
    return _forward(logits, labels, smoothing)[0]


def _forward(logits: Array, labels: Array, smoothing: float) -> tuple[Any, Any]:
    terms = softmax_terms(logits, labels)
    nan = jnp.float32(jnp.nan)
    ce = jnp.where(terms.inside & terms.valid, terms.cross_entropy(smoothing), nan)
    entropy = jnp.where(terms.valid, terms.entropy, nan)
    log_z = jnp.where(terms.valid, terms.log_normalizer, nan)
    residuals = logits, labels, entropy, terms.top, terms.log_z
    return (ce, entropy, log_z), residuals


def _backward(smoothing: float, residuals: Any, cotangents: Any) -> tuple[Any, Any]:
    """Return the cotangent of the logits.

    With p the softmax and H its entropy, the derivatives by a logit are
    `p - target` of the cross entropy, `-p (log p + H)` of the entropy, and `p` of the
    log normalizer.
    """
    logits, labels, entropy, top, log_z = residuals
    ct_ce, ct_entropy, ct_log_z = cotangents
    # A masked token has no gradient, even where its logits are nan.
    masked = (ct_ce == 0) & (ct_entropy == 0) & (ct_log_z == 0)
    x = logits.astype(jnp.float32)
    log_p = (x - top[..., None]) - log_z[..., None]
    p = jnp.exp(log_p)
    ct_ce = jnp.where(in_range(labels, x.shape[-1]), ct_ce, jnp.float32(jnp.nan))
    zero = jnp.float32(0)
    log_p_plus_entropy = jnp.where(p > 0, log_p, zero) + entropy[..., None]
    entropy_term = ct_entropy[..., None] * log_p_plus_entropy
    gradient = p * ((ct_ce + ct_log_z)[..., None] - entropy_term)
    is_label = class_index(x) == labels[..., None]
    target = jnp.where(is_label, jnp.float32(1 - smoothing), zero)
    if smoothing:
        unmasked = x > -jnp.inf
        count = unmasked.sum(axis=-1, dtype=jnp.int32, keepdims=True)
        target = target + jnp.where(unmasked, smoothing / count.astype(x.dtype), zero)
    gradient = gradient - ct_ce[..., None] * target
    gradient = jnp.where(masked[..., None], zero, gradient)
    return gradient.astype(logits.dtype), np.zeros(labels.shape, jax.dtypes.float0)


_token_losses.defvjp(_forward, _backward)
