"""Trees of arrays with groups, and their norms by NumPy in float64."""

import re

import jax
import numpy as np

from jaxmetrics.telemetry import Stacked

COLLECTIVES = re.compile(
    r"= (.*) (all-reduce|all-gather|collective-permute|reduce-scatter|all-to-all)"
    r"(?:-start)?\("
)


def tree(seed, dtype=np.float32):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3)).astype(dtype)

    return {
        "blocks": {"bias": draw(3, 16), "kernel": draw(3, 16, 8)},
        "embed": draw(32, 16),
        "head": [draw(16, 8), draw(8)],
    }


GRADS, UPDATES, PARAMS = tree(0), tree(1), tree(2)
GROUPS = {
    "block": Stacked("blocks/**"),
    "ends": ("embed", "head/**"),
    "bias": "**/bias",
}


def flat(part, dtype=np.float64):
    return np.concatenate([np.ravel(x).astype(dtype) for x in jax.tree.leaves(part)])


def parts(whole):
    """Yield the suffix of the keys of each group, and the arrays of the group."""
    yield "", whole
    for i in range(3):
        yield f"/block/{i}", jax.tree.map(lambda x, i=i: x[i], whole["blocks"])
    yield "/ends", [whole["embed"], whole["head"]]
    yield "/bias", whole["blocks"]["bias"]
