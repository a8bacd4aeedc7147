"""Updates of one metric in other libraries, each in its best usage.

Libraries in JAX update donated state in jit; those in PyTorch update eagerly on one
thread, without validation of their arguments. A library that is not installed, or does
not have the metric, is left out. clu and metrax compute the state of a batch, which is
merged; calibrax has functions of a batch and no state, so their values are added up.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from typing import Any

from benchmarks.jitted import updating

Outputs = dict[str, Any]
Run = Callable[[], object]


def updates(case: str, outputs: Outputs) -> dict[str, Run]:
    """Return functions that update once and wait, by library.

    Args:
      case: The metric and the size of its batch, such as `"accuracy 100 x 10"`.
      outputs: The batch by name.
    """
    metric = re.sub(r" \d[\d,]*( x \d[\d,]*)?$", "", case)
    found = {}
    for adapter in (clu, metrax, nnx, calibrax, torchmetrics, torcheval):
        name = adapter.__name__
        package = {"nnx": "flax"}.get(name, name)
        if importlib.util.find_spec(package) is None:
            continue
        run = adapter(metric, outputs)
        if run is not None:
            found[name] = run
    return found


def clu(metric: str, outputs: Outputs) -> Run | None:
    """Return an update of clu."""
    import jax
    import jax.numpy as jnp
    from clu import metrics as cm

    of: Any = cm.Average.from_fun

    def entropies(logits: Any, labels: Any) -> Any:
        picked = jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]
        return jax.nn.logsumexp(logits, -1) - picked

    def is_top_5(logits: Any, labels: Any) -> Any:
        _, top = jax.lax.top_k(logits, 5)
        return (top == labels[:, None]).any(-1)

    metrics = {
        "accuracy": cm.Accuracy,
        "top-5": of(is_top_5),
        "cross entropy": of(entropies),
        "mean": cm.Average.from_output("values"),
        "std": cm.Std.from_output("values"),
        "MSE": of(lambda preds, targets: (preds - targets) ** 2),
        "binary accuracy": of(lambda logits, labels: (logits > 0) == labels),
    }
    if metric not in metrics:
        return None
    one = metrics[metric]

    def update(state: Any, outputs: Outputs) -> Any:
        return state.merge(one.from_model_output(**outputs))

    return updating(update, one.empty(), outputs)[0]


def metrax(metric: str, outputs: Outputs) -> Run | None:
    """Return an update of metrax."""
    import jax
    import jax.numpy as jnp
    import metrax as mx

    def pair(one: Any) -> Callable[..., Any]:
        return lambda preds, targets: one.from_model_output(preds, targets)

    batches = {
        "accuracy": lambda logits, labels: mx.Accuracy.from_model_output(
            logits.argmax(-1), labels
        ),
        "top-5": lambda logits, labels: mx.RecallAtK.from_model_output(
            logits, jax.nn.one_hot(labels, logits.shape[-1]), jnp.array([5])
        ),
        "cross entropy": lambda logits, labels: mx.Perplexity.from_model_output(
            logits[None], labels[None], from_logits=True
        ),
        "mean": lambda values: mx.Average.from_model_output(values),
        "MSE": pair(mx.MSE),
        "R2": pair(mx.RSQUARED),
        "AUROC": lambda logits, labels: mx.AUCROC.from_model_output(
            jax.nn.sigmoid(logits), labels
        ),
        "binary accuracy": lambda logits, labels: mx.Accuracy.from_model_output(
            logits > 0, labels
        ),
    }
    if metric not in batches:
        return None
    batch = batches[metric]
    start = jax.jit(lambda outputs: batch(**outputs))(outputs)
    return updating(lambda s, outputs: s.merge(batch(**outputs)), start, outputs)[0]


def nnx(metric: str, outputs: Outputs) -> Run | None:
    """Return an update of flax.nnx."""
    from flax import nnx as library

    metrics = {
        "accuracy": library.metrics.Accuracy,
        "mean": library.metrics.Average,
        "std": library.metrics.Welford,
        "binary accuracy": lambda: library.metrics.Accuracy(threshold=0.0),
    }
    if metric not in metrics:
        return None
    graph, start = library.split(metrics[metric]())

    def update(state: Any, outputs: Outputs) -> Any:
        merged = library.merge(graph, state)
        merged.update(**outputs)
        return library.state(merged)

    return updating(update, start, outputs)[0]


def calibrax(metric: str, outputs: Outputs) -> Run | None:
    """Return an update that adds up the value of calibrax for each batch."""
    import jax
    import jax.numpy as jnp
    from calibrax.metrics.functional import calibration, classification, regression

    def binary(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda logits, labels: function(jax.nn.sigmoid(logits), labels)

    def confusion(logits: Any, labels: Any) -> Any:
        matrix = classification.confusion_matrix
        return matrix(logits, labels, num_classes=logits.shape[-1])

    def confident(logits: Any, labels: Any) -> Any:
        probs = jax.nn.softmax(logits)
        hits = logits.argmax(-1) == labels
        return calibration.expected_calibration_error(probs.max(-1), hits, num_bins=15)

    functions = {
        "accuracy": classification.accuracy,
        "confusion": confusion,
        "calibration": confident,
        "MSE": regression.mse,
        "R2": regression.r_squared,
        "AUROC": binary(classification.roc_auc),
        "binary accuracy": lambda logits, labels: classification.accuracy(
            logits > 0, labels
        ),
    }
    if metric not in functions:
        return None
    function = functions[metric]

    def update(state: Any, outputs: Outputs) -> Any:
        return state + function(*_in_order(outputs))

    start = jax.eval_shape(function, *_in_order(outputs))
    return updating(update, jnp.zeros(start.shape, start.dtype), outputs)[0]


def torchmetrics(metric: str, outputs: Outputs) -> Run | None:
    """Return an update of torchmetrics."""
    import torchmetrics as tm
    from torchmetrics import classification as tc
    from torchmetrics.text import Perplexity

    classes = outputs["logits"].shape[-1] if "logits" in outputs else None
    fast: dict[str, Any] = {"validate_args": False}
    many: dict[str, Any] = {"num_classes": classes, **fast}
    plain: dict[str, Any] = {"nan_strategy": "disable"}
    metrics = {
        "accuracy": lambda: tc.MulticlassAccuracy(average="micro", **many),
        "top-5": lambda: tc.MulticlassAccuracy(average="micro", top_k=5, **many),
        "F1": lambda: tc.MulticlassF1Score(average="macro", **many),
        "confusion": lambda: tc.MulticlassConfusionMatrix(**many),
        "calibration": lambda: tc.MulticlassCalibrationError(**many),
        "cross entropy": Perplexity,
        "mean": lambda: tm.MeanMetric(**plain),
        "max": lambda: tm.MaxMetric(**plain),
        "MSE": lambda: tm.MeanSquaredError(),
        "R2": lambda: tm.R2Score(),
        "AUROC": lambda: tc.BinaryAUROC(thresholds=200, **fast),
        "binary accuracy": lambda: tc.BinaryAccuracy(validate_args=False),
    }
    return _in_torch(metrics, metric, outputs)


def torcheval(metric: str, outputs: Outputs) -> Run | None:
    """Return an update of torcheval.

    Its AUROC keeps all scores, and its perplexity makes a matrix of rows by rows; both
    are left out.
    """
    import torcheval.metrics as te

    classes = outputs["logits"].shape[-1] if "logits" in outputs else 1
    metrics = {
        "accuracy": lambda: te.MulticlassAccuracy(),
        "top-5": lambda: te.MulticlassAccuracy(k=5),
        "F1": lambda: te.MulticlassF1Score(num_classes=classes, average="macro"),
        "confusion": lambda: te.MulticlassConfusionMatrix(classes),
        "mean": lambda: te.Mean(),
        "max": lambda: te.Max(),
        "MSE": lambda: te.MeanSquaredError(),
        "R2": lambda: te.R2Score(),
        "binary accuracy": lambda: te.BinaryAccuracy(threshold=0.0),
    }
    return _in_torch(metrics, metric, outputs)


def _in_torch(
    metrics: dict[str, Callable[[], Any]], metric: str, outputs: Outputs
) -> Run | None:
    """Return an eager update on one thread, or None where torch has another device."""
    import jax
    import torch

    if metric not in metrics or jax.default_backend() != "cpu":
        return None
    torch.set_num_threads(1)
    tensors = [tensor(x) for x in _in_order(outputs)]
    if metric == "cross entropy":
        tensors = [x[None] for x in tensors]
    state = metrics[metric]()
    return lambda: state.update(*tensors)


def tensor(x: Any) -> Any:
    """Return a copy of an array as a tensor; integers have 64 bits, as torch wants."""
    import torch

    found = torch.from_dlpack(x).clone()
    return found if found.is_floating_point() else found.long()


def _in_order(outputs: Outputs) -> list[Any]:
    """Return the arrays of a batch, predictions first."""
    names = "values", "logits", "labels", "preds", "targets"
    return [outputs[name] for name in names if name in outputs]
