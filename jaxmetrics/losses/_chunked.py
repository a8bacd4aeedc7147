"""Cross entropy from hidden states, whose logits exist one chunk at a time.

The unembedding `[features, vocabulary]` is seen as `[features, shards, width]`, a tied
one `[vocabulary, features]` as `[shards, width, features]`, and a
chunk is the same part of each shard's columns: with 2 shards of a vocabulary of 8 and
chunks of 4, the first chunk has the columns 0, 1 of shard 0 and 4, 5 of shard 1. So a
device that holds one shard slices its own columns only. Everything that is carried from
chunk to chunk has an axis of shards too, and is reduced over it once, after the loop:
no chunk needs a collective over the devices that share the vocabulary.

If the chunks do not divide the width, the last one begins earlier and its logits that
were seen before are set to -inf. Their probability is 0, and so is their gradient.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    as_class_numbers,
    in_range,
    vary,
    varying,
    without_explicit_axes,
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


class TokenLosses(NamedTuple):
    """Loss to minimize, and its terms for each token.

    Attributes:
      total: Loss to minimize, a scalar.
      losses: Negative log-likelihood of each label, in nats, without smoothing; 0 where
        masked.
      log_normalizers: Logarithm of each softmax normalizer, `logsumexp(logits)`; 0
        where masked.
      preds: Id of each largest logit, int32; -1 where masked.
    """

    total: Array
    losses: Array
    log_normalizers: Array
    preds: Array


def chunked_cross_entropy(
    hidden: Array,
    unembedding: Array,
    labels: Array,
    *,
    bias: Array | None = None,
    chunk: int = 4096,
    shards: int = 1,
    tied: bool = False,
    pad_id: int | None = None,
    mask: Array | None = None,
    label_smoothing: float = 0.0,
    z_loss: float | Array = 0.0,
    softcap: float | None = None,
) -> TokenLosses:
    """Return the cross entropy of `hidden @ unembedding` without storing the logits.

    `total = mean(cross_entropy + z_loss * log(Z) ** 2)` over the tokens that are not
    masked, where `Z` is the softmax normalizer. Logits are computed for `chunk`
    entries of the vocabulary at a time, in float32, and again in the backward pass:
    memory is needed for `tokens * chunk` logits, not for `tokens * vocabulary`, at the
    cost of a fourth matrix product beside the three of the usual loss. Only
    reverse-mode differentiation is supported.

    The terms of the tokens are outputs for metrics that need no logits:
    `CrossEntropy(scores="losses")`, `Perplexity(scores="losses")` and others read
    `losses`, and `TokenAccuracy(scores="preds")` reads `preds`. Ties of logits go to
    the lower id.

    `total` is nan if all tokens are masked, and where a token that is not masked has a
    label out of range or a logit that is NaN or inf, or where all logits are -inf; its
    terms are nan as well, and its prediction is -1. Masked hidden states may hold
    anything, NaN included.

    Args:
      hidden: `[..., features]`, any float dtype: outputs of the last layer before the
        logits.
      unembedding: `[features, vocabulary]`, any float dtype, as the kernel of a dense
        layer. Products are of the wider of both dtypes and are summed in float32.
      labels: `[...]`, ids of any integer type.
      bias: `[vocabulary]`, any float dtype, as that of a dense layer; added to the
        logits in float32. -inf masks an id out, such as padding of the vocabulary: it
        gets no share of the smoothing, and as a label costs inf. Default none.
      chunk: Number of ids whose logits exist at once. Default 4096.
      shards: Number of devices that share the vocabulary, for an unembedding that is
        sharded over it under jit: `mesh.shape["model"]`, or the product of several
        axes. With fewer XLA gathers the unembedding; values are the same. It is not
        inferred, as a traced function does not see the layout that XLA chooses for
        axes of a mesh that are automatic. Default 1.
      tied: The unembedding is a table of embeddings, `[vocabulary, features]`.
      pad_id: Label of padding, which is masked. Default none.
      mask: `[...]`, bool; tokens where it is False are masked.
      label_smoothing: Share of the target that is spread evenly over the vocabulary,
        masked ids apart (Szegedy et al., 2016), in [0, 1).
      z_loss: Weight of the squared log normalizer, which may be traced; PaLM uses 1e-4.
        Default 0.
      softcap: Replace logits by `softcap * tanh(logits / softcap)`, as Gemma 2 does.
        Default none.

    Raises:
      TypeError: Hidden states, unembedding or bias are not floats, the labels not
        integers, or the mask not bool; or a number other than `z_loss` is traced.
      ValueError: Shapes do not match, the shards do not divide the vocabulary, or a
        number is out of its range.

    Example:
      >>> import jax.numpy as jnp, jaxmetrics as jm
      >>> hidden, unembedding = jnp.ones((2, 3)), jnp.zeros((3, 8))
      >>> labels = jnp.array([5, 0])
      >>> terms = chunked_cross_entropy(hidden, unembedding, labels, pad_id=0, chunk=4)
      >>> round(float(terms.total), 4)
      2.0794
      >>> metric = jm.Perplexity(scores="losses", ignore_index=0)
      >>> value = jm.evaluate(metric, losses=terms.losses, labels=labels)
      >>> round(float(value), 4)
      8.0
    """
    call = "chunked_cross_entropy"
    hidden, unembedding = jnp.asarray(hidden), jnp.asarray(unembedding)
    labels, mask = one_for_each_token(labels), one_for_each_token(mask)
    heads = {"unembedding": unembedding}
    if bias is not None:
        heads["bias"] = bias = jnp.asarray(bias)
    require_floats(call, hidden=hidden, **heads)
    require_tokens(call, "hidden", hidden, labels, mask)
    static = dict(chunk=chunk, shards=shards, pad_id=pad_id, softcap=softcap)
    require_static(call, label_smoothing=label_smoothing, **static)
    require_smoothing(call, label_smoothing)
    _require_unembedding(call, hidden, unembedding, bias, shards, tied)
    if chunk < 1 or (softcap is not None and not softcap > 0):
        raise ValueError(
            f"{call} got chunk={chunk}, softcap={softcap}, expected positive numbers. "
            f"Pass chunk=4096, and softcap=None for logits as they are."
        )
    width = unembedding.shape[0 if tied else 1] // shards
    plan = _Plan(shards, min(-(-chunk // shards), width), tied, softcap)
    kept = kept_tokens(labels, pad_id, mask)
    if pad_id is not None or mask is not None:
        # A product with NaN is NaN, also that with the gradient of 0.
        hidden = jnp.where(kept[..., None], hidden, hidden.dtype.type(0))
    operands = hidden, unembedding, bias, as_class_numbers(labels)
    operands = vary(operands, varying(operands))
    terms: Any = _token_terms(*operands, plan)
    losses, uniform, log_z, preds = terms
    total = losses
    if label_smoothing:
        total = (1 - label_smoothing) * losses + label_smoothing * uniform
    if is_used(z_loss):
        total = total + z_loss * log_z * log_z
    return TokenLosses(
        mean_over_tokens(total, kept),
        jnp.where(kept, losses, 0),
        jnp.where(kept, log_z, 0),
        jnp.where(kept, preds, -1),
    )


class _Plan(NamedTuple):
    """Layout of the chunks of the vocabulary; static under jit.

    Attributes:
      shards: Number of shards of the vocabulary.
      size: Number of columns of a chunk in each shard.
      tied: The columns are rows of a table of embeddings.
      softcap: Cap of the logits, or None.
    """

    shards: int
    size: int
    tied: bool
    softcap: float | None

    @property
    def column(self) -> int:
        """Axis of the columns in what `cut` returns; before it is that of the shards.

        The axis of the features is the first or the last one.
        """
        return 1 if self.tied else 2

    def cut(self, unembedding: Array) -> Array:
        """Return the unembedding with an axis of shards and one of their columns."""
        rows, columns = unembedding.shape
        if self.tied:
            return unembedding.reshape(self.shards, -1, columns)
        return unembedding.reshape(rows, self.shards, -1)

    def width(self, cut: Array) -> int:
        """Return the number of columns of a shard."""
        return cut.shape[self.column]

    def cut_bias(self, bias: Array | None) -> Array | None:
        """Return the bias in float32, `[shards, width]`."""
        if bias is None:
            return None
        return bias.astype(jnp.float32).reshape(self.shards, -1)

    def chunks(self, cut: Array) -> Array:
        """Return the numbers of the chunks."""
        return jnp.arange(-(-self.width(cut) // self.size), dtype=jnp.int32)


class _Chunk(NamedTuple):
    """The logits of one chunk.

    Attributes:
      columns: Part of the unembedding, as `_Plan.cut` returns it.
      start: First column in each shard.
      ids: Ids of the columns, int32 `[shards, size]`.
      fresh: Columns that no chunk before this one had, bool `[size]`.
      unmasked: Fresh columns that no bias of -inf masks out, bool `[size]` or `[shards,
        size]`.
      logits: float32 `[..., shards, size]`; -inf where not fresh, or masked out.
    """

    columns: Array
    start: Array
    ids: Array
    fresh: Array
    unmasked: Array
    logits: Array

    @classmethod
    def of(
        cls,
        hidden: Array,
        cut: Array,
        cut_bias: Array | None,
        number: Array,
        plan: _Plan,
    ) -> _Chunk:
        """Compute the logits of the chunk of this number."""
        width = plan.width(cut)
        begin = number * plan.size
        start = jnp.minimum(begin, width - plan.size)
        columns = lax.dynamic_slice_in_dim(cut, start, plan.size, axis=plan.column)
        columns = columns.astype(hidden.dtype)
        features = 2 if plan.tied else 0
        logits = _product(hidden, columns, ((hidden.ndim - 1,), (features,)))
        column = start + jnp.arange(plan.size, dtype=jnp.int32)
        unmasked = fresh = column >= begin
        if cut_bias is not None:
            bias = lax.dynamic_slice_in_dim(cut_bias, start, plan.size, axis=1)
            logits, unmasked = logits + bias, fresh & (bias != -jnp.inf)
        if plan.softcap is not None:
            logits = plan.softcap * jnp.tanh(logits / plan.softcap)
        if cut_bias is not None or width % plan.size:
            logits = jnp.where(unmasked, logits, -jnp.inf)
        shard = jnp.arange(plan.shards, dtype=jnp.int32)[:, None]
        ids = shard * width + column
        return cls(columns, start, ids, fresh, unmasked, logits)

    def is_label(self, labels: Array) -> Array:
        """Return which logit is that of the label, bool `[..., shards, size]`."""
        return self.fresh & (self.ids == labels[..., None, None])


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _token_terms(
    hidden: Array, unembedding: Array, bias: Array | None, labels: Array, plan: _Plan
) -> Any:
    """Return the terms of each token, `[...]`.

    Returns:
      Negative log-likelihood, mean of the negative logarithms of all probabilities, log
      normalizer, and the id of the largest logit.
    """
    return _forward(hidden, unembedding, bias, labels, plan)[0]


def _forward(
    hidden: Array, unembedding: Array, bias: Array | None, labels: Array, plan: _Plan
) -> tuple[Any, Any]:
    by_token = (labels,) * 6
    operands = hidden, unembedding, bias, labels
    *terms, top, log_z = without_explicit_axes(
        functools.partial(_forward_terms, plan), operands, by_token
    )
    return tuple(terms), (*operands, top, log_z)


def _forward_terms(plan: _Plan, operands: Any) -> Any:
    hidden, unembedding, bias, labels = operands
    cut, cut_bias = plan.cut(unembedding), plan.cut_bias(bias)
    vocabulary = plan.shards * plan.width(cut)
    hidden = _widened(hidden, unembedding)
    inside = in_range(labels, vocabulary)
    index = jnp.where(inside, labels, 0)

    def add(terms: Any, number: Array) -> tuple[Any, None]:
        top, rest, label, summed, best = terms
        chunk = _Chunk.of(hidden, cut, cut_bias, number, plan)
        x, is_label = chunk.logits, chunk.is_label(index)
        largest = x.max(axis=-1)
        new_top = jnp.maximum(top, largest)
        # All ids so far may be masked out.
        shift = jnp.where(new_top == -jnp.inf, 0, new_top)
        exponentials = jnp.exp(x - shift[..., None])
        others = jnp.where(is_label, 0, exponentials).sum(axis=-1)
        rest = rest * jnp.exp(top - shift) + others
        label = label + jnp.where(is_label, x, 0).sum(axis=-1)
        summed = summed + jnp.where(chunk.unmasked, x, 0).sum(axis=-1)
        is_best = x == largest[..., None]
        first = jnp.where(is_best, chunk.ids, vocabulary).min(axis=-1)
        best = jnp.where(largest > top, first, best)
        return (new_top, rest, label, summed, best), None

    shape = (*labels.shape, plan.shards)
    zeros = jnp.zeros(shape, jnp.float32)
    start = zeros - jnp.inf, zeros, zeros, zeros, jnp.full(shape, vocabulary, jnp.int32)
    start = vary(start, varying(operands))
    terms, _ = lax.scan(add, start, plan.chunks(cut))
    shard_top, rest, label, summed, best = terms
    top = shard_top.max(axis=-1)
    below = shard_top - top[..., None]
    best = jnp.where(below == 0, best, vocabulary).min(axis=-1)
    rest = (rest * jnp.exp(below)).sum(axis=-1)
    label = label.sum(axis=-1) - top
    # As in core's softmax: a small loss keeps the digits of the other classes' sum.
    log_z = jnp.log1p(rest + jnp.expm1(label))
    losses = jnp.where(inside, log_z - label, jnp.nan)
    uniform = log_z - (summed.sum(axis=-1) / _unmasked(bias, vocabulary) - top)
    uniform = jnp.where(inside, uniform, jnp.nan)
    preds = jnp.where(jnp.isnan(losses), -1, best)
    return losses, uniform, log_z + top, preds, top, log_z


def _backward(plan: _Plan, residuals: Any, cotangents: Any) -> tuple[Any, ...]:
    *inputs, labels, _, _ = residuals
    gradients = without_explicit_axes(
        functools.partial(_gradients, plan),
        (*residuals, *cotangents[:3]),
        tuple(inputs),
    )
    return *gradients, np.zeros(labels.shape, jax.dtypes.float0)


def _gradients(plan: _Plan, operands: Any) -> tuple[Array, Array, Array | None]:
    """Return the cotangents of the hidden states, of the unembedding, and of the bias.

    With p the softmax, the derivatives by a logit are `p - target` of the loss,
    `p - 1 / vocabulary` of the mean over all ids, and `p` of the log normalizer.
    """
    hidden, unembedding, bias, labels, top, log_z, *cotangents = operands
    ct_loss, ct_uniform, ct_log_z = cotangents
    dtypes = hidden.dtype, unembedding.dtype
    cut, cut_bias = plan.cut(unembedding), plan.cut_bias(bias)
    vocabulary = plan.shards * plan.width(cut)
    hidden = _widened(hidden, unembedding)
    invalid = ~in_range(labels, vocabulary) & ((ct_loss != 0) | (ct_uniform != 0))
    ct_loss = jnp.where(invalid, jnp.nan, ct_loss)
    tokens = tuple(range(labels.ndim))
    token = (..., None, None)
    even = (ct_uniform / _unmasked(bias, vocabulary))[token]

    def add(sums: Any, number: Array) -> tuple[Any, None]:
        by_hidden, by_cut, by_bias = sums
        chunk = _Chunk.of(hidden, cut, cut_bias, number, plan)
        x, is_label = chunk.logits, chunk.is_label(labels)
        p = jnp.exp((x - top[token]) - log_z[token])
        gradient = p * (ct_loss + ct_uniform + ct_log_z)[token]
        gradient = gradient - jnp.where(is_label, ct_loss[token], 0)
        gradient = gradient - jnp.where(chunk.unmasked, even, 0)
        if plan.softcap is not None:
            slope = 1 - (x / plan.softcap) ** 2
            gradient = jnp.where(chunk.unmasked, gradient * slope, 0)
        if by_bias is not None:
            by_bias = _added(by_bias, gradient.sum(tokens), chunk.start, axis=1)
        gradient = gradient.astype(hidden.dtype)
        shard, column = plan.column - 1, plan.column
        by_hidden = by_hidden + _product(
            gradient,
            chunk.columns,
            ((labels.ndim + 1,), (column,)),
            ((labels.ndim,), (shard,)),
        )
        factors = (gradient, hidden) if plan.tied else (hidden, gradient)
        of_chunk = _product(*factors, (tokens, tokens)).astype(by_cut.dtype)
        by_cut = _added(by_cut, of_chunk, chunk.start, column)
        return (by_hidden, by_cut, by_bias), None

    start = (
        jnp.zeros((plan.shards, *hidden.shape), jnp.float32),
        jnp.zeros(cut.shape, dtypes[1]),
        None if cut_bias is None else jnp.zeros_like(cut_bias),
    )
    start = vary(start, varying(operands))
    sums, _ = lax.scan(add, start, plan.chunks(cut))
    by_hidden, by_cut, by_bias = sums
    by_hidden = by_hidden.sum(axis=0).astype(dtypes[0])
    by_unembedding = by_cut.reshape(unembedding.shape)
    if bias is not None:
        by_bias = by_bias.reshape(bias.shape).astype(bias.dtype)
    return by_hidden, by_unembedding, by_bias


def _added(sums: Array, of_chunk: Array, start: Array, axis: int) -> Array:
    """Add what a chunk gives to its columns; those not fresh have theirs already."""
    size = of_chunk.shape[axis]
    before = lax.dynamic_slice_in_dim(sums, start, size, axis)
    return lax.dynamic_update_slice_in_dim(sums, before + of_chunk, start, axis)


_token_terms.defvjp(_forward, _backward)


def _unmasked(bias: Array | None, vocabulary: int) -> Array | int:
    """Return the number of ids that no bias of -inf masks out."""
    if bias is None:
        return vocabulary
    return (bias != -jnp.inf).sum(dtype=jnp.int32).astype(jnp.float32)


def _widened(hidden: Array, unembedding: Array) -> Array:
    """Return the hidden states in the wider of both dtypes."""
    return hidden.astype(jnp.promote_types(hidden.dtype, unembedding.dtype))


def _product(a: Array, b: Array, contracted: Any, batched: Any = ((), ())) -> Array:
    """Return a product of arrays over some axes, summed in float32."""
    numbers = contracted, batched
    return lax.dot_general(a, b, numbers, preferred_element_type=jnp.float32)


def _require_unembedding(
    call: str,
    hidden: Array,
    unembedding: Array,
    bias: Array | None,
    shards: int,
    tied: bool,
) -> None:
    features = hidden.shape[-1]
    shape = unembedding.shape[::-1] if tied else unembedding.shape
    if len(shape) != 2 or shape[0] != features:
        expected = f"(vocabulary, {features})" if tied else f"({features}, vocabulary)"
        raise ValueError(
            f"{call} got hidden {hidden.shape}, unembedding {unembedding.shape} and "
            f"tied={tied}, expected unembedding {expected}. Pass tied=True for a table "
            f"of embeddings, False for the kernel of a dense layer."
        )
    if bias is not None and bias.shape != shape[1:]:
        raise ValueError(
            f"{call} got a bias {bias.shape} and a vocabulary of {shape[1]}, expected "
            f"({shape[1]},). Pass one number for each id."
        )
    if shards < 1 or shape[1] % shards:
        raise ValueError(
            f"{call} got shards={shards} and a vocabulary of {shape[1]}, expected "
            f"shards that divide it. Pass the size of the mesh axis over which the "
            f"vocabulary is sharded, and pad the vocabulary to a multiple."
        )
