"""Results on numerically hard cases, beside other libraries; nothing is timed.

The cases "ranking" have, for continuous scores of a distribution, the largest error of
areas from histograms against scikit-learn, and how far their bounds are apart, over
scales from 1e-3 to 1e4 and offsets to 100 standard deviations (Cauchy without offset).
"""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Callable
from typing import Any

ENVIRONMENT = {
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    "NPROC": "32",
}

COUNT = "count 2^24 values, then 1,000 more: how many of the 1,000 are counted"
ONES = "mean of 2^31 - 1 ones, then 8 more"
MERGES = "mean of 0.1 over 5 million merges"
R2 = "R2 of unrelated series at an offset of 1e4"
PERPLEXITY = "perplexity over a batch of 128 tokens and a batch of 8"
MASKED = "mean of [1, nan] with the second masked"
COLLECTIVES = "collectives in a step of 10 means on 8 devices"

SCALES, OFFSETS = (1e-3, 1.0, 1e4), (0, 1, 10, 100, -100)
SCORES, BATCH = 20_000, 1000
HEAVY = "Student t, 2 degrees", "Cauchy"  # without a standard deviation
Answers = dict[str, Callable[[], Any]]


def measure(bench: Any) -> None:
    """Add the answers of each library, and the errors of ranking metrics."""
    from benchmarks.measure import Row

    warnings.filterwarnings("ignore")
    found = {"correct": correct(), "jaxmetrics": jaxmetrics()}
    for library in (clu, metrax, torchmetrics):
        if importlib.util.find_spec(library.__name__):
            found[library.__name__] = library()
    for case in found["correct"]:
        if bench.wants(case):
            rows = [
                Row(case, who, figures={"value": float(answers[case]())})
                for who, answers in found.items()
                if case in answers
            ]
            bench.add(rows)
    labels, scores = distributions()
    for name, values in scores.items():
        case = f"ranking, {name}"
        if bench.wants(case):
            offsets = (0,) if name == "Cauchy" else OFFSETS
            deviation = 1.0 if name in HEAVY else float(values.std())
            errors = worst(labels, values, [deviation * x for x in offsets])
            bench.add([Row(case, who, figures=x) for who, x in errors.items()])


def correct() -> Answers:
    """Return the correct answers, by numpy in float64."""
    import numpy as np

    def r2() -> float:
        preds, targets = (x.astype(float) for x in series())
        residual, spread = preds - targets, targets - targets.mean()
        return 1 - (residual**2).sum() / (spread**2).sum()

    def perplexity() -> float:
        logits, labels, mask = tokens()
        shifted = (logits - logits.max(-1, keepdims=True)).astype(float)
        picked = np.take_along_axis(shifted, labels[..., None], -1)[..., 0]
        nats = np.log(np.exp(shifted).sum(-1)) - picked
        return np.exp(nats[mask].mean())

    return {
        COUNT: lambda: 1000,
        ONES: lambda: 1,
        MERGES: lambda: 0.1,
        R2: r2,
        PERPLEXITY: perplexity,
        MASKED: lambda: 1,
        COLLECTIVES: lambda: 0,
    }


def jaxmetrics() -> Answers:
    """Return the answers of jaxmetrics."""
    import jax.numpy as jnp
    import numpy as np

    import jaxmetrics as jm

    def counted() -> Any:
        start = jm.Count().replace(count=2**24)
        total = repeated(lambda m: m.update(values=jnp.zeros(1)), start, 1000)
        return total.compute() - 2**24

    def mean_of_ones() -> Any:
        start = jm.Mean().replace(total=2**31 - 1, count=2**31 - 1)
        return start.update(values=np.ones(8)).compute()

    def drift() -> Any:
        step = jm.Mean().from_model_output(values=np.float32(0.1))
        return repeated(lambda m: m.merge(step), jm.Mean(), 5_000_000).compute()

    def r2() -> Any:
        preds, targets = series()
        return jm.evaluate(jm.R2(), preds=preds, targets=targets)

    def perplexity() -> Any:
        metric = jm.Perplexity()
        for logits, labels, mask in zip(*tokens()):
            metric = metric.update(logits=logits, labels=labels, mask=mask)
        return metric.compute()

    def masked() -> Any:
        values, mask = np.array([1, np.nan], np.float32), np.array([True, False])
        return jm.evaluate(jm.Mean(), values=values, mask=mask)

    def in_step() -> int:
        mesh, rows = sharded()
        means = {f"m{i}": jm.Mean(f"v{i}") for i in range(10)}
        state = jm.Collection(**means).deferred(mesh)
        return collectives(
            lambda m, x: m.update(**{f"v{i}": x[i] for i in range(10)}), state, rows
        )

    return {
        COUNT: counted,
        ONES: mean_of_ones,
        MERGES: drift,
        R2: r2,
        PERPLEXITY: perplexity,
        MASKED: masked,
        COLLECTIVES: in_step,
    }


