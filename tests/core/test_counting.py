"""Counts and sums: masks, weights, scalars and indices out of range."""

import jax
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


def test_an_index_that_is_no_integer_or_of_another_shape_is_refused():
    with pytest.raises(TypeError, match="count_at takes integers, got .* float32"):
        jm.count_at(np.float32([0.9]), (2,))
    rows, columns = np.int32([0, 1]), np.int32([[0], [1]])
    with pytest.raises(ValueError, match=r"shapes \[\(2,\), \(2, 1\)\]"):
        jm.count_at((rows, columns), (2, 2))


def test_scalar_weights_multiply_scalar_values():
    mean = jm.Mean("loss", weighted=True)
    mean = mean.update(loss=2.0, weights=10.0).update(loss=8.0, weights=1.0)
    assert float(mean.compute()) == pytest.approx(28 / 11)
    one_weight = jm.evaluate(
        jm.Sum("loss", weighted=True), loss=[1.0, 2.0], weights=3.0
    )
    assert float(one_weight) == 9


@pytest.mark.parametrize("values", [2.0, [2.0], [[2.0, 1.0]]])
def test_a_scalar_mask_masks_everything(values):
    mask = np.array(False)
    assert jm.count_where(np.ones(np.shape(values), bool), mask) == 0
    assert jm.count_elements(values, mask) == 0
    assert jm.total(values, mask).value() == 0
    assert jm.maximum(values, mask) == -np.inf
    assert jm.moments(values, mask)[0] == 0
    assert jm.count_at(np.zeros(np.shape(values), np.int32), (1,), mask) == 0


def test_a_mask_of_rows_does_not_apply_to_a_scalar():
    mask = np.array([False, False])
    assert jm.total(2.0, mask).value() == 2
    assert jm.count_elements(2.0, mask) == 1
    scalar = jm.both(np.array(True), mask)
    assert scalar.shape == () and bool(scalar)


def test_a_mask_of_rows_and_one_of_entries_are_combined_in_any_order():
    rows, entries = np.array([True, False]), np.array([[True, False], [True, True]])
    expected = [[True, False], [False, False]]
    assert jm.both(rows, entries).tolist() == expected
    assert jm.both(entries, rows).tolist() == expected


def test_weights_with_more_axes_than_the_values_are_refused():
    message = r"weights has shape \(2,\), the values \(\);.* reduce it to one"
    with pytest.raises(ValueError, match=message):
        jm.total(1.0, None, np.ones(2))
    with pytest.raises(ValueError, match=r"Pass weights of shape \(2,\), or"):
        jm.count_where(np.ones(2, bool), None, np.ones((2, 3)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_of_zero_removes_a_value_that_is_not_finite(bad):
    values, weights = np.float32([1, bad, 3]), np.float32([1, 0, 1])
    assert jm.total(values, None, weights).value() == 4
    n, mean, squares, _ = jm.moments(values, None, weights)
    assert (float(n[0]), float(mean[0]), float(squares[0])) == (2, 2, 2)
    masked = np.array([True, False, True])
    bad_weights = np.float32([1, bad, 1])
    assert jm.total(values, masked, bad_weights).value() == 4
    assert jm.count_where(masked, masked, bad_weights).value() == 2


def test_a_weight_that_is_nan_stays_visible():
    weights = np.float32([1, np.nan])
    assert np.isnan(jm.total([1.0, 2.0], None, weights).value())
    assert np.isnan(jm.count_where([True, True], None, weights).value())


LOWEST = np.finfo(np.float32).min


@pytest.mark.parametrize(
    ("special", "largest", "smallest"),
    [
        ([], 9.0, -9.0),
        ([np.nan], np.nan, np.nan),
        ([np.inf], np.inf, -9.0),
        ([-np.inf], 9.0, -np.inf),
        ([np.inf, -np.inf], np.inf, -np.inf),
        ([np.inf, np.nan], np.nan, np.nan),
    ],
)
def test_extremes_of_many_values_are_those_of_numpy_at_any_place(
    special, largest, smallest
):
    values = np.full((3, 10_007), 2.0, np.float32)
    values[:, :2] = 9, -9
    for place in (0, 5, 4999, 10_003):
        batch = values.copy()
        batch[1, 2 + place : 2 + place + len(special)] = special
        got = jax.jit(lambda x: (jm.maximum(x), jm.minimum(x)))(batch)
        np.testing.assert_array_equal(got, (largest, smallest))


def test_many_masked_values_have_no_extreme():
    values, none = np.full(10_007, np.nan, np.float32), np.zeros(10_007, bool)
    assert jm.maximum(values, none) == -np.inf and jm.minimum(values, none) == np.inf
    one = none.copy()
    one[77], values[77] = True, LOWEST
    assert jm.maximum(values, one) == LOWEST == jm.minimum(values, one)
