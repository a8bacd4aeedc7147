"""Handwritten digits: a jitted step over a data mesh, with deferred metrics.

Run `python examples/digits_jit.py`. The batch is sharded over all devices. Each device
counts its own rows in the step, and the counts meet when they are logged.
"""

import functools

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from sklearn.datasets import load_digits

import jaxmetrics as jm

EPOCHS, BATCH, HELD_OUT = 15, 128, 360


class Classifier(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(64, 128, rngs=rngs)
        self.head = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, images):
        return self.head(nnx.relu(self.hidden(images)))


def padded(images, labels, size):
    """A batch of `size` rows, of which the mask says which are real."""
    short = size - len(labels)
    return {
        "images": np.pad(images, ((0, short), (0, 0))),
        "labels": np.pad(labels, (0, short)),
        "mask": np.arange(size) < len(labels),
    }


def main():
    jax.config.update("jax_num_cpu_devices", 8)  # accelerators go before the CPU
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    rows, everywhere = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())

    digits = load_digits()
    images, labels = np.float32(digits.data / 16), np.int32(digits.target)
    order = np.random.default_rng(0).permutation(len(labels))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]

    graph, params = nnx.split(Classifier(nnx.Rngs(0)))
    optimizer = optax.adam(3e-3)
    state = jax.device_put((params, optimizer.init(params)), everywhere)

    def outputs(params, batch):
        logits = nnx.merge(graph, params)(batch["images"])
        return {"logits": logits, "labels": batch["labels"], "mask": batch["mask"]}

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train_step(state, metrics, batch):
        def loss_of(params):
            out = outputs(params, batch)
            loss = optax.softmax_cross_entropy_with_integer_labels
            losses = loss(out["logits"], out["labels"])
            return losses.mean(where=out["mask"]), out

        params, opt_state = state
        grads, out = jax.grad(loss_of, has_aux=True)(params)
        metrics = metrics.update(**out, grad_norm=optax.tree.norm(grads))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), metrics

    @jax.jit
    def validate(params, metrics, batch):
        return metrics.update(**outputs(params, batch))

    quality = {"loss": jm.CrossEntropy(), "accuracy": jm.Accuracy()}
    metrics = jm.Collection(**quality, grad_norm=jm.Mean("grad_norm")).deferred(mesh)
    validation = jm.Collection(**quality).deferred(mesh)
    whole = padded(images[held_out], labels[held_out], 384)
    with jm.TrainingLogger(project="digits", print_every=1) as logger:
        step = 0
        for epoch in range(EPOCHS):
            mixed = np.random.default_rng(epoch).permutation(train)
            for start in range(0, len(mixed), BATCH):
                chosen = mixed[start : start + BATCH]
                batch = padded(images[chosen], labels[chosen], BATCH)
                state, metrics = train_step(state, metrics, jax.device_put(batch, rows))
                step += 1
            logger.log_step(step, metrics)
            metrics = metrics.empty()
        measured = validate(state[0], validation, jax.device_put(whole, rows))
        logger.log_step(step, measured, split="val")
    run = jm.Run.load(logger.run_dir)
    print(f"final accuracy {run['val/accuracy'][1][-1]:.3f}, recorded in {run.path}")


if __name__ == "__main__":
    main()
