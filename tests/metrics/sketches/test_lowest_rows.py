"""Rows of the lowest words: ties, identical rows, many axes, shards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.laws import collective_arrays

from jaxmetrics.metrics.sketches._lowest_rows import (
    EMPTY,
    ids_of_words,
    lowest_rows,
    words_of_ids,
)

lowest = jax.jit(lowest_rows, static_argnums=1)
SHAPES = {"one axis": (3000,), "two axes": (96, 40), "odd": (7, 11, 13), "few": (60,)}


def drawn(shape, spread, empty=0.2):
    """Words with ties where the spread is small, and rows that are none."""
    rng = np.random.default_rng(len(shape) + spread)
    words = [rng.integers(0, spread, shape).astype(np.uint32) for _ in range(3)]
    words[0] = np.where(rng.random(shape) < empty, EMPTY, words[0] << 5)
    return words


def sorted_rows(words, k):
    rows = zip(*(x.ravel().tolist() for x in words))
    rows = sorted(row for row in rows if row[0] != EMPTY)[:k]
    return [*rows, *[(EMPTY,) * len(words)] * (k - len(rows))]


def as_rows(words):
    return list(zip(*(np.asarray(x).tolist() for x in words)))


@pytest.mark.parametrize("k", [1, 70])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_they_are_the_first_of_the_sorted_rows(shape, k):
    for spread in (1, 3, 40, 1 << 26):  # the more, the fewer rows are equal
        words = drawn(shape, spread)
        assert as_rows(lowest(words, k)) == sorted_rows(words, k), spread


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_fewer_rows_than_asked_for_among_many_that_are_none(rows):
    words = drawn((2000,), 1 << 26, empty=0)
    words[0][rows:] = EMPTY
    assert as_rows(lowest(words, 5)) == sorted_rows(words, 5)


def test_the_rank_of_the_last_row_may_be_its_largest_word():
    words = [np.full(1000, EMPTY - np.uint32(1)), np.arange(1000, dtype=np.uint32)]
    assert as_rows(lowest(words, 4)) == sorted_rows(words, 4)


def test_words_of_ids_are_ordered_as_the_ids():
    ids = np.int32([-(2**31), -7, -1, 0, 5, 2**31 - 1])
    words = np.asarray(words_of_ids(jnp.asarray(ids)))
    assert (np.diff(words.astype(np.int64)) > 0).all()
    assert ids_of_words(jnp.asarray(words)).tolist() == ids.tolist()


PLACES = {
    "data": ((8,), P("data"), (4096,)),
    "data of two axes": ((8,), P("data"), (4096, 3)),
    "data x model": ((4, 2), P("data", "model"), (512, 128)),
    "both along one axis": ((4, 2), P(("data", "model")), (4096,)),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_sharded_batch_is_not_gathered(place):
    devices, spec, shape = place
    names = ("data", "model")[: len(devices)]
    mesh = Mesh(np.array(jax.devices()).reshape(devices), names)
    words = jax.device_put(drawn(shape, 30), NamedSharding(mesh, spec))
    arrays = collective_arrays(lowest.lower(words, 20).compile().as_text())
    assert "all-reduce u32[256]" in arrays
    assert max(arrays.values()) <= 4 * 2048 < words[0].size * 4
    assert as_rows(lowest(words, 20)) == sorted_rows([*map(np.asarray, words)], 20)
