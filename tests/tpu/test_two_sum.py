"""The exact sum's operations are all in the program that a TPU would run.

A compiler that knows one operand may think that `(a + b) - a` is `b`, and drop what
makes the sum exact.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from tpu.programs import (
    TOPOLOGIES,
    compiled,
    mesh_of,
    replicated,
    written_arithmetic,
)

import jaxmetrics as jm
from jaxmetrics.core._arithmetic import pair_add, two_sum

TWO_SUM = np.array([2, 4])  # additions, subtractions
PAIR_ADD = 2 * TWO_SUM + 2 * np.array([1, 2]) + np.array([2, 0])

every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)


def numbers(topology, count):
    """Arrays that stand for so many numbers."""
    return replicated([np.float32(0)] * count, mesh_of(topology))


@every_topology
@pytest.mark.parametrize("rows", [(), (1024,)], ids=["scalars", "arrays"])
def test_every_operation_is_kept(topology, rows):
    a, b, c, d = replicated([np.zeros(rows, np.float32)] * 4, mesh_of(topology))
    assert compiled(two_sum, (a, b)).arithmetic() == tuple(TWO_SUM)
    assert compiled(pair_add, ((a, b), (c, d))).arithmetic() == tuple(PAIR_ADD)


def update(state, value):
    return state.update(values=value)


@every_topology
def test_a_merge_of_sums_keeps_every_operation(topology):
    state = replicated(jm.Sum(), mesh_of(topology))

    def merge(a, b):
        return a.merge(b)

    assert written_arithmetic(merge, (state, state)) == tuple(PAIR_ADD)
    assert compiled(merge, (state, state)).arithmetic() == tuple(PAIR_ADD)


@every_topology
def test_an_update_of_a_sum_keeps_every_operation(topology):
    operands = replicated(jm.Sum(), mesh_of(topology)), *numbers(topology, 1)
    additions, subtractions = compiled(update, operands).arithmetic()
    # Additions of a literal zero, a single value's low parts, are rightly dropped.
    assert subtractions == written_arithmetic(update, operands)[1]
    assert additions >= PAIR_ADD[0] and subtractions >= PAIR_ADD[1]


@every_topology
@pytest.mark.parametrize("start", [0.0, 1e8, -1 / 3])
def test_so_does_an_update_of_a_state_that_the_compiler_knows(topology, start):
    known = jm.Sum().replace(total=start)
    (value,) = numbers(topology, 1)
    operands = replicated(jm.Sum(), mesh_of(topology)), value
    program = compiled(lambda value: update(known, value), (value,))
    assert program.arithmetic() == compiled(update, operands).arithmetic()


@every_topology
def test_every_kind_of_sum_does_as_much_with_a_known_state(topology):
    metrics = jm.Collection(
        mean=jm.Mean(weighted=True),
        spread=jm.Variance(),
        weighted=jm.Variance(weighted=True),
    )
    values = np.random.default_rng(0).normal(1e3, 1, 8).astype(np.float32)
    known = metrics.from_model_output(values=values, weights=np.ones_like(values))
    traced = replicated(metrics, mesh_of(topology))

    def merge(a, b):
        return a.merge(b)

    kept = compiled(merge, (traced, traced)).arithmetic()
    assert compiled(lambda a: a.merge(known), (traced,)).arithmetic() == kept
    assert compiled(lambda b: known.merge(b), (traced,)).arithmetic() == kept
    # Additions of a literal zero, a batch's low part, are rightly dropped.
    assert kept[1] == written_arithmetic(merge, (traced, traced))[1]


@every_topology
def test_without_the_guard_operations_are_lost(topology):
    known = jnp.float32(1e8), jnp.float32(0)

    def unguarded(hi, lo):
        return pair_add(known, (hi, lo))

    additions, subtractions = compiled(unguarded, numbers(topology, 2)).arithmetic()
    assert additions < PAIR_ADD[0] and subtractions < PAIR_ADD[1]