def clu() -> Answers:
    """Return the answers of clu."""
    import jax
    import jax.numpy as jnp
    from clu import metrics as cm
    from jax.sharding import PartitionSpec as P

    mean: Any = cm.Average

    def counted() -> Any:
        start = mean(jnp.float32(0), jnp.int32(2**24))
        step = cm.Average.from_model_output(jnp.zeros(1))
        return repeated(lambda m: m.merge(step), start, 1000).count - 2**24

    def mean_of_ones() -> Any:
        start = mean(jnp.float32(2**31 - 1), jnp.int32(2**31 - 1))
        return start.merge(cm.Average.from_model_output(jnp.ones(8))).compute()

    def drift() -> Any:
        step = cm.Average.from_model_output(jnp.float32([0.1]))
        start = cm.Average.empty()
        return repeated(lambda m: m.merge(step), start, 5_000_000).compute()

    def masked() -> Any:
        values, mask = jnp.float32([1, jnp.nan]), jnp.array([True, False])
        return cm.Average.from_model_output(values, mask=mask).compute()

    def in_step() -> int:
        mesh, rows = sharded()
        metrics = cm.Collection.create(
            **{f"m{i}": cm.Average.from_output(f"v{i}") for i in range(10)}
        )

        def step(x: Any) -> Any:
            values = {f"v{i}": x[i] for i in range(10)}
            return metrics.gather_from_model_output(axis_name="data", **values)

        over_shards = jax.shard_map(
            step, mesh=mesh, in_specs=P(None, "data"), out_specs=P(), check_vma=False
        )
        return collectives(over_shards, rows)

    return {
        COUNT: counted,
        ONES: mean_of_ones,
        MERGES: drift,
        MASKED: masked,
        COLLECTIVES: in_step,
    }


def metrax() -> Answers:
    """Return the answers of metrax."""
    import jax.numpy as jnp
    import metrax as mx

    mean: Any = mx.Average

    def counted() -> Any:
        start = mean(jnp.float32(0), jnp.float32(2**24))
        step = mx.Average.from_model_output(jnp.zeros(1))
        return repeated(lambda m: m.merge(step), start, 1000).count - 2**24

    def mean_of_ones() -> Any:
        start = mean(jnp.float32(2**31 - 1), jnp.float32(2**31 - 1))
        return start.merge(mx.Average.from_model_output(jnp.ones(8))).compute()

    def drift() -> Any:
        step = mx.Average.from_model_output(jnp.float32([0.1]))
        start = mean(jnp.float32(0), jnp.float32(0))
        return repeated(lambda m: m.merge(step), start, 5_000_000).compute()

    def r2() -> Any:
        return mx.RSQUARED.from_model_output(*map(jnp.asarray, series())).compute()

    def perplexity() -> Any:
        first, second = (
            mx.Perplexity.from_model_output(
                predictions=jnp.asarray(logits[None]),
                labels=jnp.asarray(labels[None]),
                sample_weights=jnp.asarray(mask[None], jnp.float32),
                from_logits=True,
            )
            for logits, labels, mask in zip(*tokens())
        )
        return first.merge(second).compute()

    def masked() -> Any:
        values, weights = jnp.float32([1, jnp.nan]), jnp.float32([1, 0])
        return mx.Average.from_model_output(values, sample_weights=weights).compute()

    return {
        COUNT: counted,
        ONES: mean_of_ones,
        MERGES: drift,
        R2: r2,
        PERPLEXITY: perplexity,
        MASKED: masked,
    }


