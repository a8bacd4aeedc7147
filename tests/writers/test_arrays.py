"""Arrays of records as scalars and heatmaps."""

import math

import numpy as np
import pytest

from jaxmetrics.record import Record
from jaxmetrics.writers._arrays import ArraysShown, heatmap


def record(step, **arrays):
    arrays = {f"val/{name}": array for name, array in arrays.items()}
    return Record(step, "val", {"val/loss": 1.0}, 0.0, arrays=arrays)


def test_up_to_32_numbers_in_a_row_are_scalars_by_index():
    shown = ArraysShown()
    arrays = record(1, recall=[0.5, math.inf], long=[1.0] * 33, square=[[1.0], [2.0]])
    assert shown.scalars(arrays) == {"val/recall/0": 0.5, "val/recall/1": math.inf}
    assert len(shown.scalars(record(1, row=[0.0] * 32))) == 32
    assert shown.scalars(record(1)) == {}


def test_larger_arrays_are_heatmaps_of_one_record_in_ten():
    shown, drawn = ArraysShown(), []
    for step in range(1, 32):
        with_matrix = record(step, recall=[1.0], matrix=[[1.0, 2.0]], long=[1.0] * 40)
        without = record(step, recall=[1.0], none=[], no_columns=[[], []])
        assert shown.heatmaps(without) == {}  # counts nothing
        if maps := shown.heatmaps(with_matrix):
            drawn.append((step, list(maps)))
    names = ["val/matrix", "val/long"]
    assert drawn == [(step, names) for step in (1, 11, 21, 31)]


def test_a_heatmap_goes_from_dark_to_bright_and_shows_what_is_not_finite():
    image = heatmap([[0.0, 1.0, math.nan], [2.0, math.inf, 3.0]])
    assert image.dtype == np.uint8
    cell = image.shape[0] // 2
    assert image.shape == (2 * cell, 3 * cell, 3) and cell >= 2
    cells = image[::cell, ::cell]
    np.testing.assert_array_equal(image, cells.repeat(cell, 0).repeat(cell, 1))
    grey = [160, 160, 160]
    assert cells[0, 2].tolist() == cells[1, 1].tolist() == grey
    brightness = [cells[place].astype(int).sum() for place in ((0, 0), (0, 1), (1, 2))]
    assert brightness == sorted(brightness) and len(set(brightness)) == 3
    assert cells[0, 0].tolist() == [68, 1, 84]
    assert cells[1, 2].tolist() == [253, 231, 37]


@pytest.mark.parametrize(
    "array",
    [[[5.0]], [[0.0] * 3] * 2, [math.nan] * 40, [[1e308, -1e308]], [[2**70, 1]], []],
    ids=str,
)
def test_any_array_has_a_heatmap(array):
    with np.errstate(all="raise"):
        image = heatmap(array)
    assert image.dtype == np.uint8 and image.ndim == 3


def test_a_heatmap_of_the_largest_array_is_small():
    assert heatmap(np.zeros((100, 100))).nbytes <= 3 * 300**2
    assert heatmap(np.zeros(10_000)).shape == (16, 20_000, 3)
