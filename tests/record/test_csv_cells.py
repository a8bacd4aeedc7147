"""Cells and lines of CSV files."""

import math

import numpy as np
import pytest

from jaxmetrics.record import csv_cell, csv_cells, csv_line, text_cell


@pytest.mark.parametrize(
    "value", [0.1, 5e-324, -0.0, 2**70, np.float32(0.1), np.int64(-3), math.inf]
)
def test_numbers_are_read_back_exactly(value):
    text = csv_cell(value)
    assert float(text) == float(value)
    assert math.copysign(1, float(text)) == math.copysign(1, value)


def test_missing_values_are_empty_and_nan_is_not():
    assert (csv_cell(None), csv_cell(math.nan)) == ("", "nan")


@pytest.mark.parametrize("value", [[1.0], 1j, object()])
def test_other_types_are_refused(value):
    with pytest.raises(TypeError, match="is not a number"):
        csv_cell(value)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "'"])
def test_text_that_could_start_a_formula_gets_an_apostrophe(start):
    assert text_cell(start + "1").startswith("'")
    assert text_cell("1" + start).startswith("1")


def test_different_texts_stay_different():
    assert text_cell("=1") != text_cell("'=1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", r"a\x0ab"), ("\u202e", r"\u202e"), ("\U000e0001", r"\U000e0001")],
)
def test_characters_that_are_not_printable_are_escaped(text, shown):
    assert text_cell(text) == shown


def test_cells_with_commas_and_quotes_are_one_line():
    cells = ["a,b", 'q"', "", "é"]
    line = csv_line(cells)
    assert "\n" not in line
    assert csv_cells(line.encode()) == csv_cells(line.encode() + b"\n") == cells


@pytest.mark.parametrize("line", [b"\xff", b'"a'])
def test_damaged_lines_are_refused(line):
    with pytest.raises(ValueError):
        csv_cells(line)


def test_an_empty_line_has_no_cells():
    assert list(csv_cells(b"\n")) == []
