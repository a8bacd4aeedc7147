"""Floating-point operations of a transformer, from its configuration."""

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
    """Count the operations of a decoder or encoder per token of a full sequence.

    The forward pass, with 2 operations per weight and token, is
    `layers * (2 * (attention + feed-forward weights) + 4 * heads * head_dim * keys)
    + 2 * d_model * vocab`, where `keys` is the mean number of positions a token attends
    to: `n` in full attention over `n` positions, `(n + 1) / 2` in causal attention. The
    backward pass is twice the forward pass. The embedding, a gather, counts as 0;
    norms, softmax and activations are not counted.

    Args:
      layers: Number of blocks of attention and feed-forward.
      d_model: Width of the residual stream.
      heads: Number of query heads.
      d_ff: Width of the feed-forward layer, or of one expert.
      vocab: Number of rows of the unembedding; 0 for a model without one.
      sequence_length: Number of positions in a row.
      causal: True if a token attends only to itself and earlier positions.
      kv_heads: Number of key and value heads. Default: `heads`.
      gated: True for a feed-forward layer of three matrices (SwiGLU), False for two.
      head_dim: Width of a head. Default: `d_model / heads`.
      window: Maximum number of positions a token attends to in causal attention,
        itself included; a sequence has one entry per layer. None: all positions.
      segment_lengths: Lengths of the segments in packed rows, or of a sample of them;
        tokens attend within their segment. Default: one segment per row.
      experts: Number of experts per layer of a mixture; the router is counted.
      experts_per_token: Number of experts that process each token.
      shared_experts: Number of additional experts that process every token.
      backward: True to count the backward pass.
      remat: True to add the forward pass of the layers once more to `hardware`. If the
        compiler recomputes only a part, `count_flops` is more accurate.

    Returns:
      Counts per token. `palm` has full attention over `sequence_length` in any case,
      like `6N + 12LHQT` of the PaLM paper (Chowdhery et al. 2022).

    Raises:
      ValueError: The configuration is inconsistent.

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
            f"transformer_flops() got segment_lengths={lengths[:5]}; expected lengths "
            f"from 1 to {sequence_length}. Leave out padding, and split long segments."
        )
    pairs = sum(_pairs(n, causal, width) for n in lengths for width in windows)
    per_key = 4 * heads * head_dim
    attended = per_key * pairs / sum(lengths)
    full = per_key * sequence_length * layers

    times = 3 if backward else 1
    model = times * (dense + head + attended)
    recomputed = dense + attended if remat and backward else 0
    palm = times * (dense + head + full)
    return FlopCount(
        float(model), float(model + recomputed), (), float(palm), "analytic"
    )


def _pairs(length: int, causal: bool, window: int | None) -> int:
    """Count the pairs of a query and a key it attends to, in one segment."""
    if not causal:
        return length * length
    width = length if window is None else min(window, length)
    return width * (width + 1) // 2 + (length - width) * width


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
            f"a positive integer, or a positive integer or None per layer. Repeat the "
            f"pattern over the layers."
        )
    if not causal and any(w is not None for w in windows):
        raise ValueError(
            f"transformer_flops() got window={window!r} with causal=False; windows "
            f"need causal attention. Leave one of them out."
        )
    return windows


def _check_experts(experts: int | None, per_token: int | None, shared: int) -> None:
    if experts is None and per_token is None and not shared:
        return
    if experts is None or per_token is None or not 1 <= per_token <= experts:
        raise ValueError(
            f"transformer_flops() got experts={experts}, experts_per_token={per_token} "
            f"and shared_experts={shared}; expected at least as many experts as a "
            f"token uses. Pass both, or neither for a dense model."
        )


def _whole(name: str, value: int, by: str, parts: int) -> int:
    if parts < 1 or value % parts:
        raise ValueError(
            f"transformer_flops() got {name}={value} and {by}={parts}; expected "
            f"{name} to be a multiple of {by}. "
            + ("Pass head_dim=." if by == "heads" else f"Change {by}=.")
        )
    return value // parts
