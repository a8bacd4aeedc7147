"""Classify handwritten digits: a jitted step over a data mesh, with deferred metrics.

Run `python examples/digits_jit.py`; it needs flax, optax and scikit-learn. Each device
counts its own rows of the batch; logging reduces the counts over devices.
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
    """Return a batch padded to `size` rows; the mask is False for padding."""
    padding = size - len(labels)
    return {
        "images": np.pad(images, ((0, padding), (0, 0))),
        "labels": np.pad(labels, (0, padding)),
        "mask": np.arange(size) < len(labels),
    }


def main():
    jax.config.update("jax_num_cpu_devices", 8)  # used if there is no accelerator
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    by_row, replicated = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())

    digits = load_digits()
    images, labels = np.float32(digits.data / 16), np.int32(digits.target)
    order = np.random.default_rng(0).permutation(len(labels))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]

    graph, params = nnx.split(Classifier(nnx.Rngs(0)))
    optimizer = optax.adam(3e-3)
    state = jax.device_put((params, optimizer.init(params)), replicated)

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
    with jm.TrainingLogger(project="digits", print_every=1) as logger:
        step = 0
        for epoch in range(EPOCHS):
            shuffled = np.random.default_rng(epoch).permutation(train)
            for start in range(0, len(shuffled), BATCH):
                indices = shuffled[start : start + BATCH]
                batch = padded(images[indices], labels[indices], BATCH)
                batch = jax.device_put(batch, by_row)
                state, metrics = train_step(state, metrics, batch)
                step += 1
            logger.log_step(step, metrics)
            metrics = metrics.empty()
        batch = padded(images[held_out], labels[held_out], 384)
        val_metrics = validate(state[0], validation, jax.device_put(batch, by_row))
        logger.log_step(step, val_metrics, split="val")
    run = jm.Run.load(logger.run_dir)
    print(f"final accuracy {run['val/accuracy'][1][-1]:.3f}, recorded in {run.path}")


if __name__ == "__main__":
    main()
