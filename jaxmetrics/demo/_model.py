"""Small transformer of the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flax import nnx


def language_model(
    *, vocabulary: int, width: int, layers: int, length: int, seed: int
) -> nnx.Module:
    """Return a causal transformer from tokens `[batch, length]` to logits.

    Args:
      vocabulary: Number of tokens.
      width: Width of the residual stream; a multiple of 32, the width of a head.
      layers: Number of blocks of attention and feed-forward.
      length: Maximum length of a sequence.
      seed: Seed of the parameters.
    """
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class Block(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.attention_norm = nnx.RMSNorm(width, rngs=rngs)
            self.qkv = nnx.Linear(width, 3 * width, use_bias=False, rngs=rngs)
            self.attention_out = nnx.Linear(width, width, use_bias=False, rngs=rngs)
            self.feed_forward_norm = nnx.RMSNorm(width, rngs=rngs)
            self.feed_forward_in = nnx.Linear(width, 4 * width, rngs=rngs)
            self.feed_forward_out = nnx.Linear(4 * width, width, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            heads = (*x.shape[:-1], width // 32, 32)
            projected = jnp.split(self.qkv(self.attention_norm(x)), 3, axis=-1)
            query, key, value = (part.reshape(heads) for part in projected)
            mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True)
            x = x + self.attention_out(mixed.reshape(x.shape))
            hidden = jax.nn.gelu(self.feed_forward_in(self.feed_forward_norm(x)))
            return x + self.feed_forward_out(hidden)

    class Transformer(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.tokens = nnx.Embed(vocabulary, width, rngs=rngs)
            self.positions = nnx.Embed(length, width, rngs=rngs)
            self.blocks = nnx.List([Block(rngs) for _ in range(layers)])
            self.norm = nnx.RMSNorm(width, rngs=rngs)
            self.head = nnx.Linear(width, vocabulary, use_bias=False, rngs=rngs)

        def __call__(self, tokens: jax.Array) -> jax.Array:
            x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[-1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return Transformer(nnx.Rngs(seed))
