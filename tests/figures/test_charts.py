import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from support.plots import is_cut_off, texts

from jaxmetrics.figures import (
    PALETTE,
    Bars,
    Curves,
    Heatmap,
    HistogramBars,
    charts_of,
    draw_charts,
)


def axes_of(chart, title="title"):
    (axes, *_) = draw_charts({title: chart}).axes
    return axes


def kinds(charts):
    return {title: type(chart).__name__ for title, chart in charts.items()}


def test_the_shape_of_a_value_chooses_its_chart():
    histogram = {"counts": [1, 2], "edges": [0, 1, 2], "above": 3, "nonfinite": 0}
    value = {"a": 1, "b": np.float32(2), "m": np.eye(2), "h": histogram, "s": "text"}
    assert kinds(charts_of("loss", 0.5)) == {"loss": "Bars"}
    assert kinds(charts_of("f1", [0.5, 1.0])) == {"f1": "Bars"}
    assert kinds(charts_of("x", value)) == {
        "x": "Bars",
        "x/m": "Heatmap",
        "x/h": "HistogramBars",
    }
    assert charts_of("x", value)["x"].values == {"a": 1.0, "b": 2.0}
    assert list(charts_of("m", np.zeros((2, 3, 4)))) == ["m/0", "m/1"]
    assert charts_of("t", "text") == charts_of("t", {"a": "b"}) == {}


def test_counts_that_do_not_fit_their_edges_are_arrays():
    value = {"counts": [1, 2], "edges": [0, 1]}
    assert kinds(charts_of("h", value)) == {"h/counts": "Bars", "h/edges": "Bars"}


def test_a_heatmap_has_the_values_of_a_small_matrix_in_its_cells():
    matrix = np.array([[5.0, 1.0, 2.0], [0.0, math.nan, 7.25]])
    names = {"x_names": ["cat", "dog", "$x_{$"], "y_names": ["_a", "b"]}
    axes = axes_of(Heatmap(matrix, "predicted", "true", **names))
    assert axes.get_ylim() == (1.5, -0.5)  # the first row on top
    (mesh,) = axes.collections
    np.testing.assert_array_equal(
        mesh.get_array().filled(-1), [[5, 1, 2], [0, -1, 7.25]]
    )
    cells = [text.get_text() for text in axes.texts]
    assert cells == ["5", "1", "2", "0", "nan", "7.25"]
    shown = texts(axes.figure)
    assert {"cat", "$x_{$", "_a", "predicted", "true"} <= set(shown)


def test_a_large_heatmap_has_some_names_and_no_values():
    axes = axes_of(Heatmap(np.random.default_rng(0).random((13, 120))))
    assert not axes.texts
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names[:3] == ["0", "5", "10"] and len(names) == 24
    assert not is_cut_off(axes.figure)


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_equal_cells_have_the_middle_color(value):
    axes = axes_of(Heatmap(np.full((2, 2), value)))
    (mesh,) = axes.collections
    assert mesh.get_clim() == (value - 0.5, value + 0.5)


def test_bars_are_named_and_have_their_values():
    axes = axes_of(Bars({"a": 2.0, "b": -1.0, "c": math.nan}))
    lengths = sorted(
        (round(bar.get_y() + 0.35), bar.get_width()) for bar in axes.patches
    )
    assert lengths == [(1, -1.0), (2, 2.0)]
    assert [text.get_text().strip() for text in axes.texts] == ["2", "-1", "nan"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert not is_cut_off(axes.figure)


@pytest.mark.parametrize(("count", "bars"), [(60, 60), (61, 0)])
def test_many_values_are_a_line(count, bars):
    axes = axes_of(charts_of("x", np.arange(1.0, count + 1))["x"])
    assert (len(axes.patches), len(axes.lines)) == (bars, not bars)


def test_a_single_value_has_a_flat_figure():
    assert draw_charts(charts_of("loss", 0.5)).get_size_inches().tolist() == [8.0, 2.2]


def test_a_histogram_has_bars_from_edge_to_edge_and_names_what_is_outside():
    chart = HistogramBars([1, 3], [0.0, 0.5, 2.0], notes={"below": 0, "above": 4})
    axes = axes_of(chart, "lengths")
    bars = [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axes.patches]
    assert bars == [(0.0, 0.5, 1.0), (0.5, 1.5, 3.0)]
    assert axes.get_title("left") == "lengths (above 4)"
    assert axes.get_xscale() == "linear"
    wide = axes_of(HistogramBars([1, 3], [0.1, 1.0, 100.0]))
    assert wide.get_xscale() == "log"


def test_curves_have_a_color_and_a_name_each():
    x = np.linspace(0, 1, 5)
    lines = {"a": (x, x**0.5), "b": (x, x)}
    axes = axes_of(Curves(lines, "false positive rate", "true positive rate", True))
    colors = [to_hex(line.get_color()) for line in axes.lines]
    assert colors == [PALETTE.blue, PALETTE.orange, PALETTE.muted]
    assert {"a", "b", "false positive rate"} <= set(texts(axes.figure))


@pytest.mark.parametrize(
    "chart",
    [
        Heatmap(np.full((2, 2), np.nan)),
        Bars({"a": math.inf}),
        HistogramBars(np.zeros(0), np.zeros(1)),
        Curves({}, "x", "y"),
        Curves({"a": (np.zeros(1), np.array([np.nan]))}, "x", "y"),
    ],
)
def test_a_chart_without_a_drawable_value_says_so(chart):
    assert {"none of the values is finite", "no values"} & set(
        texts(axes_of(chart).figure)
    )


def test_several_charts_are_in_rows_of_three():
    charts = {f"m{n}": Bars({"a": 1.0 + n}) for n in range(13)}
    figure = draw_charts(dict(list(charts.items())[:4]), "metrics")
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["m0", "m1", "m2", "m3", "", ""]
    assert figure.get_suptitle() == "metrics"
    figure = draw_charts(charts, "metrics")
    assert figure.get_suptitle() == "metrics: 12 of 13 charts"
    assert not is_cut_off(figure)


def test_nothing_to_draw_is_a_figure_that_says_so():
    assert "there is nothing to draw" in texts(draw_charts({}, "metric"))
