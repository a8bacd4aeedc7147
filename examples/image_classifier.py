"""Classify images: flax linen, a jitted step, recall of each class, uneven evaluation.

Run `python examples/image_classifier.py`; it needs jaxmetrics[flax,optax] and
scikit-learn. The metrics are a field of the train state. The held-out images come in
batches of uneven sizes, which `evaluate_loop` pads and masks.
"""

import argparse

import flax.linen as nn
import jax
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxmetrics as jm
from jaxmetrics.interop.linen import TrainState

BATCH, HELD_OUT, LOG_EVERY = 128, 360, 20


class Classifier(nn.Module):
    @nn.compact
    def __call__(self, images):
        x = nn.relu(nn.Conv(16, (3, 3))(images))
        x = nn.avg_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)
        return nn.Dense(10)(nn.relu(nn.Dense(64)(x)))


def load_images():
    """Return images `[n, 8, 8, 1]` and labels `[n]`, for training and held out."""
    digits = load_digits()
    images = np.float32(digits.images[..., None] / 16)
    labels = np.int32(digits.target)
    order = np.random.default_rng(0).permutation(len(labels))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]
    return (images[train], labels[train]), (images[held_out], labels[held_out])


@jax.jit
def train_step(state, images, labels):
    def loss_of(params):
        logits = state.apply_fn({"params": params}, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), {"loss": losses, "logits": logits}

    grads, outputs = jax.grad(loss_of, has_aux=True)(state.params)
    state = state.apply_gradients(grads=grads)
    return state.update_metrics(**outputs, labels=labels)


@jax.jit
def evaluation_step(state, metrics, batch):
    logits = state.apply_fn({"params": state.params}, batch["images"])
    return metrics.update(logits=logits, labels=batch["labels"], mask=batch["mask"])


def main(steps):
    train, held_out = load_images()
    names = tuple(map(str, range(10)))
    quality = {"loss": jm.CrossEntropy(), "accuracy": jm.Accuracy()}
    validation = jm.Collection(
        **quality,
        recall=jm.Classwise(jm.Recall(classes=10, average="none"), names=names),
        confusion=jm.ConfusionMatrix(classes=10),
    )
    model = Classifier()
    state = TrainState.create(
        apply_fn=model.apply,
        params=model.init(jax.random.key(0), train[0][:1])["params"],
        tx=optax.adam(3e-3),
        metrics=jm.Collection(**quality),
    )
    rng = np.random.default_rng(0)
    with jm.TrainingLogger("image_classifier", hparams={"batch": BATCH}) as logger:
        for step in range(1, steps + 1):
            rows = rng.integers(0, len(train[1]), BATCH)
            state = train_step(state, train[0][rows], train[1][rows])
            if step % LOG_EVERY == 0 or step == steps:
                logger.log_step(step, state.metrics)
                state = state.reset_metrics()
        batches = [
            {"images": held_out[0][i : i + 100], "labels": held_out[1][i : i + 100]}
            for i in range(0, HELD_OUT, 100)  # 100, 100, 100 and 60 rows
        ]
        validation = jm.evaluate_loop(
            evaluation_step, state, batches, validation, compute=False
        )
        logger.log_step(steps, validation, split="val")
    run = jm.Run.load(logger.run_dir)
    print(f"final accuracy {run['val/accuracy'][1][-1]:.3f}, recorded in {run.path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    main(parser.parse_args().steps)
