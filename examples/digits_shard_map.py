"""Classify handwritten digits: a shard_map step, written for one device.

Run `python examples/digits_shard_map.py`; it needs optax and scikit-learn. The rule for
metrics in shard_map: reduce the update, merge the total. The contribution of a batch is
summed over the devices and then merged into the total, which is replicated.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from sklearn.datasets import load_digits

import jaxmetrics as jm

EPOCHS, BATCH, HELD_OUT = 15, 128, 256


def initial(seed):
    rng = np.random.default_rng(seed)
    hidden = jnp.float32(rng.normal(0, 64**-0.5, (64, 128)))
    head = jnp.float32(rng.normal(0, 128**-0.5, (128, 10)))
    return {"hidden": hidden, "bias": jnp.zeros(128), "head": head}


def logits_of(params, images):
    hidden = jax.nn.relu(images @ params["hidden"] + params["bias"])
    return hidden @ params["head"]


def main():
    jax.config.update("jax_num_cpu_devices", 8)  # used if there is no accelerator
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    by_row, replicated = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())

    digits = load_digits()
    images, labels = np.float32(digits.data / 16), np.int32(digits.target)
    order = np.random.default_rng(0).permutation(len(labels))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]

    optimizer = optax.adam(3e-3)
    params = initial(seed=0)
    state = jax.device_put((params, optimizer.init(params)), replicated)
    metrics = jm.Collection(loss=jm.CrossEntropy(), accuracy=jm.Accuracy()).place(mesh)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    @functools.partial(
        jax.shard_map, mesh=mesh, in_specs=(P(), P(), P("data")), out_specs=P()
    )
    def train_step(state, total, batch):
        def loss_of(params):
            logits = logits_of(params, batch["images"])
            loss = optax.softmax_cross_entropy_with_integer_labels
            losses = loss(logits, batch["labels"])
            return jax.lax.pmean(losses.mean(), "data"), logits

        params, opt_state = state
        grads, logits = jax.grad(loss_of, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        update = total.from_model_output(logits=logits, labels=batch["labels"])
        total = total.merge(update.reduce("data"))
        return (optax.apply_updates(params, updates), opt_state), total

    @jax.jit
    @functools.partial(
        jax.shard_map, mesh=mesh, in_specs=(P(), P(), P("data")), out_specs=P()
    )
    def validate(params, total, batch):
        logits = logits_of(params, batch["images"])
        update = total.from_model_output(logits=logits, labels=batch["labels"])
        return total.merge(update.reduce("data"))

    def batch_of(indices):
        batch = {"images": images[indices], "labels": labels[indices]}
        return jax.device_put(batch, by_row)

    with jm.TrainingLogger(project="digits", print_every=1) as logger:
        step = 0
        for epoch in range(EPOCHS):
            shuffled = np.random.default_rng(epoch).permutation(train)
            for start in range(0, len(shuffled) - BATCH + 1, BATCH):
                batch = batch_of(shuffled[start : start + BATCH])
                state, metrics = train_step(state, metrics, batch)
                step += 1
            logger.log_step(step, metrics)
            metrics = metrics.empty()
        val_metrics = validate(state[0], metrics, batch_of(held_out))
        logger.log_step(step, val_metrics, split="val")
    run = jm.Run.load(logger.run_dir)
    print(f"final accuracy {run['val/accuracy'][1][-1]:.3f}, recorded in {run.path}")


if __name__ == "__main__":
    main()
