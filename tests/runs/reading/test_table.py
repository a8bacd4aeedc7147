import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmetrics.runs.reading._table import TableBuilder, as_array

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
    assert in_block.add(rows) == []
    for row in rows:
        assert one_by_one.add([row]) == []
    table = one_by_one.table()
    assert_same(in_block.table(), table)
    assert_joined(table, rows)


def assert_same(actual, expected):
    assert (actual.names, actual.conflicts) == (expected.names, expected.conflicts)
    np.testing.assert_array_equal(actual.steps, expected.steps)
    np.testing.assert_array_equal(actual.splits, expected.splits)
    assert set(actual.columns) == set(expected.columns)
    for key in actual.columns:
        np.testing.assert_equal(actual.columns[key], expected.columns[key])


def assert_joined(table, rows):
    """Compare a table with what a person reads in the rows, from first to last."""
    records, columns, disagree = {}, {}, {}
    for row in rows:
        step, split = row["step"], row["split"]
        record = records.setdefault((step, split), {})
        for key, value in row.items():
            if key in ("step", "split"):
                continue
            value = float(value)
            column = columns.setdefault(key, {})
            if key == "time":
                record.setdefault(key, value)
                column.setdefault(step, value)
                continue
            if step in column and not same(column[step], value):
                disagree.setdefault(key, set()).add(step)
            record[key] = column[step] = value
    assert [(s, table.names[i]) for s, i in zip(table.steps, table.splits)] == sorted(
        records, key=lambda record: (record[0], table.names.index(record[1]))
    )
    for key, column in columns.items():
        steps, values = table.column(key)
        assert steps.tolist() == sorted(column)
        np.testing.assert_array_equal(values, [column[s] for s in sorted(column)])
        dense = table.dense(key)
        for index, record in enumerate(zip(table.steps, table.splits)):
            step, split = record
            expected = records[step, table.names[split]].get(key, math.nan)
            assert same(dense[index], expected)
    expected = {key: (len(steps), min(steps)) for key, steps in disagree.items()}
    assert table.conflicts == expected


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


def test_arrays_are_joined_as_numbers_are():
    lines = [
        (2, "val", [[1, "NaN"]]),
        (1, "train", [[5, 6]]),
        (2, "train", [[1, "NaN"]]),
        (1, "train", [[7, "Infinity"]]),
    ]
    builder = TableBuilder()
    for step, split, value in lines:
        assert builder.add([{"step": step, "split": split, "x": value}]) == []
    table = builder.table()
    steps, arrays = table.array_column("x")
    assert steps.tolist() == [1, 2] and not table.columns
    np.testing.assert_array_equal(arrays, [[[7, math.inf]], [[1, math.nan]]])
    assert table.conflicts == {"x": (1, 1)}
    assert len(table.arrays["x"].values) == 3  # one for each record
    known = [value for value in table.arrays["x"].values if value is not None]
    assert known and not any(value.flags.writeable for value in known)


def test_arrays_of_rows_with_different_keys_are_in_the_order_of_their_lines():
    rows = [{"step": n, "x": [n], **({"y": 1.0} if n % 2 else {})} for n in range(9)]
    rows += [{"step": 4, "x": [44], "y": 2.0}, {"step": 4, "x": [4]}]
    builder = TableBuilder()
    assert builder.add(rows) == []
    table = builder.table()
    steps, arrays = table.array_column("x")
    assert (steps.tolist(), np.ravel(arrays).tolist()) == ([*range(9)],) * 2
    assert table.conflicts == {"x": (1, 4)}


@pytest.mark.parametrize(
    "value", [["text"], [[1], [2, 3]], [1, None], [{}], {"a": 1}, [[[]], 1], [[1], 2]]
)
def test_lists_that_are_no_arrays_are_counted_as_left_out(value):
    builder = TableBuilder()
    builder.add([{"step": 1, "x": value, "time": [1.0]}])
    table = builder.table()
    assert table.left_out == {"x": 1, "time": 1} and not table.arrays


def test_arrays_keep_large_integers_and_numbers_as_text():
    value = [2**70, -(10**400), "9223372036854775808", True]
    assert as_array(value).tolist() == [2.0**70, -math.inf, 2.0**63, 1.0]
    assert as_array([]).shape == (0,)


def test_a_row_that_is_not_a_record_is_described_and_the_others_are_added():
    builder = TableBuilder()
    rows = [
        {"step": 1, "split": "train", "x": 1.0},
        {"step": True, "split": "train", "x": 2.0},
        {"step": 2, "split": "val", "x": "text"},
        {"split": "train", "x": 3.0},
        {"step": 2**63, "split": "val", "x": 4.0},
        {"step": 3, "split": 2, "x": 5.0},
        {"step": 3, "split": ["train"], "x": 5.0},
        {"kind": "header", "step": 4},
        {"wall_time_ms": "soon"},
        {"step": -(2**63)},
        {},
        {"step": 5, "split": "test", "x": None},
    ]
    problems = builder.add(rows)
    no_step = "a row without a step of 64 bits"
    assert problems == [
        (1, no_step),
        (3, no_step),
        (4, no_step),
        (5, "a row whose split is not a string"),
        (6, "a row whose split is not a string"),
        (8, problems[5][1]),
        (10, no_step),
    ]
    table = builder.table()
    assert table.names == ("train", "val", "test") and table.left_out == {"x": 1}
    assert table.steps.tolist() == [-(2**63), 1, 2, 5]
    assert table.column("x")[0].tolist() == [1]


def test_integers_beyond_the_range_of_floats_are_infinite():
    builder = TableBuilder()
    builder.add([{"step": 1, "x": 10**400, "y": -(10**400)}])
    table = builder.table()
    assert table.column("x")[1].tolist() == [math.inf]
    assert table.column("y")[1].tolist() == [-math.inf]
