"""A table of names counts strings as a dict does."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmetrics.aggregator import _string_table
from jaxmetrics.aggregator._string_table import (
    MAX_NAMES,
    StringTable,
    count_strings,
    table_width,
)

NAMES = st.text(st.sampled_from("ab\0å\ud800\U0010ffff"), max_size=4)


def strings(names, size, seed, dtype=None):
    """Return an array of `size` strings drawn from some names."""
    return np.random.default_rng(seed).choice(np.array(names, dtype), size)


@given(
    st.lists(NAMES, min_size=1, max_size=9), st.integers(0, 9), st.integers(4000, 9000)
)
def test_counts_are_those_of_a_counter_in_its_order(names, seed, size):
    array = strings(names, size, seed)
    assert list(count_strings(array).items()) == list(Counter(array.tolist()).items())


@given(
    st.lists(NAMES, unique=True, max_size=9),
    st.lists(NAMES, min_size=1, max_size=9),
    st.integers(1, 5),
)
def test_what_a_table_does_not_find_is_returned(known, names, width):
    array = strings(names, 200, 0, f"U{width}")
    counts, others = StringTable(known, width).count(array)
    total = Counter(dict(zip(known, counts.tolist()))) + Counter(others.tolist())
    assert total == Counter(array.tolist())
    found = [x for x in array.tolist() if x not in others.tolist()]
    assert not set(found) - set(known)


def test_a_table_finds_all_names_that_it_knows():
    for names in (["en"], ["en", "sv", "de"], [f"category-{i}" for i in range(1000)]):
        array = strings(names, 5000, 0)
        counts, others = StringTable(names, table_width(array) or 0).count(array)
        assert counts.sum() == 5000
        assert others.size == 0


def test_names_that_an_array_cannot_store_are_not_found():
    table = StringTable(["abc", "ab\0", "x\0"], 2)
    counts, others = table.count(np.array(["ab", "x"]))
    assert (counts.tolist(), others.tolist()) == ([0, 0, 0], ["ab", "x"])


def test_more_names_than_a_table_holds_are_counted():
    names = [f"{i:x}" for i in range(3 * MAX_NAMES)]
    assert len(StringTable(names, 4)) == MAX_NAMES
    array = strings(names, 40_000, 0)
    assert count_strings(array) == Counter(array.tolist())


@pytest.mark.parametrize(
    ("indices", "tables"),
    [
        (np.arange(50_000) % 4, [4]),
        (np.arange(50_000), []),
        (np.arange(50_000) // 2048, [1]),  # sorted: a sample tells little
    ],
)
def test_a_table_is_made_where_it_finds_many_strings(monkeypatch, indices, tables):
    made = []

    class Recorded(StringTable):
        def __init__(self, names, width):
            made.append(len(names))
            super().__init__(names, width)

    monkeypatch.setattr(_string_table, "StringTable", Recorded)
    array = np.array([f"{i:x}" for i in indices])
    assert count_strings(array) == Counter(array.tolist())
    assert made == tables


@pytest.mark.parametrize("dtype", [">U3", "<U3"])
def test_any_layout_in_memory_is_read(dtype):
    array = strings(["en", "sv", "nor"], 20_000, 0, dtype)
    for view in (array[::2], array[::-1], array.reshape(100, 200)[:, 3]):
        counts, others = StringTable(["sv", "en"], 3).count(view)
        expected = Counter(view.tolist())
        assert counts.tolist() == [expected["sv"], expected["en"]]
        assert set(others.tolist()) == {"nor"}


@pytest.mark.parametrize(
    ("dtype", "width"), [("U1", 1), ("U128", 128), ("U129", None), ("S4", None)]
)
def test_strings_of_fixed_width_have_tables(dtype, width):
    assert table_width(np.zeros(1, dtype)) == width