def torchmetrics() -> Answers:
    """Return the answers of torchmetrics."""
    import torch
    import torchmetrics as tm
    from torchmetrics.text import Perplexity

    def counted() -> Any:
        metric = tm.MeanMetric()
        metric.update(torch.zeros(1))
        metric.weight = torch.tensor(float(2**24))
        for _ in range(1000):
            metric.update(torch.zeros(1))
        return metric.weight - 2**24

    def mean_of_ones() -> Any:
        metric = tm.MeanMetric()
        metric.update(torch.ones(1))
        metric.mean_value = metric.weight = torch.tensor(float(2**31 - 1))
        metric.update(torch.ones(8))
        return metric.compute()

    def r2() -> Any:
        preds, targets = map(torch.tensor, series())
        return tm.functional.r2_score(preds, targets)

    def perplexity() -> Any:
        metric = Perplexity(ignore_index=-100)
        for logits, labels, mask in zip(*tokens()):
            marked = torch.tensor(labels.astype("int64"))
            marked[torch.tensor(~mask)] = -100
            metric.update(torch.tensor(logits[None]), marked[None])
        return metric.compute()

    return {COUNT: counted, ONES: mean_of_ones, R2: r2, PERPLEXITY: perplexity}


def series() -> Any:
    """Return predictions and targets that have nothing in common but an offset."""
    import numpy as np

    return np.random.default_rng(0).normal(1e4, 1, (2, 1000)).astype(np.float32)


def tokens() -> tuple[Any, Any, Any]:
    """Return logits, labels and masks of two batches with 128 and 8 real tokens."""
    import numpy as np

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (2, 128, 32)).astype(np.float32)
    labels = rng.integers(0, 32, (2, 128)).astype(np.int32)
    mask = np.ones((2, 128), bool)
    mask[1, 8:] = False
    return logits, labels, mask


def repeated(merge: Callable[[Any], Any], start: Any, times: int) -> Any:
    """Return a state after many merges in jit."""
    import jax

    def loop(state: Any) -> Any:
        return jax.lax.fori_loop(0, times, lambda _, s: merge(s), state)

    return jax.jit(loop)(start)


def collectives(step: Callable[..., Any], *operands: Any) -> int:
    """Return the number of collectives in a compiled step."""
    import jax

    text = jax.jit(step).lower(*operands).compile().as_text() or ""
    return len(re.findall(r"\b(?:all-\w+|reduce-scatter|collective-\w+)\(", text))


def sharded() -> tuple[Any, Any]:
    """Return a mesh of all devices, and ten outputs that are sharded over it."""
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    mesh = Mesh(np.array(jax.devices()), ("data",))
    rows = np.ones((10, 8 * mesh.size), np.float32)
    return mesh, jax.device_put(rows, NamedSharding(mesh, P(None, "data")))


def distributions() -> tuple[Any, dict[str, Any]]:
    """Return labels and scores, shifted between both labels, by name."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, SCORES)
    shift = 0.7 * labels
    return labels, {
        "normal": rng.normal(size=SCORES) + shift,
        "beta": rng.beta(2, 5, SCORES) + 0.15 * shift,
        "gamma": rng.gamma(2, 1, SCORES) * (1 + shift),
        "Gumbel": rng.gumbel(size=SCORES) + shift,
        "lognormal": rng.lognormal(0, 1, SCORES) * (1 + shift),
        "Student t, 2 degrees": rng.standard_t(2, SCORES) + shift,
        "Cauchy": rng.standard_cauchy(SCORES) + shift,
    }


def worst(labels: Any, values: Any, offsets: list[float]) -> dict[str, Any]:
    """Return the largest error and the widest bounds of both areas.

    Scores come in batches, in random order or ascending, which gives the same state.
    """
    import jax
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    import jaxmetrics as jm

    exact = {"AUROC": roc_auc_score, "AveragePrecision": average_precision_score}
    metrics: Any = jm.Collection(
        AUROC=jm.AUROC(), AveragePrecision=jm.AveragePrecision()
    )
    step = jax.jit(
        lambda state, logits, labels: state.update(logits=logits, labels=labels)
    )
    found = {name: {"error": 0.0, "bounds apart": 0.0} for name in exact}
    for offset in offsets:
        for scale in SCALES:
            x = (scale * (values + offset)).astype(np.float32)
            state: Any = metrics
            order = np.argsort(x) if scale == 1 else np.arange(SCORES)
            for start in range(0, SCORES, BATCH):
                rows = order[start : start + BATCH]
                state = step(state, x[rows], labels[rows])
            for name, figures in found.items():
                area = exact[name](labels, x)
                low, high = state[name].bounds()
                assert low - 1e-12 <= area <= high + 1e-12, (name, offset, scale)
                error = abs(state[name].compute() - area)
                figures["error"] = max(figures["error"], float(error))
                figures["bounds apart"] = max(figures["bounds apart"], high - low)
    return found
