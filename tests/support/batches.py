"""Classification batches, metrics over them, and their values by NumPy."""

import jax
import numpy as np

import jaxmetrics as jm


def batch_of(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "logits": rng.normal(size=(rows, 4)).astype(np.float32),
        "labels": rng.integers(0, 4, rows).astype(np.int32),
    }


def collection():
    return jm.Collection(accuracy=jm.Accuracy(), matrix=jm.ConfusionMatrix(4))


def plain_update(state, metrics, batch):
    return metrics.update(**batch)


update = jax.jit(plain_update)


def values_of(batches):
    """Return the values over all rows, by NumPy."""
    labels = np.concatenate([b["labels"] for b in batches])
    predicted = np.concatenate([b["logits"] for b in batches]).argmax(-1)
    matrix = np.zeros((4, 4), int)
    np.add.at(matrix, (labels, predicted), 1)
    return {"accuracy": np.trace(matrix) / len(labels), "matrix": matrix}


def assert_same(values, expected):
    assert values["accuracy"] == expected["accuracy"]
    np.testing.assert_array_equal(values["matrix"], expected["matrix"])
