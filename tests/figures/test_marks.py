import math

import numpy as np
import pytest

from jaxmetrics import figures
from jaxmetrics.figures import PALETTE, is_drawable


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_values_beyond_the_range_of_an_axis_are_not_drawable():
    values = np.array([0.0, -1.0, 1e200, 1e201, -1e201, math.inf, math.nan])
    assert is_drawable(values).tolist() == [1, 1, 1, 0, 0, 0, 0]


def test_a_logarithmic_axis_shows_positive_values_only():
    values = np.array([1.0, 0.0, -1.0, 1e-201, 1e-199, math.nan])
    assert is_drawable(values, log=True).tolist() == [1, 0, 0, 0, 1, 0]


def test_values_of_float32_are_compared_without_a_warning():
    values = np.array([1.0, 0.0, math.nan], np.float32)
    assert is_drawable(values).tolist() == [1, 1, 0]
    assert is_drawable(values, log=True).tolist() == [1, 0, 0]


def test_gaps_are_marked_and_named_once():
    axes = figures.new_figure().subplots()
    x = np.arange(4.0)
    figures.draw_line(axes, x, np.array([1.0, math.nan, 2.0, 3.0]), PALETTE.blue)
    figures.draw_line(axes, x, np.array([1.0, 2.0, math.inf, 3.0]), PALETTE.red)
    marks = [line for line in axes.lines if line.get_marker() == "x"]
    assert [line.get_xdata().tolist() for line in marks] == [[1.0], [2.0]]
    assert texts(axes) == ["× not finite"]
    (name,) = axes.texts
    assert name.xy[1] == 1.0  # above the axes, where no line is


def test_a_long_noisy_series_is_drawn_as_means_over_faint_values():
    axes = figures.new_figure().subplots()
    x = np.arange(1000.0)
    line = figures.draw_noisy_line(axes, x, np.sin(x), PALETTE.blue)
    values, means = axes.lines
    assert means is line and len(means.get_xdata()) <= 150
    assert values.get_alpha() == 0.25


def test_a_single_point_of_a_band_is_a_stroke():
    axes = figures.new_figure().subplots()
    low = np.array([1.0, math.nan, 1.0, math.nan])
    figures.draw_band(axes, np.arange(4.0), low, low + 1, PALETTE.blue)
    strokes = axes.collections[0].get_segments()
    assert [stroke.tolist() for stroke in strokes] == [
        [[0.0, 1.0], [0.0, 2.0]],
        [[2.0, 1.0], [2.0, 2.0]],
    ]


@pytest.mark.parametrize(
    ("count", "marker", "width"),
    [(60, "o", 1.8), (61, "None", 1.8), (400, "None", 1.8), (401, "None", 1.1)],
)
def test_long_lines_are_thin_and_have_no_markers(count, marker, width):
    axes = figures.new_figure().subplots()
    x = np.arange(float(count))
    line = figures.draw_line(axes, x, x, PALETTE.blue)
    assert (str(line.get_marker() or None), line.get_linewidth()) == (marker, width)


def test_a_line_of_400_points_is_not_averaged():
    axes = figures.new_figure().subplots()
    x = np.arange(400.0)
    figures.draw_noisy_line(axes, x, x, PALETTE.blue)
    assert len(axes.lines) == 1


def test_a_band_below_zero_is_cut_on_a_logarithmic_axis():
    axes = figures.new_figure().subplots()
    axes.set_yscale("log")
    low, high = np.array([-1.0, 1.0]), np.array([2.0, 4.0])
    band = figures.draw_band(axes, np.arange(2.0), low, high, PALETTE.blue)
    assert band.get_paths()[0].vertices[:, 1].min() == 0.02
