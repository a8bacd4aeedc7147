"""Compare results of clu, metrax and torchmetrics on numerically hard cases.

Print a Markdown table; a library that is not installed is left out.

    pip install google-metrax torchmetrics torch
    python benchmarks/peers.py
"""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from collections.abc import Callable

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
warnings.filterwarnings("ignore")

ROWS = {
    "count 2^24 values, then 1,000 more: how many of the 1,000 are counted": "1000",
    "mean of 2^31 - 1 ones, then 8 more": "1",
    "mean of 0.1 over 5 million merges": "0.1",
    "R2 of unrelated series at an offset of 1e4": "",
    "perplexity over a batch of 128 tokens and a batch of 8": "",
    "mean of [1, nan] with the second masked": "1",
    "collectives in a step of 10 means on 8 devices": "0",
}


def main() -> None:
    libraries = {"jaxmetrics": jaxmetrics(), "clu": clu(), "metrax": metrax()}
    libraries["torchmetrics"] = torchmetrics()
    shown = {name: rows for name, rows in libraries.items() if rows}
    print("| case | correct | " + " | ".join(shown) + " |")
    print("|" + "---|" * (2 + len(shown)))
    for row, correct in ROWS.items():
        answers = [answer(rows.get(row)) for rows in shown.values()]
        print(f"| {row} | {correct} | " + " | ".join(answers) + " |")


def answer(measure: Callable[[], object] | None) -> str:
    if measure is None:
        return "-"
    try:
        return f"{float(measure()):.6g}"
    except Exception as error:
        return f"{type(error).__name__}"


def series():
    import numpy as np

    rng = np.random.default_rng(0)
    preds, targets = rng.normal(1e4, 1, (2, 1000)).astype(np.float32)
    p, t = preds.astype(float), targets.astype(float)
    correct = 1 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()
    ROWS["R2 of unrelated series at an offset of 1e4"] = f"{correct:.6g}"
    return preds, targets


def tokens():
    """Return logits, labels and masks of two batches with 128 and 8 real tokens."""
    import numpy as np

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (2, 128, 32)).astype(np.float32)
    labels = rng.integers(0, 32, (2, 128)).astype(np.int32)
    mask = np.ones((2, 128), bool)
    mask[1, 8:] = False
    shifted = logits - logits.max(-1, keepdims=True)
    nll = np.log(np.exp(shifted.astype(float)).sum(-1)) - np.take_along_axis(
        shifted, labels[..., None], -1
    )[..., 0].astype(float)
    ROWS["perplexity over a batch of 128 tokens and a batch of 8"] = (
        f"{np.exp(nll[mask].mean()):.6g}"
    )
    return logits, labels, mask


def repeated(merge, start, n):
    import jax

    return jax.jit(lambda s: jax.lax.fori_loop(0, n, lambda _, t: merge(t), s))(start)


def collectives(step, *args) -> int:
    import jax

    text = jax.jit(step).lower(*args).compile().as_text()
    return len(re.findall(r"\b(?:all-\w+|reduce-scatter|collective-\w+)\(", text))


def sharded(n=8):
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as P

    mesh = Mesh(np.array(jax.devices()), ("data",))
    rows = np.ones((10, n * 8), np.float32)
    return mesh, jax.device_put(rows, NamedSharding(mesh, P(None, "data")))


def jaxmetrics():
    import jax.numpy as jnp
    import numpy as np

    import jaxmetrics as jm

    names = list(ROWS)
    logits, labels, mask = tokens()

    def counted():
        start = jm.Count().replace(count=2**24)
        total = repeated(lambda m: m.update(values=jnp.zeros(1)), start, 1000)
        return total.compute() - 2**24

    def mean_of_ones():
        start = jm.Mean().replace(total=2**31 - 1, count=2**31 - 1)
        return start.update(values=np.ones(8)).compute()

    def drift():
        step = jm.Mean().from_model_output(values=np.float32(0.1))
        return repeated(lambda m: m.merge(step), jm.Mean(), 5_000_000).compute()

    def perplexity():
        m = jm.Perplexity()
        for i in range(2):
            m = m.update(logits=logits[i], labels=labels[i], mask=mask[i])
        return m.compute()

    def in_step():
        mesh, rows = sharded()
        means = {f"m{i}": jm.Mean(f"v{i}") for i in range(10)}
        state = jm.Collection(**means).deferred(mesh)
        return collectives(
            lambda m, x: m.update(**{f"v{i}": x[i] for i in range(10)}), state, rows
        )

    preds, targets = series()
    return dict(
        zip(
            names,
            [
                counted,
                mean_of_ones,
                drift,
                lambda: jm.evaluate(jm.R2(), preds=preds, targets=targets),
                perplexity,
                lambda: jm.evaluate(
                    jm.Mean(),
                    values=np.array([1, np.nan], np.float32),
                    mask=np.array([True, False]),
                ),
                in_step,
            ],
        )
    )


