"""Traced integers of 64 bits, which no sketch keeps: they are left out, not cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm

LOSS = np.float32([1, 5])


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def int64(*values):
    return jnp.asarray(values, jnp.int64)


def updated(metric, **outputs):
    return jax.jit(lambda outputs: metric.update(**outputs))(outputs)


def test_a_value_whose_id_is_no_int32_is_not_kept():
    ids = int64(7, 2**32 + 7)
    worst = updated(jm.Worst("loss", k=2), loss=LOSS, ids=ids)
    rows = worst.compute()
    np.testing.assert_array_equal(rows["values"], [1, np.nan])
    assert rows["ids"].tolist() == [7, -1]
    assert worst.diagnostics() == {"invalid": 1}
    reservoir = updated(jm.Reservoir("loss", capacity=2), loss=LOSS, ids=ids)
    assert reservoir.compute()["ids"].tolist() == [7, -1]
    assert reservoir.plain()["nonfinite"] == 1


@pytest.mark.parametrize("bits", [17, 32])
def test_items_are_not_those_of_their_low_bits(bits):
    top = jm.TopItems("tokens", k=2, bits=bits)
    top = updated(top, tokens=int64(2, 2**32 + 2, 2**32 + 2))
    assert top.compute()["items"].tolist() == [2, -1]
    assert top.compute()["counts"].tolist() == [1, 0]
    assert top.plain()["outside"] == 2


def test_a_query_of_32_bits_equals_no_larger_integer():
    counts = jm.CountMin("tokens", queries=(2, 3 * 10**9, -1))
    counts = updated(counts, tokens=int64(2, 2**32 + 2, 3 * 10**9, -1, -1))
    assert counts.compute() == {"2": 1, "3000000000": 1, "-1": 2}
