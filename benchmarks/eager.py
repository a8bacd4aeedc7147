"""Update, merge and compute outside jit, over the same call in the user's own jit.

A call outside jit launches one program, as a jitted function does. The loop of clu has
batches in jit and merges them on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CORES = 1
ROWS, CLASSES, MEANS = 64, 10, 5

Run = Callable[[], object]


def measure(bench: Any) -> None:
    """Time each call and add its rows."""
    import jax

    for name, functions in cases().items():
        if bench.wants(name):
            runs = {
                who: lambda run=run: jax.block_until_ready(run())
                for who, run in functions.items()
            }
            bench.compare(name, runs)


def cases() -> dict[str, dict[str, Run]]:
    """Return functions by case and contender; the first one is the floor."""
    import clu.metrics as cm

    import jaxmetrics as jm

    outputs = batch()
    mean, average = jm.Mean("loss"), cm.Average.from_output("loss")
    three = jm.Collection(accuracy=jm.Accuracy(), loss=mean, last=jm.Last("loss"))
    clu_three = cm.Collection.create(
        accuracy=cm.Accuracy,
        loss=average,
        last=cm.LastValue.from_fun(lambda loss, **_: loss.mean()),
    )
    loop_of_clu = loop(cm.Accuracy, cm.Average.from_output)
    loss = {"loss": outputs["loss"]}
    return {
        **calls("Mean", mean, average.from_model_output, loss),
        **calls(
            "Collection of three",
            three,
            clu_three.single_from_model_output,
            outputs,
        ),
        "clu's loop of six metrics": {
            "clu": loop_of_clu,
            "jaxmetrics": loop(jm.Accuracy, jm.Mean),
        },
    }


def calls(
    name: str, metric: Any, of_batch: Callable[..., Any], outputs: Any
) -> dict[str, dict[str, Run]]:
    """Return update, merge and compute of a metric, beside clu's."""
    import jax

    ours, theirs = metric.empty().update(**outputs), of_batch(**outputs)
    update = jax.jit(lambda state, outputs: state.update(**outputs))
    merge = jax.jit(lambda state, other: state.merge(other))
    compute = jax.jit(lambda state: state.compute())
    return {
        f"update of {name}": {
            "own jit": lambda: update(ours, outputs),
            "jaxmetrics": lambda: ours.update(**outputs),
            "clu": lambda: theirs.merge(of_batch(**outputs)),
        },
        f"merge of {name}": {
            "own jit": lambda: merge(ours, ours),
            "jaxmetrics": lambda: ours.merge(ours),
            "clu": lambda: theirs.merge(theirs),
        },
        f"compute of {name}": {
            "own jit": lambda: jax.device_get(compute(ours)),
            "jaxmetrics": lambda: ours.compute(),
            "clu": lambda: jax.device_get(theirs.compute()),
        },
    }


def batch() -> dict[str, Any]:
    """Return outputs of a classifier."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "logits": jax.random.normal(keys[0], (ROWS, CLASSES)),
        "labels": jax.random.randint(keys[1], (ROWS,), 0, CLASSES, jnp.int32),
        "loss": jax.random.uniform(keys[2], (ROWS,)),
    }


def loop(accuracy: Any, mean: Callable[[str], Any]) -> Run:
    """Return a step of clu's usual loop: jitted outputs, a merge on the host."""
    import clu.metrics as cm
    import jax

    means = {f"mean_{i}": mean("loss") for i in range(MEANS)}
    metrics = cm.Collection.create(accuracy=accuracy, **means)
    of_batch, outputs = jax.jit(metrics.single_from_model_output), batch()
    state = metrics.empty().merge(of_batch(**outputs))
    return lambda: state.merge(of_batch(**outputs))
