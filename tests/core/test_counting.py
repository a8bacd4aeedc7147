"""`count_at`: an index out of range of one axis names no cell at all."""

import numpy as np
import pytest

import jaxmetrics as jm

OUT_OF_RANGE = np.int32([-1, -100, 3, 2**31 - 1])


def test_an_index_out_of_range_is_not_counted():
    index = np.append(OUT_OF_RANGE, np.int32(1))
    assert jm.count_at(index, (3,)).tolist() == [0, 1, 0]


@pytest.mark.parametrize("row", [0, 1])
def test_a_column_out_of_range_does_not_wrap_into_another_row(row):
    columns = np.append(OUT_OF_RANGE, np.int32(1))
    rows = np.full(columns.shape, row, np.int32)
    expected = np.zeros((2, 3), int)
    expected[row, 1] = 1
    assert jm.count_at((rows, columns), (2, 3)).tolist() == expected.tolist()


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_out_of_range_is_not_counted(row):
    index = (np.int32([row] * 3), np.int32([0, 1, 2]))
    assert not jm.count_at(index, (2, 3)).any()
