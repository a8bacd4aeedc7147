"""Sums of one batch, in programs for TPUs: no sort, and no scatter for few cells."""

import functools

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tpu.programs import TOPOLOGIES, compiled, mesh_of

import jaxmetrics as jm

ROWS = 1 << 20


def by_cell(cells, index, weights):
    """Sum weights by cell, and count the cells."""
    sums = jm.count_at(index, (cells,), None, weights).pair()
    return sums, jm.count_at(index, (cells,))


def total(index, weights):
    """Sum the weights and the integers."""
    return jm.total(weights).pair(), jm.total(index).pair()


def program(function, topology):
    """Return the program for rows that are sharded over all devices."""
    sharding = NamedSharding(mesh_of(topology), P("data"))
    operands = [
        jax.ShapeDtypeStruct((ROWS,), dtype, sharding=sharding)
        for dtype in (np.int32, np.float32)
    ]
    return compiled(function, operands)


@pytest.mark.parametrize("cells", [15, 4096])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_sums_by_cell_have_no_sort(cells, topology):
    text = program(functools.partial(by_cell, cells), topology).text
    assert " sort(" not in text
    assert cells > 64 or " scatter(" not in text


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_sums_move_partial_results_only(topology):
    made = program(total, topology)
    assert " sort(" not in made.text
    assert set(made.collectives()) <= {"all-gather", "all-reduce"}
