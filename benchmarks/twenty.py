"""Twenty metrics of a classifier, and those of them that other libraries have."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.classifier import CLASSES
from benchmarks.jitted import update_of

Outputs = dict[str, Any]
_TOP = range(2, 9)


class Library(NamedTuple):
    """Metrics of a library in JAX.

    Attributes:
      metrics: Number of metrics.
      start: First state, a pytree.
      update: Function `(state, outputs) -> state`.
      compute: Function of a state that returns values on the host, by name.
    """

    metrics: int
    start: Any
    update: Callable[[Any, Outputs], Any]
    compute: Callable[[Any], dict[str, Any]]


def collection(classes: int = CLASSES) -> Any:
    """Return a Collection of twenty metrics of `loss`, `logits` and `labels`."""
    import jaxmetrics as jm

    return jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        balanced=jm.Accuracy(average="macro", classes=classes),
        confusion=jm.ConfusionMatrix(classes),
        entropy=jm.CrossEntropy(),
        perplexity=jm.Perplexity(),
        smallest=jm.Min("loss"),
        largest=jm.Max("loss"),
        spread=jm.Std("loss"),
        variance=jm.Variance("loss", ddof=1),
        last=jm.Last("loss"),
        examples=jm.Count("loss"),
        total=jm.Sum("loss"),
        **{f"top{k}": jm.TopKAccuracy(k=k) for k in _TOP},
    )


def jaxmetrics() -> Library:
    """Return all twenty."""
    return _library(collection())


def eleven() -> Library:
    """Return those of the twenty that clu has."""
    import jaxmetrics as jm

    names = ("loss", "accuracy", "entropy", "last", *(f"top{k}" for k in _TOP))
    every = collection()
    return _library(jm.Collection({name: every[name] for name in names}))


def _library(metrics: Any) -> Library:
    return Library(len(metrics), metrics, update_of, lambda state: state.compute())


def peers() -> dict[str, Library]:
    """Return the metrics of each library that is installed, by its name."""
    found = {"clu": clu, "metrax": metrax, "flax": nnx}
    return {
        library.__name__: library()
        for package, library in found.items()
        if importlib.util.find_spec(package)
    }


def clu() -> Library:
    """Return eleven metrics of clu, merged in jit.

    Its `Std` is left out: `compute` raises with this release of jax.
    """
    import jax
    from clu import metrics as cm

    def is_top(k: int) -> Callable[..., Any]:
        def hits(logits: Any, labels: Any, **_: Any) -> Any:
            return (jax.lax.top_k(logits, k)[1] == labels[:, None]).any(-1)

        return hits

    metrics = {
        "loss": cm.Average.from_output("loss"),
        "accuracy": cm.Accuracy,
        "entropy": cm.Average.from_output("loss"),
        "last": cm.LastValue.from_fun(lambda loss, **_: loss.mean()),
        **{f"top{k}": cm.Average.from_fun(is_top(k)) for k in _TOP},
    }
    kind = cm.Collection.create(**metrics)

    def update(state: Any, outputs: Outputs) -> Any:
        return state.merge(kind.single_from_model_output(**outputs))

    def compute(state: Any) -> dict[str, Any]:
        return jax.device_get(state.compute())

    return Library(len(metrics), kind.empty(), update, compute)


def metrax() -> Library:
    """Return eleven metrics of metrax, merged in jit; seven are in one `RecallAtK`."""
    import jax
    import jax.numpy as jnp
    import metrax as mx

    def batch(loss: Any, logits: Any, labels: Any) -> dict[str, Any]:
        one_hot = jax.nn.one_hot(labels, logits.shape[-1])
        tops = mx.RecallAtK.from_model_output(logits, one_hot, jnp.array(_TOP))
        return {
            "loss": mx.Average.from_model_output(loss),
            "accuracy": mx.Accuracy.from_model_output(logits.argmax(-1), labels),
            "entropy": mx.Average.from_model_output(loss),
            "perplexity": mx.Perplexity.from_model_output(
                logits[None], labels[None], from_logits=True
            ),
            "top": tops,
        }

    def update(state: dict[str, Any], outputs: Outputs) -> dict[str, Any]:
        found = batch(**outputs)
        return {name: state[name].merge(one) for name, one in found.items()}

    zeros = jnp.zeros(len(_TOP))
    top: Any = mx.RecallAtK.empty()  # of one k
    start = {
        "loss": mx.Average.empty(),
        "accuracy": mx.Accuracy.empty(),
        "entropy": mx.Average.empty(),
        "perplexity": mx.Perplexity.empty(),
        "top": top.replace(total=zeros, count=zeros),
    }

    def compute(state: dict[str, Any]) -> dict[str, Any]:
        return jax.device_get({name: one.compute() for name, one in state.items()})

    return Library(4 + len(_TOP), start, update, compute)


def nnx() -> Library:
    """Return four metrics of flax.nnx, split and merged in jit."""
    import jax
    from flax import nnx as library

    metrics = {
        "loss": library.metrics.Average("loss"),
        "accuracy": library.metrics.Accuracy(),
        "entropy": library.metrics.Average("loss"),
        "spread": library.metrics.Welford("loss"),
    }
    graph, start = library.split(library.MultiMetric(**metrics))

    def update(state: Any, outputs: Outputs) -> Any:
        merged = library.merge(graph, state)
        merged.update(**outputs)
        return library.state(merged)

    def compute(state: Any) -> dict[str, Any]:
        return jax.device_get(library.merge(graph, state).compute())

    return Library(len(metrics), start, update, compute)


def torchmetrics(outputs: Outputs) -> Any:
    """Return a MetricCollection of fourteen metrics, updated once."""
    import torch
    import torchmetrics as tm
    from torchmetrics import classification as tc

    from benchmarks.contenders import tensor

    torch.set_num_threads(1)
    plain: dict[str, Any] = {"compute_with_cache": False}
    many = plain | {"num_classes": CLASSES, "validate_args": False}
    metrics = tm.MetricCollection(
        {
            "loss": tm.MeanMetric(**plain),
            "accuracy": tc.MulticlassAccuracy(average="micro", **many),
            "balanced": tc.MulticlassAccuracy(average="macro", **many),
            "confusion": tc.MulticlassConfusionMatrix(**many),
            "smallest": tm.MinMetric(**plain),
            "largest": tm.MaxMetric(**plain),
            "total": tm.SumMetric(**plain),
            **{
                f"top{k}": tc.MulticlassAccuracy(average="micro", top_k=k, **many)
                for k in _TOP
            },
        }
    )
    metrics.update(
        value=tensor(outputs["loss"]),
        preds=tensor(outputs["logits"]),
        target=tensor(outputs["labels"]),
    )
    return metrics
