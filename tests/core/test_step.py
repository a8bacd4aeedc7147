"""Twenty metrics in a train step: one executable, no second compile, donated state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm


def twenty():
    """Twenty metrics of a classifier."""
    means = {f"mean_{i}": jm.Mean("loss").on(mask=f"part_{i}") for i in range(6)}
    return jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        balanced=jm.Accuracy(average="macro", classes=10),
        top3=jm.TopKAccuracy(k=3),
        top5=jm.TopKAccuracy(k=5),
        confusion=jm.ConfusionMatrix(10),
        entropy=jm.CrossEntropy(),
        perplexity=jm.Perplexity(),
        smallest=jm.Min("loss"),
        largest=jm.Max("loss"),
        spread=jm.Std("loss"),
        variance=jm.Variance("loss", ddof=1),
        rate=jm.Last("rate"),
        examples=jm.Count("loss"),
        **means,
    )


def batch(mesh):
    rng = np.random.default_rng(0)
    rows = dict(
        x=rng.normal(size=(64, 16)).astype(np.float32),
        labels=rng.integers(0, 10, 64).astype(np.int32),
    )
    rows |= {f"part_{i}": rng.random(64) < 0.5 for i in range(6)}
    return jax.device_put(rows, NamedSharding(mesh, P("data")))


@pytest.mark.parametrize("form", ["placed", "deferred"])
def test_a_step_with_twenty_metrics_is_one_executable(form):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    start = twenty().place(mesh) if form == "placed" else twenty().deferred(mesh)
    assert len(twenty()) == 20
    weights = jax.device_put(np.zeros((16, 10), np.float32), NamedSharding(mesh, P()))

    @jax.jit
    def losses(w, b):
        logits = b["x"] @ w
        picked = jnp.take_along_axis(logits, b["labels"][:, None], -1)[:, 0]
        return (jax.nn.logsumexp(logits, -1) - picked).mean(), logits

    def step(w, metrics, b):
        (loss, logits), grads = jax.value_and_grad(losses, has_aux=True)(w, b)
        parts = {name: b[name] for name in b if name.startswith("part")}
        each = jax.nn.logsumexp(logits, -1)
        metrics = metrics.update(
            loss=each, rate=0.1, logits=logits, labels=b["labels"], **parts
        )
        return w - 0.1 * grads, metrics

    step = jax.jit(step, donate_argnums=(0, 1))
    compiled = []

    def note(event, *_, fun_name="", **__):
        if "backend_compile" in event:
            compiled.append(fun_name)

    rows = batch(mesh)
    jax.block_until_ready((weights, start, rows))
    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        metrics = start
        for _ in range(4):
            weights, metrics = step(weights, metrics, rows)
    finally:
        jax.monitoring.clear_event_listeners()
    assert len(compiled) == 1, "whatever else is launched has to be compiled too"
    assert all(x.is_deleted() for x in jax.tree.leaves(start))
    assert metrics.compute()["examples"] == 4 * 64
