import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.runs.reading import _table
from jaxmetrics.runs.reading._table import TableBuilder

ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["train/loss", "val/loss", "time", "tokens", "lr/lr"]),
        st.floats(allow_nan=False) | st.integers(-(2**70), 2**70) | st.just("NaN"),
        max_size=4,
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_a_block_of_rows_gives_the_same_table_as_single_rows(rows, random):
    for row in rows:
        row |= {"step": random.randrange(5), "split": random.choice(["train", "val"])}
    in_block, one_by_one = TableBuilder(), TableBuilder()
    min_block = _table._MIN_BLOCK
    try:
        _table._MIN_BLOCK = 1
        added = in_block.add_all(rows)
    finally:
        _table._MIN_BLOCK = min_block
    assert added or not rows or any("NaN" in row.values() for row in rows)
    for row in rows:
        one_by_one.add(row)
        if not added:
            in_block.add(row)
    actual, expected = in_block.table(), one_by_one.table()
    assert actual.names == expected.names
    np.testing.assert_array_equal(actual.steps, expected.steps)
    np.testing.assert_array_equal(actual.splits, expected.splits)
    assert set(actual.columns) == set(expected.columns)
    for key in actual.columns:
        for array, expected_array in zip(actual.columns[key], expected.columns[key]):
            np.testing.assert_array_equal(array, expected_array)


def test_a_block_with_a_text_is_refused_as_a_whole():
    rows = [{"step": n, "train/loss": 1.0} for n in range(20)]
    rows[13]["train/note"] = "text"
    builder = TableBuilder()
    assert not builder.add_all(rows)
    assert len(builder.table().steps) == 0


def test_a_row_that_is_not_a_record_is_described():
    builder = TableBuilder()
    assert builder.add({"step": True}) == "a row without a step of 64 bits"
    assert builder.add({"step": 1, "split": 2}) == "a row whose split is not a string"
    assert builder.add({"step": 1}) is None


def test_integers_beyond_the_range_of_floats_are_infinite():
    builder = TableBuilder()
    builder.add({"step": 1, "x": 10**400, "y": -(10**400)})
    table = builder.table()
    assert table.column("x")[1].tolist() == [math.inf]
    assert table.column("y")[1].tolist() == [-math.inf]
