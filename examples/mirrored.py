"""Train with a mirror in a bucket: the disk may be lost between two attempts.

Run `python examples/mirrored.py --mirror gs://bucket/folder`, remove the folder `runs`,
and run it again with more `--steps`: it continues from its checkpoint, with the whole
record. It needs jaxmetrics[gcs,optax] and scikit-learn; the mirror may also be a folder
on another disk. The files of the run and the checkpoint are in the same place.
"""

import argparse
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath
from sklearn.datasets import load_wine

import jaxmetrics as jm

BATCH, LOG_EVERY, SAVE_EVERY = 32, 5, 10


def load_rows():
    data = load_wine()
    rows = (data.data - data.data.mean(0)) / data.data.std(0)
    return np.float32(rows), np.int32(data.target)


def save(path, logger, **trees):
    """Save a checkpoint as one object; it never names a record the mirror lacks."""
    state = logger.state()  # flushes, and starts the copy
    if not logger.wait_for_mirror(timeout=60):
        print("the mirror is behind: no checkpoint now")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({"logger": state, **jax.device_get(trees)}))


def main(steps, mirror):
    rows, labels = load_rows()
    optimizer = optax.adam(1e-2)
    params = jnp.zeros((rows.shape[1], 3))
    opt_state = optimizer.init(params)
    metrics = jm.Collection(loss=jm.CrossEntropy(), accuracy=jm.Accuracy())

    @jax.jit
    def train_step(params, opt_state, metrics, rows, labels):
        def loss_of(params):
            logits = rows @ params
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return loss.mean(), logits

        grads, logits = jax.grad(loss_of, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        metrics = metrics.update(logits=logits, labels=labels)
        return optax.apply_updates(params, updates), opt_state, metrics

    # On a new machine this brings the files of the run back.
    with jm.TrainingLogger("mirrored", "wine", mirror=mirror) as logger:
        checkpoint, last = epath.Path(mirror) / "mirrored-wine.pickle", 0
        if checkpoint.exists():
            saved = pickle.loads(checkpoint.read_bytes())  # our own file
            logger.load_state(saved["logger"])
            last, params, opt_state = saved["step"], saved["params"], saved["opt_state"]
            metrics = saved["metrics"]
            print(f"continues after step {last}")
        for step in range(last + 1, steps + 1):
            batch = np.random.default_rng(step).integers(0, len(labels), BATCH)
            params, opt_state, metrics = train_step(
                params, opt_state, metrics, rows[batch], labels[batch]
            )
            if step % LOG_EVERY == 0:
                logger.log_step(step, metrics)
                metrics = metrics.empty()
            if step % SAVE_EVERY == 0:
                trees = {"params": params, "opt_state": opt_state, "metrics": metrics}
                save(checkpoint, logger, step=step, **trees)
    run = jm.Run.load(f"{mirror}/mirrored/wine")  # from the mirror, not from the disk
    steps, accuracy = run["train/accuracy"]
    print(f"{len(steps)} records in the mirror, accuracy {accuracy[-1]:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--mirror", default="mirror")
    arguments = parser.parse_args()
    main(arguments.steps, arguments.mirror)
