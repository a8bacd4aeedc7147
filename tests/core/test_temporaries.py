"""Updates of wide logits store nothing of the logits' size, as the compiler counts."""

import jax
import jax.numpy as jnp
import pytest

import jaxmetrics as jm

ROWS, CLASSES = 16_384, 512
METRICS = {
    "accuracy": jm.Accuracy(),
    "balanced accuracy": jm.Accuracy(average="macro", classes=CLASSES),
    "top 5": jm.TopKAccuracy(k=5),
    "F1": jm.F1(classes=CLASSES),
    "cross entropy": jm.CrossEntropy(),
    "label smoothing": jm.CrossEntropy(label_smoothing=0.1),
    "perplexity": jm.Perplexity(),
    "entropy": jm.PredictiveEntropy(),
    "z loss": jm.ZLoss(),
    "calibration": jm.ExpectedCalibrationError(),
    "confusion": jm.ConfusionMatrix(CLASSES),
    "divergence": jm.KLToReference(),
}


def temporary_bytes(metric, dtype, rows=ROWS, classes=CLASSES):
    """Bytes that an update stores beside its state and the batch."""
    shapes = {
        "logits": jax.ShapeDtypeStruct((rows, classes), dtype),
        "reference_logits": jax.ShapeDtypeStruct((rows, classes), dtype),
        "labels": jax.ShapeDtypeStruct((rows,), jnp.int32),
    }
    batch = {name: shapes[name] for name in shapes.keys() & metric.reads().names}
    update = jax.jit(lambda metric, batch: metric.update(**batch), donate_argnums=0)
    compiled = update.lower(metric.empty(), batch).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def limit(metric):
    """An eighth of the logits, and two copies of the metric's own counts."""
    counts = sum(leaf.nbytes for leaf in jax.tree.leaves(metric.empty()))
    return ROWS * CLASSES * 4 // 8 + 2 * counts


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", METRICS)
def test_an_update_stores_no_copy_of_the_logits(name):
    metric = METRICS[name]
    assert temporary_bytes(metric, jnp.float32) < limit(metric)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", METRICS)
def test_16_bit_logits_are_not_copied_to_float32(name):
    metric = METRICS[name]
    assert temporary_bytes(metric, jnp.bfloat16) < limit(metric)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("vocabulary", [32_000, 50_257, 50_277])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    "name", ["cross entropy", "entropy", "calibration", "divergence"]
)
def test_sums_over_blocks_of_a_vocabulary_store_no_copy_of_it(name, dtype, vocabulary):
    rows = 512
    stored = temporary_bytes(METRICS[name], dtype, rows, vocabulary)
    assert stored < rows * vocabulary * 4 // 8


def test_metrics_of_the_same_logits_store_no_copy_between_them():
    collection = jm.Collection(METRICS)
    assert temporary_bytes(collection, jnp.float32) < limit(collection)


@pytest.mark.parametrize(
    "metric",
    [jm.Mean(), jm.Std(), jm.MeanSquaredError()],
    ids=lambda metric: type(metric).__name__,
)
def test_an_update_stores_no_copy_of_the_values(metric):
    values = jax.ShapeDtypeStruct((1_000_000,), jnp.float32)
    names = ("values", "preds", "targets")
    batch = {name: values for name in names if name in metric.reads().names}
    update = jax.jit(lambda metric, batch: metric.update(**batch), donate_argnums=0)
    compiled = update.lower(metric.empty(), batch).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1_000_000 * 4 // 8
