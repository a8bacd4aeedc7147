"""The messages of docs/loaders.md are those that the mistakes raise."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmetrics as jm

PAGE = Path(__file__).parents[2] / "docs" / "loaders.md"
LOSS = np.ones(13, np.float32)


def deferred():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    return jm.Collection(loss=jm.Mean("loss")).deferred(mesh)


def ignores_the_mask():
    step = jax.jit(lambda _, metrics, batch: metrics.update(loss=batch["loss"]))
    jm.evaluate_loop(step, None, [{"loss": LOSS}], deferred())


MISTAKES = {
    "Rows": lambda: deferred().update(loss=LOSS),
    "Padding": ignores_the_mask,
    "Arrays": lambda: jm.pad_batch({"labels": LOSS[:5], "logits": LOSS}, 8),
    "A mask of another": lambda: jm.Mean("loss").update(
        loss=LOSS, mask=np.ones(16, bool)
    ),
    "A mask of numbers": lambda: jm.pad_batch({"loss": LOSS, "mask": LOSS}, 8),
    "`maks=`": lambda: deferred().update(loss=LOSS[:8], maks=LOSS[:8]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_raises_the_documented_message(mistake):
    section = PAGE.read_text().partition("## What goes wrong")[2]
    (row,) = [line for line in section.splitlines() if line.startswith(f"| {mistake}")]
    (*_, message) = re.findall(r"`([^`]+)`", row)
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        MISTAKES[mistake]()