def clu():
    if importlib.util.find_spec("clu") is None:
        return None
    import jax
    import jax.numpy as jnp
    import numpy as np
    from clu import metrics as cm
    from jax.sharding import PartitionSpec as P

    names = list(ROWS)

    def counted():
        start = cm.Average(jnp.float32(0), jnp.int32(2**24))
        step = cm.Average.from_model_output(jnp.zeros(1))
        return repeated(lambda m: m.merge(step), start, 1000).count - 2**24

    def mean_of_ones():
        start = cm.Average(jnp.float32(2**31 - 1), jnp.int32(2**31 - 1))
        return start.merge(cm.Average.from_model_output(jnp.ones(8))).compute()

    def drift():
        step = cm.Average.from_model_output(jnp.float32([0.1]))
        start = cm.Average.empty()
        return repeated(lambda m: m.merge(step), start, 5_000_000).compute()

    def masked():
        values, mask = jnp.float32([1, np.nan]), jnp.array([True, False])
        return cm.Average.from_model_output(values, mask=mask).compute()

    def in_step():
        mesh, rows = sharded()
        metrics = cm.Collection.create(
            **{f"m{i}": cm.Average.from_output(f"v{i}") for i in range(10)}
        )

        def step(x):
            return metrics.gather_from_model_output(
                axis_name="data", **{f"v{i}": x[i] for i in range(10)}
            )

        specs = dict(in_specs=P(None, "data"), out_specs=P(), check_vma=False)
        return collectives(jax.shard_map(step, mesh=mesh, **specs), rows)

    values = [counted, mean_of_ones, drift, None, None, masked, in_step]
    return dict(zip(names, values))


def metrax():
    if importlib.util.find_spec("metrax") is None:
        return None
    import jax.numpy as jnp
    import metrax as mx
    import numpy as np

    names = list(ROWS)
    logits, labels, mask = tokens()
    preds, targets = series()

    def counted():
        start = mx.Average(jnp.float32(0), jnp.float32(2**24))
        step = mx.Average.from_model_output(jnp.zeros(1))
        return repeated(lambda m: m.merge(step), start, 1000).count - 2**24

    def mean_of_ones():
        start = mx.Average(jnp.float32(2**31 - 1), jnp.float32(2**31 - 1))
        return start.merge(mx.Average.from_model_output(jnp.ones(8))).compute()

    def drift():
        step = mx.Average.from_model_output(jnp.float32([0.1]))
        start = mx.Average(jnp.float32(0), jnp.float32(0))
        return repeated(lambda m: m.merge(step), start, 5_000_000).compute()

    def perplexity():
        parts = [
            mx.Perplexity.from_model_output(
                predictions=jnp.asarray(logits[i][None]),
                labels=jnp.asarray(labels[i][None]),
                sample_weights=jnp.asarray(mask[i][None], jnp.float32),
                from_logits=True,
            )
            for i in range(2)
        ]
        return parts[0].merge(parts[1]).compute()

    def masked():
        values = jnp.float32([1, np.nan])
        weights = jnp.float32([1, 0])
        return mx.Average.from_model_output(values, sample_weights=weights).compute()

    def r2():
        return mx.RSQUARED.from_model_output(
            predictions=jnp.asarray(preds), labels=jnp.asarray(targets)
        ).compute()

    values = [counted, mean_of_ones, drift, r2, perplexity, masked, None]
    return dict(zip(names, values))


def torchmetrics():
    if importlib.util.find_spec("torchmetrics") is None:
        return None
    import torch
    import torchmetrics as tm

    names = list(ROWS)
    logits, labels, mask = tokens()
    preds, targets = series()

    def counted():
        m = tm.MeanMetric()
        m.update(torch.zeros(1))
        m.weight = torch.tensor(float(2**24))
        for _ in range(1000):
            m.update(torch.zeros(1))
        return m.weight - 2**24

    def mean_of_ones():
        m = tm.MeanMetric()
        m.update(torch.ones(1))
        m.mean_value = m.weight = torch.tensor(float(2**31 - 1))
        m.update(torch.ones(8))
        return m.compute()

    def perplexity():
        m = tm.text.Perplexity(ignore_index=-100)
        for i in range(2):
            marked = torch.tensor(labels[i].astype("int64"))
            marked[torch.tensor(~mask[i])] = -100
            m.update(torch.tensor(logits[i][None]), marked[None])
        return m.compute()

    def r2():
        return tm.functional.r2_score(torch.tensor(preds), torch.tensor(targets))

    values = [counted, mean_of_ones, None, r2, perplexity, None, None]
    return dict(zip(names, values))


if __name__ == "__main__":
    main()
