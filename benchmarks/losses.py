"""The losses of logits and of hidden states beside optax: forward and backward."""

from __future__ import annotations

import functools
from typing import Any

SIZES = {
    "loss, 1,024 tokens x 32,000": (1024, 32_000),
    "loss, 256 tokens x 128,000": (256, 128_000),
}
HIDDEN_SIZES = {
    "loss of hidden states, 1,024 tokens x 32,768": (1024, 32_768),
    "loss of hidden states, 256 tokens x 131,072": (256, 131_072),
}
_FEATURES = 256


def measure(bench: Any) -> None:
    """Time the losses; the figures are the compiler's temporaries."""
    for case, size in SIZES.items():
        if bench.wants(case):
            compare(bench, case, LOSSES, made(*size))
    for case, size in HIDDEN_SIZES.items():
        if bench.wants(case):
            compare(bench, case, HIDDEN_LOSSES, made_hidden(*size))


def compare(bench: Any, case: str, losses: dict[str, Any], arguments: Any) -> None:
    """Time the gradients of some losses, by the first of their arguments."""
    runs, figures = {}, {}
    for name, loss in losses.items():
        program = compiled(loss, *arguments)
        runs[name] = functools.partial(waited, program, arguments)
        temporary = program.memory_analysis().temp_size_in_bytes
        figures[name] = {"MiB temporary": temporary / 2**20}
    bench.compare(case, runs, figures)


def fused(logits: Any, labels: Any) -> Any:
    from jaxmetrics.losses import cross_entropy_with_entropy_loss

    ce, entropy, total = cross_entropy_with_entropy_loss(logits, labels, pad_id=0)
    return total, (ce, entropy)


def separate(logits: Any, labels: Any) -> Any:
    import jax
    import jax.numpy as jnp
    import optax

    logits = logits.astype(jnp.float32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    log_p = jax.nn.log_softmax(logits)
    entropies = -(jnp.exp(log_p) * log_p).sum(-1)
    counts = labels != 0
    ce = jnp.where(counts, losses, 0).sum() / counts.sum()
    entropy = jnp.where(counts, entropies, 0).sum() / counts.sum()
    return ce - 0.001 * entropy, (ce, entropy)


LOSSES = {"fused": fused, "optax and an entropy": separate}


def plain(layers: Any, labels: Any) -> Any:
    """Return the loss of all logits, which optax computes in float32."""
    import jax.numpy as jnp
    import optax

    logits = jnp.matmul(*layers, preferred_element_type=jnp.float32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean(), losses


def chunked(layers: Any, labels: Any) -> Any:
    from jaxmetrics.losses import chunked_cross_entropy

    terms = chunked_cross_entropy(*layers, labels)
    return terms.total, terms.losses


HIDDEN_LOSSES = {"optax": plain, "in chunks of 4,096": chunked}


def compiled(loss: Any, inputs: Any, labels: Any) -> Any:
    """Return the compiled gradient of a loss."""
    import jax

    gradient = jax.value_and_grad(loss, has_aux=True)
    return jax.jit(gradient).lower(inputs, labels).compile()


def made(tokens: int, classes: int) -> tuple[Any, Any]:
    """Return logits in bfloat16, and labels."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(0))
    logits = jax.random.normal(keys[0], (tokens, classes), jnp.bfloat16)
    return logits, jax.random.randint(keys[1], (tokens,), 0, classes)


def made_hidden(tokens: int, classes: int) -> tuple[Any, Any]:
    """Return hidden states and an unembedding in float32, and labels."""
    import jax

    keys = jax.random.split(jax.random.key(0), 3)
    hidden = jax.random.normal(keys[0], (tokens, _FEATURES))
    unembedding = jax.random.normal(keys[1], (_FEATURES, classes)) / _FEATURES**0.5
    labels = jax.random.randint(keys[2], (tokens,), 0, classes)
    return (hidden, unembedding), labels


def waited(program: Any, arguments: tuple[Any, Any]) -> object:
    """Run a program and wait."""
    import jax

    return jax.block_until_ready(program(*arguments))
