"""What crosses the network between slices: nothing in a step, little in a reduction.

`python tests/tpu/test_slices.py` prints the table of docs/pods.md.
"""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from tpu.programs import compiled, mesh_of

import jaxmetrics as jm
from jaxmetrics.core import Deferred

AXES = ("slice", "data")
ROWS, WIDTH, CLASSES = 32, 256, 1000  # rows of a chip
COLLECTIONS = {
    "loss, accuracy, top 5": jm.Collection(
        loss=jm.CrossEntropy(), accuracy=jm.Accuracy(), top5=jm.TopKAccuracy(k=5)
    ),
    "confusion matrix of 1,000 classes": jm.Collection(
        confusion=jm.ConfusionMatrix(CLASSES)
    ),
}
KINDS = ("step", "step, deferred", "step, plain jit", "reduction")


@functools.cache
def mesh():
    """Return two slices of 16 chips: one axis between them, and one within."""
    chips = sorted(
        mesh_of("v5e, two slices").devices.flat, key=lambda x: (x.slice_index, x.id)
    )
    return Mesh(np.array(chips).reshape(2, 16), AXES)


def standing_for(tree, *spec):
    """Return arrays without values, sharded over the mesh."""
    sharding = NamedSharding(mesh(), P(*spec))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=sharding), tree
    )


def deferred(metrics):
    stacked = jax.tree.map(lambda x: np.broadcast_to(x, (32, *x.shape)), metrics)
    return Deferred(standing_for(stacked, AXES), mesh(), AXES, AXES, specs=())


def train_step(params, metrics, x, labels):
    """Update weights that are sharded within a slice and replicated between slices."""

    def loss_of(params):
        logits = jnp.tanh(x @ params["body"]) @ params["head"]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
        return -chosen.mean(), logits

    grads, logits = jax.grad(loss_of, has_aux=True)(params)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
    if metrics is not None:
        metrics = metrics.update(logits=logits, labels=labels)
    return params, metrics


def reduction(metrics):
    return metrics.reduce()


@functools.cache
def program(kind, name):
    metrics = COLLECTIONS[name]
    if kind == "reduction":
        return compiled(reduction, (deferred(metrics),))
    weights = {
        "body": np.zeros((WIDTH, WIDTH), np.float32),
        "head": np.zeros((WIDTH, CLASSES), np.float32),
    }
    x = np.broadcast_to(np.float32(0), (32 * ROWS, WIDTH))
    state = {
        "step": lambda: None,
        "step, deferred": lambda: deferred(metrics),
        "step, plain jit": lambda: standing_for(metrics),
    }[kind]()
    batch = standing_for(x, AXES), standing_for(x[:, 0].astype(np.int32), AXES)
    return compiled(train_step, (standing_for(weights, "data"), state, *batch))


@pytest.mark.parametrize("name", COLLECTIONS)
def test_deferred_metrics_add_nothing_to_what_a_step_sends_to_another_slice(name):
    plain, with_metrics = program("step", name), program("step, deferred", name)
    assert plain.bytes_between_slices(), "the gradients cross"
    assert with_metrics.bytes_between_slices() == plain.bytes_between_slices()
    assert Counter(with_metrics.collectives()) == Counter(plain.collectives())


@pytest.mark.parametrize("name", COLLECTIONS)
def test_metrics_of_plain_jit_are_exchanged_in_each_step(name):
    added = Counter(program("step, plain jit", name).bytes_between_slices())
    added.subtract(program("step", name).bytes_between_slices())
    assert sum(added.values()) >= 1


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_reduction_sends_its_total_once_split_over_the_chips_of_a_slice(name):
    sent = program("reduction", name).bytes_between_slices()
    assert 1 <= len(sent) <= 3
    words = sum(x.size for x in jax.tree.leaves(COLLECTIONS[name]))
    # Counters travel as limbs of 16 bits, two per word; arrays have 128 lanes or more.
    assert sum(sent) <= 4 * 2 * words / 16 * 1.01 + 3 * 512


def table():
    """Yield the rows of the table of docs/pods.md."""
    for name in COLLECTIONS:
        for kind in KINDS:
            made = program(kind, name)
            sent = made.bytes_between_slices()
            within = Counter(made.collectives())
            yield (
                f"| {name} | {kind} | "
                + (", ".join(f"{n} {x}" for x, n in within.items()) or "none")
                + f" | {len(sent)} | {sum(sent):,} |"
            )


if __name__ == "__main__":
    print(*table(), sep="\n")
