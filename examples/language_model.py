"""Train a language model: nnx, parameters sharded over a mesh, metrics deferred.

Run `python examples/language_model.py`; it needs jaxmetrics[flax,optax,orbax]. Run it
again with more `--steps`, or after it was killed, and it continues from its last
checkpoint. The text is the source code of Python's standard library, as bytes. Batches
are sharded over both axes of the mesh, parameters over `fsdp`.
"""

import argparse
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

BATCH, LENGTH, WIDTH = 16, 64, 64
LOG_EVERY, SAVE_EVERY = 5, 10


class LanguageModel(nnx.Module):
    """Bytes `[batch, length]` to logits: attention and feed-forward, one block."""

    def __init__(self, rngs):
        self.bytes = nnx.Embed(256, WIDTH, rngs=rngs)
        self.positions = nnx.Embed(LENGTH, WIDTH, rngs=rngs)
        self.qkv = nnx.Linear(WIDTH, 3 * WIDTH, rngs=rngs)
        self.widen = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.narrow = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)
        self.norm = nnx.RMSNorm(WIDTH, rngs=rngs)
        self.head = nnx.Linear(WIDTH, 256, rngs=rngs)

    def __call__(self, tokens):
        x = self.bytes(tokens) + self.positions(jnp.arange(LENGTH))
        heads = (*x.shape[:-1], WIDTH // 16, 16)
        q, k, v = (part.reshape(heads) for part in jnp.split(self.qkv(x), 3, axis=-1))
        x = x + jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape)
        x = x + self.narrow(nnx.gelu(self.widen(x)))
        return self.head(self.norm(x))


def load_text():
    files = sorted(Path(os.__file__).parent.glob("*.py"))[:40]
    text = b"".join(file.read_bytes() for file in files)
    return np.frombuffer(text, np.uint8).astype(np.int32)


def batch_of(text, step):
    """Return the batch of a step: a resumed run sees what an uninterrupted one sees."""
    starts = np.random.default_rng(step).integers(0, len(text) - LENGTH, BATCH)
    return np.stack([text[start : start + LENGTH + 1] for start in starts])


def main(steps):
    jax.config.update("jax_num_cpu_devices", 8)  # used if there is no accelerator
    devices = np.array(jax.devices())
    mesh = jax.sharding.Mesh(
        devices.reshape(min(2, len(devices)), -1), ("data", "fsdp")
    )
    rows, replicated = (
        NamedSharding(mesh, P(("data", "fsdp"))),
        NamedSharding(mesh, P()),
    )

    def sharding_of(x):
        divisible = x.ndim and x.shape[-1] % mesh.shape["fsdp"] == 0
        return NamedSharding(
            mesh, P(*[None] * (x.ndim - 1), "fsdp") if divisible else P()
        )

    optimizer = optax.adamw(optax.warmup_cosine_decay_schedule(0, 1e-2, 10, 200))
    graph = nnx.graphdef(nnx.eval_shape(lambda: LanguageModel(nnx.Rngs(0))))

    def start():
        params = nnx.to_pure_dict(nnx.state(LanguageModel(nnx.Rngs(0))))
        return {"params": params, "optimizer": optimizer.init(params)}

    shardings = jax.tree.map(sharding_of, jax.eval_shape(start))

    @jax.jit(donate_argnums=(0, 1), out_shardings=(shardings, None, None))
    def train_step(state, metrics, tokens):
        def loss_of(params):
            params = jax.lax.with_sharding_constraint(params, replicated)  # gathered
            logits = nnx.merge(graph, params)(tokens[:, :-1])
            ce, entropy, loss = jm.losses.cross_entropy_with_entropy_loss(
                logits, tokens[:, 1:]
            )
            return loss, {"logits": logits, "labels": tokens[:, 1:], "entropy": entropy}

        grads, outputs = jax.grad(loss_of, has_aux=True)(state["params"])
        metrics = metrics.update(**outputs, grad_norm=optax.tree.norm(grads))
        updates, opt = optimizer.update(grads, state["optimizer"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "optimizer": opt}, metrics, outputs["entropy"]

    metrics = jm.Collection(
        loss=jm.CrossEntropy(),
        bits=jm.BitsPerToken(),
        accuracy=jm.TokenAccuracy(),
        entropy=jm.Mean("entropy"),
        grad_norm=jm.Mean("grad_norm"),
    ).deferred(mesh, axis=("data", "fsdp"))
    text = load_text()
    logger = jm.TrainingLogger("language_model", "bytes", hparams={"batch": BATCH})
    options = ocp.CheckpointManagerOptions(
        save_interval_steps=SAVE_EVERY, max_to_keep=2
    )
    folder = logger.run_dir.absolute() / "checkpoints"
    with logger, ocp.CheckpointManager(folder, options=options) as manager:
        tracker = jm.PerformanceTracker(sequence_length=LENGTH, ledger=logger.ledger)
        logger.attach(performance=tracker)
        metrics = jm.checkpoint.restore(manager, None, logger, metrics=metrics)[
            "metrics"
        ]
        last = manager.latest_step() or 0
        state = jax.jit(start, out_shardings=shardings)()
        if last:
            model = ocp.args.StandardRestore(state)
            state = manager.restore(last, args=ocp.args.Composite(state=model))["state"]
        for step in range(last + 1, steps + 1):
            with tracker.data_wait():
                tokens = jax.device_put(batch_of(text, step), rows)
            state, metrics, entropy = train_step(state, metrics, tokens)
            tracker.update(BATCH, output=entropy)  # the others are donated
            if step % LOG_EVERY == 0:
                logger.log_step(step, metrics)
                metrics = metrics.empty()
            if manager.should_save(step):
                saved = jm.checkpoint.args(logger, metrics=metrics)
                model = ocp.args.StandardSave(state)
                manager.save(
                    step, args=ocp.args.Composite(jaxmetrics=saved, state=model)
                )
    run = jm.Run.load(logger.run_dir)
    print(f"{run['train/bits'][1][-1]:.3f} bits per byte, recorded in {run.path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    main(parser.parse_args().steps)
