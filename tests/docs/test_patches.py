"""The metrics of examples/patches give the values of the code that they replace.

The programs themselves are not here; each test repeats how one of them computes its
values, on synthetic outputs and eight devices, beside the metrics of its patch.
"""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.interop.nnx import Metrics

PATCHES = Path(__file__).parents[2] / "examples" / "patches"
STEPS, ROWS, CLASSES = 4, 16, 10
NAMES = ["imagenet", "lm1b", "mlp_mnist", "mnist"]


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, (STEPS, ROWS))
    logits = rng.normal(size=(STEPS, ROWS, CLASSES)) + 2 * np.eye(CLASSES)[labels]
    return [*zip(np.float32(logits), np.int32(labels))]


def losses_of(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def hits_of(logits, labels):
    return jnp.argmax(logits, -1) == labels


def assert_equal(values, expected):
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        assert values[name] == pytest.approx(float(value), rel=1e-6), name


def test_mnist_updates_in_place_as_a_multi_metric_does(batches):
    theirs = nnx.MultiMetric(
        accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss")
    )
    ours = Metrics(jm.Collection(accuracy=jm.Accuracy(), loss=jm.Mean("loss")))

    @nnx.jit
    def step(metrics, logits, labels):
        loss = losses_of(logits, labels).mean()
        metrics.update(loss=loss, logits=logits, labels=labels)

    for metrics in (theirs, ours):
        for batch in batches:
            step(metrics, *batch)
    assert_equal(ours.compute(), theirs.compute())


def test_imagenet_reduces_in_pmap_and_merges(batches):
    def their_step(logits, labels):
        loss = losses_of(logits, labels).mean()
        metrics = {"loss": loss, "accuracy": hits_of(logits, labels).mean()}
        return jax.lax.pmean(metrics, "batch")

    def our_step(metrics, logits, labels):
        update = metrics.from_model_output(logits=logits, labels=labels)
        return metrics.merge(update.reduce("batch"))

    their_step = jax.pmap(their_step, "batch", out_axes=None)
    our_step = jax.pmap(our_step, "batch", in_axes=(None, 0, 0), out_axes=None)
    theirs, ours = [], jm.Collection(loss=jm.CrossEntropy(), accuracy=jm.Accuracy())
    for logits, labels in batches:
        shards = logits.reshape(8, -1, CLASSES), labels.reshape(8, -1)
        theirs.append(their_step(*shards))
        ours = our_step(ours, *shards)
    means = {name: np.mean([step[name] for step in theirs]) for name in theirs[0]}
    assert_equal(ours.compute(), means)


def test_lm1b_weights_by_tokens_that_are_not_padding():
    devices = np.array(jax.devices()).reshape(4, 2, 1)
    mesh = jax.sharding.Mesh(devices, ("data", "fsdp", "tensor"))
    rng = np.random.default_rng(1)
    inputs = rng.integers(1, CLASSES, (STEPS, ROWS, 12)).astype(np.int32)
    inputs[np.arange(12) >= rng.integers(1, 12, (STEPS, ROWS, 1))] = 0
    logits = np.float32(rng.normal(size=(*inputs.shape, CLASSES)))

    def their_step(logits, inputs):
        weights = jnp.where(inputs > 0, 1.0, 0.0)
        losses, hits = losses_of(logits, inputs), hits_of(logits, inputs)
        sums = {"loss": (losses * weights).sum(), "accuracy": (hits * weights).sum()}
        return sums | {"denominator": weights.sum()}

    quality = {
        "loss": jm.CrossEntropy(ignore_index=0),
        "accuracy": jm.TokenAccuracy(ignore_index=0),
        "perplexity": jm.Perplexity(ignore_index=0),
    }
    ours, theirs = jm.Collection(**quality).deferred(mesh, axis="data"), []
    our_step = jax.jit(
        lambda metrics, logits, inputs: metrics.update(logits=logits, labels=inputs)
    )
    for batch in zip(logits, inputs):
        batch = jax.device_put(batch, NamedSharding(mesh, P("data")))
        theirs.append(jax.jit(their_step)(*batch))
        ours = our_step(ours, *batch)
    sums = {name: sum(step[name] for step in theirs) for name in theirs[0]}
    denominator = sums.pop("denominator")
    expected = {name: value / denominator for name, value in sums.items()}
    assert_equal(ours.compute(), expected | {"perplexity": np.exp(expected["loss"])})


def test_mlp_mnist_replaces_means_of_means_of_equal_batches(batches):
    ours = Metrics(jm.Collection(loss=jm.Mean("loss"), accuracy=jm.Accuracy()))

    @nnx.jit
    def step(metrics, logits, labels):
        metrics.update(loss=losses_of(logits, labels), logits=logits, labels=labels)

    for batch in batches:
        step(ours, *batch)
    losses = [losses_of(*batch).mean() for batch in batches]
    accuracies = [hits_of(*batch).mean() for batch in batches]
    means = {"loss": np.mean(losses), "accuracy": np.mean(accuracies)}
    assert_equal(ours.compute(), means)


@pytest.mark.parametrize("name", NAMES)
def test_a_patch_names_its_source_and_the_page_counts_its_lines(name):
    header, _, diff = (PATCHES / f"{name}.patch").read_text().partition("\n--- ")
    assert re.search(
        r"https://github.com/.* at (commit )?[0-9a-f]{40}|\n.*[0-9a-f]{40}", header
    )
    assert "Apache License 2.0" in header
    lines = diff.splitlines()[2:]
    removed = sum(line.startswith("-") for line in lines)
    added = sum(line.startswith("+") for line in lines)
    page = (PATCHES / "README.md").read_text()
    assert re.search(
        rf"^\| `{name}.patch` .*\| {removed} \| {added} \|", page, re.MULTILINE
    )


def test_every_patch_is_tested():
    assert sorted(path.stem for path in PATCHES.glob("*.patch")) == NAMES
