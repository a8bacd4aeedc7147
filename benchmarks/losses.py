"""The fused loss beside optax's cross entropy with an entropy: forward and backward."""

from __future__ import annotations

import functools
from typing import Any

SIZES = {
    "loss, 1,024 tokens x 32,000": (1024, 32_000),
    "loss, 256 tokens x 128,000": (256, 128_000),
}


def measure(bench: Any) -> None:
    """Time both losses; the figures are the compiler's temporaries."""
    for case, (tokens, classes) in SIZES.items():
        if not bench.wants(case):
            continue
        arguments = made(tokens, classes)
        runs, figures = {}, {}
        for name, loss in LOSSES.items():
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


def compiled(loss: Any, logits: Any, labels: Any) -> Any:
    """Return the compiled gradient of a loss."""
    import jax

    gradient = jax.value_and_grad(loss, has_aux=True)
    return jax.jit(gradient).lower(logits, labels).compile()


def made(tokens: int, classes: int) -> tuple[Any, Any]:
    """Return logits in bfloat16, and labels."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(0))
    logits = jax.random.normal(keys[0], (tokens, classes), jnp.bfloat16)
    return logits, jax.random.randint(keys[1], (tokens,), 0, classes)


def waited(program: Any, arguments: tuple[Any, Any]) -> object:
    """Run a program and wait."""
    import jax

    return jax.block_until_ready(program(*arguments))
