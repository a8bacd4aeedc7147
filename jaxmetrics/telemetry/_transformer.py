"""The floating-point operations of a transformer, from its configuration."""

from __future__ import annotations

from collections.abc import Sequence

from jaxmetrics.telemetry._flops import FlopCount

__all__ = ["transformer_flops"]


def transformer_flops(
    *,
    layers: int,
    d_model: int,
    heads: int,
    d_ff: int,
    vocab: int,
    sequence_length: int,
    causal: bool = True,
    kv_heads: int | None = None,
    gated: bool = True,
    head_dim: int | None = None,
    window: int | Sequence[int | None] | None = None,
    segment_lengths: Sequence[int] | None = None,
    experts: int | None = None,
    experts_per_token: int | None = None,
    shared_experts: int = 0,
    backward: bool = True,
    remat: bool = False,
) -> FlopCount:
    """What a decoder or encoder computes per token of a full sequence.

    Forward, with all matrices as multiplications of 2 operations a weight:
    `layers * (2 * (attention + feed-forward weights) + 4 * heads * head_dim * keys)
    + 2 * d_model * vocab`, where `keys` is how many positions a token attends to on
    average: `n` in full attention over `n` positions, `(n + 1) / 2` in causal one, so
    half of it but for the diagonal. The backward pass is twice the forward pass. The
    embedding, a gather, costs nothing; norms, softmax and activations do not count.

    Args:
      layers: Blocks of attention and feed-forward.
      d_model: Width of the residual stream.
      heads: Query heads.
      d_ff: Width of the feed-forward layer, of one expert where there are experts.
      vocab: Rows of the unembedding; 0 for a model without one.
      sequence_length: Positions in a row.
      causal: Whether a token attends only to itself and those before it.
      kv_heads: Key and value heads; None is one for each query head.
      gated: Whether the feed-forward layer has three matrices (SwiGLU) or two.
      head_dim: Width of a head; None is `d_model / heads`.
      window: Most positions that a token attends to in causal attention, itself
        included; a sequence gives each layer its own, None for all positions.
      segment_lengths: Lengths of the segments in packed rows, or a sample of them:
        tokens attend within their segment. None is one segment a row.
      experts: Experts a layer, for a mixture; their router counts.
      experts_per_token: How many of them each token goes to.
      shared_experts: Experts that every token goes to besides.
      backward: Whether to count the backward pass.
      remat: Whether `hardware` has the layers' forward pass once more. Where the
        compiler recomputes only a part, `count_flops` is nearer.

    Returns:
      `palm` has full attention over `sequence_length`, whatever is computed, as
      `6N + 12LHQT` of the PaLM paper has.

    Raises:
      ValueError: The configuration contradicts itself.

    Example:
      >>> llama = dict(layers=32, d_model=4096, heads=32, d_ff=11008, vocab=32000)
      >>> flops = transformer_flops(**llama, sequence_length=4096)
      >>> round(flops.model / 1e9, 1), round(flops.palm / 1e9, 1)
      (42.9, 46.1)
    """
    kv_heads = heads if kv_heads is None else kv_heads
    if head_dim is None:
        head_dim = _whole("d_model", d_model, "heads", heads)
    _whole("heads", heads, "kv_heads", kv_heads)
    _check_experts(experts, experts_per_token, shared_experts)
    windows = _windows(window, layers, causal)

    attention = 2 * d_model * head_dim * (heads + kv_heads)
    expert = (3 if gated else 2) * d_model * d_ff
    feed_forward = expert * ((experts_per_token or 1) + shared_experts)
    router = d_model * (experts or 0)
    dense = 2 * layers * (attention + feed_forward + router)
    head = 2 * d_model * vocab

    lengths = [sequence_length] if segment_lengths is None else list(segment_lengths)
    if not lengths or min(lengths) < 1 or max(lengths) > sequence_length:
        raise ValueError(
            f"transformer_flops() got segments of {lengths[:5]} positions; expected "
            f"some of 1 to {sequence_length}. Give lengths within a row, without "
            f"padding."
        )
    pairs = sum(_pairs(n, causal, most) for n in lengths for most in windows)
    per_key = 4 * heads * head_dim
    attended = per_key * pairs / sum(lengths)
    full = per_key * sequence_length * layers

    times = 3 if backward else 1
    model = times * (dense + head + attended)
    again = dense + attended if remat and backward else 0
    palm = times * (dense + head + full)
    return FlopCount(float(model), float(model + again), (), float(palm), "analytic")


def _pairs(length: int, causal: bool, window: int | None) -> int:
    """Pairs of a query and a key that it sees, in one segment."""
    if not causal:
        return length * length
    most = length if window is None else min(window, length)
    return most * (most + 1) // 2 + (length - most) * most


def _windows(
    window: int | Sequence[int | None] | None, layers: int, causal: bool
) -> list[int | None]:
    windows: list[int | None]
    if window is None or isinstance(window, int):
        windows = [window] * layers
    else:
        windows = list(window)
    if len(windows) != layers or any(w is not None and w < 1 for w in windows):
        raise ValueError(
            f"transformer_flops() got window={window!r} for {layers} layers; expected "
            f"a positive integer, or one or None for each layer. Repeat the pattern."
        )
    if not causal and any(w is not None for w in windows):
        raise ValueError(
            f"transformer_flops() got window={window!r} with causal=False; windows "
            f"look back only. Leave one of them out."
        )
    return windows


def _check_experts(experts: int | None, per_token: int | None, shared: int) -> None:
    if experts is None and per_token is None and not shared:
        return
    if experts is None or per_token is None or not 1 <= per_token <= experts:
        raise ValueError(
            f"transformer_flops() got experts={experts}, experts_per_token={per_token} "
            f"and shared_experts={shared}; a mixture has at least as many experts as "
            f"a token uses. Give both, or neither for a dense model."
        )


def _whole(name: str, value: int, by: str, parts: int) -> int:
    if parts < 1 or value % parts:
        raise ValueError(
            f"transformer_flops() got {name}={value} and {by}={parts}; expected a "
            f"multiple. Give "
            + ("head_dim=, where it is chosen freely." if by == "heads" else "both.")
        )
    return value // parts
