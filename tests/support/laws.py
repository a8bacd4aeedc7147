"""Helpers of the law tests: example outputs of a case, and comparison of states."""

from __future__ import annotations

import math
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import monitoring

import jaxmetrics as jm
from jaxmetrics.core._kinds import Count

ROWS = 64
LARGE = 2**33 - 1

_COMPILE = "/jax/core/compile/backend_compile_duration"
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+))\[([\d,]*)\]")
_COLLECTIVE = re.compile(
    r"\b(all-reduce|all-gather|collective-permute|reduce-scatter|all-to-all)"
    r"(?:-start)?\("
)


def draw(case, rows=ROWS):
    """Return example outputs of a case, the same at every call."""
    return case.outputs(np.random.default_rng(zlib.crc32(case.name.encode())), rows)


def take(outputs, rows):
    """Return rows of every output, by index, slice or mask."""
    return {name: x[rows] for name, x in outputs.items()}


def rounded(outputs):
    """Return the outputs with floats as bfloat16."""
    return {
        name: x.astype(jnp.bfloat16) if x.dtype == np.float32 else x
        for name, x in outputs.items()
    }


def spoiled(outputs, keep):
    """Return the outputs with invalid values in the rows that are not kept."""
    invalid = {"f": np.nan, "i": -100, "b": True}
    return {
        name: np.where(keep.reshape(-1, *[1] * (x.ndim - 1)), x, invalid[x.dtype.kind])
        .astype(x.dtype)
        .copy()
        for name, x in outputs.items()
    }


def scores_and_classes(case):
    """Return the names of outputs of floats, and the classes in those of class numbers.

    The number of classes is None if no metric of the case knows it.
    """
    outputs, metric = draw(case, 1), case.metric
    floats = [n for n, x in outputs.items() if x.dtype.kind == "f" and n != "weights"]
    classes = getattr(metric, "classes", None)
    if getattr(metric, "task", "") in ("binary", "multilabel"):
        classes = 2
    elif floats and "labels" in outputs and "losses" not in floats:
        scores, labels = outputs[floats[0]], outputs["labels"]
        classes = scores.shape[-1] if scores.ndim > labels.ndim else 2
    sizes = dict(
        labels=classes,
        preds=getattr(metric, "clusters", classes),
        clicks=2,
        groups=getattr(metric, "groups", None),
        experts=getattr(metric, "experts", None),
    )
    integers = (name for name, x in outputs.items() if x.dtype.kind == "i")
    return floats, {name: sizes[name] for name in integers if name in sizes}


def with_bad_classes(case, outputs, keep):
    """Return the outputs with class numbers out of range in the rows not kept.

    Each such row has one of -1, the number of classes and 2^31 - 1 in one output.
    """
    outputs = {name: x.copy() for name, x in outputs.items()}
    _, classes = scores_and_classes(case)
    faults = [
        (name, number)
        for number in (-1, 2**31 - 1, None)
        for name, size in classes.items()
        if (number or size) is not None
    ]
    for i, row in enumerate(np.flatnonzero(~keep)):
        if faults:
            name, number = faults[i % len(faults)]
            outputs[name][row] = classes[name] if number is None else number
    return outputs


def with_nan(case, outputs, keep, which):
    """Return the outputs with a NaN in one of them, in the rows not kept."""
    floats, _ = scores_and_classes(case)
    outputs = {name: x.copy() for name, x in outputs.items()}
    for name in floats[which : which + 1]:
        x = outputs[name]
        x.reshape(len(x), -1)[~keep, 0] = np.nan
    return outputs


def with_bad_probs(outputs, keep):
    """Return the outputs with probabilities of -0.25 and 1.5 in the rows not kept."""
    outputs = {name: x.copy() for name, x in outputs.items()}
    if "probs" in outputs:
        bad = np.flatnonzero(~keep)
        outputs["probs"][bad[::2]] = -0.25
        outputs["probs"][bad[1::2]] = 1.5
    return outputs


