"""Helpers of the law tests: example outputs of a case, and comparison of states."""

from __future__ import annotations

import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import monitoring

ROWS = 64

_COMPILE = "/jax/core/compile/backend_compile_duration"
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
