"""A small transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flax import nnx


def language_model(
    *, vocabulary: int, width: int, layers: int, length: int, seed: int
) -> nnx.Module:
    """A causal transformer: tokens `[batch, length]` to logits over the vocabulary.

    Args:
      vocabulary: How many tokens there are.
      width: Of the residual stream; a multiple of 32, the width of a head.
      layers: How many blocks of attention and feed-forward.
      length: The longest sequence.
      seed: Of the parameters.
    """
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class Block(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.before_attention = nnx.RMSNorm(width, rngs=rngs)
            self.attend = nnx.Linear(width, 3 * width, use_bias=False, rngs=rngs)
            self.attended = nnx.Linear(width, width, use_bias=False, rngs=rngs)
            self.before_feed = nnx.RMSNorm(width, rngs=rngs)
            self.feed = nnx.Linear(width, 4 * width, rngs=rngs)
            self.fed = nnx.Linear(4 * width, width, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            heads = (*x.shape[:-1], width // 32, 32)
            mixed = jnp.split(self.attend(self.before_attention(x)), 3, axis=-1)
            query, key, value = (part.reshape(heads) for part in mixed)
            seen = jax.nn.dot_product_attention(query, key, value, is_causal=True)
            x = x + self.attended(seen.reshape(x.shape))
            return x + self.fed(jax.nn.gelu(self.feed(self.before_feed(x))))

    class Transformer(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.tokens = nnx.Embed(vocabulary, width, rngs=rngs)
            self.places = nnx.Embed(length, width, rngs=rngs)
            self.blocks = nnx.List([Block(rngs) for _ in range(layers)])
            self.norm = nnx.RMSNorm(width, rngs=rngs)
            self.head = nnx.Linear(width, vocabulary, use_bias=False, rngs=rngs)

        def __call__(self, tokens: jax.Array) -> jax.Array:
            x = self.tokens(tokens) + self.places(jnp.arange(tokens.shape[-1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return Transformer(nnx.Rngs(seed))