def faults(state):
    """Return the leaves that count faults of the data, in bits by path."""
    words = ("invalid", "nonfinite")
    return {path: x for path, x in bits(state).items() if any(w in path for w in words)}


def counts(state):
    """Return the leaves of a metric that are counts, as integers by name."""
    if not isinstance(state, jm.Metric):
        return {}
    plain, leaves = state.plain(), state._leaves
    return {
        name: plain[name]
        for name, leaf in leaves.items()
        if isinstance(leaf.layout(state).kind, Count)
    }


def with_large_counts(state):
    """Return a state whose counts are beyond float32 and at the end of a limb."""
    large = {name: count * 0 + LARGE for name, count in counts(state).items()}
    return host(state.replace(**large)) if large else state


def expected(case, outputs):
    """Return the value of the reference, in float64."""
    wide = {
        name: x if x.dtype.kind in "biu" else np.asarray(x, np.float64)
        for name, x in outputs.items()
    }
    return case.reference(**wide)


def assert_value(case, value, expected_value, tolerance=None):
    """Check a computed value; from counts, to the last bits of a float64 division."""
    if tolerance is None:
        tolerance = 1e-14 if case.exact else case.tolerance
    np.testing.assert_allclose(
        np.asarray(value, np.float64),
        np.asarray(expected_value, np.float64),
        rtol=tolerance,
        atol=tolerance,
        err_msg=f"{case.name} (tolerance {tolerance}: {case.reason})",
    )


def assert_same(case, state, other):
    """Check that two states are equal: in bits, or in floats within the tolerance."""
    assert jax.tree.structure(state) == jax.tree.structure(other), case.name
    if case.by_value:
        assert_value(case, host(state).compute(), host(other).compute())
        return
    if case.exact:
        assert bits(state) == bits(other), f"{case.name}: {state} != {other}"
        return
    plain, other_plain = host(state).plain(), host(other).plain()
    for name, value in plain.items():
        for a, b in zip(jax.tree.leaves(value), jax.tree.leaves(other_plain[name])):
            assert_value(case, a, b)


def bits(state):
    """Return every leaf by its path, as type, shape and bytes."""
    return {
        jax.tree_util.keystr(path): (x.dtype, x.shape, np.asarray(x).tobytes())
        for path, x in jax.tree_util.tree_leaves_with_path(state)
    }


def host(tree):
    """Return the tree with NumPy leaves."""
    return jax.tree.map(np.asarray, tree)


def member(tree, i):
    """Return one of the trees that are stacked along the leading axis."""
    return jax.tree.map(lambda x: np.asarray(x)[i], tree)


def types(tree):
    """Return the structure and the type of every leaf, as traced."""
    leaves = [
        (x.shape, x.dtype, getattr(x, "weak_type", False))
        for x in jax.tree.leaves(tree)
    ]
    return jax.tree.structure(tree), leaves


def collectives(text):
    """Return the collectives of an optimized program, in order."""
    return _COLLECTIVE.findall(text)


def collective_arrays(text):
    """Return each array that a collective of an optimized program yields, with bytes.

    >>> collective_arrays("%x = (u32[2,3]{1,0}, pred[]) all-reduce(%y, %z)")
    {'all-reduce u32[2,3]': 24, 'all-reduce pred[]': 1}
    """
    arrays = {}
    for line in text.splitlines():
        if found := _COLLECTIVE.search(line):
            for kind, width, shape in _ARRAY.findall(line[: found.start()]):
                size = math.prod(int(x) for x in shape.split(",") if x)
                name = f"{found[1]} {kind}[{shape}]"
                arrays[name] = size * max(int(width or 8) // 8, 1)
    return arrays


class Compilations:
    """Count the programs that XLA compiles inside a `with` block."""

    def __enter__(self):
        self.count = 0
        monitoring.register_event_duration_secs_listener(self._on_event)
        return self

    def __exit__(self, *error):
        monitoring.unregister_event_duration_listener(self._on_event)

    def _on_event(self, event, seconds, **details):
        self.count += event == _COMPILE
