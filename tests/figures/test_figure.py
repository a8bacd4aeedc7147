import itertools

import numpy as np
import pytest

from jaxmetrics import figures
from jaxmetrics.figures import tick_label


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 2), (2.3, 2.301), (0, 1e-4), (5e5, 5.1e5), (0, 3e9), (-1, 1)],
)
def test_ticks_at_different_positions_have_different_short_labels(low, high):
    labels = {tick_label(value, low, high) for value in np.linspace(low, high, 9)}
    assert len(labels) == 9, labels
    assert max(map(len, labels)) <= 9


def test_text_is_shown_on_one_line_in_characters_of_the_font():
    assert figures.printable("loss $x$ é") == "loss $x$ é"
    assert figures.printable("数据") == "□□"
    assert figures.printable("a\nb") == "a□b"
    assert figures.printable("a" * 50 + "b" * 50, 10) == "aaaaa…bbbb"


def test_a_legend_on_a_slow_machine_gives_no_warning(monkeypatch):
    import matplotlib.legend

    seconds = itertools.count(0.0, 60.0)
    monkeypatch.setattr(matplotlib.legend.time, "perf_counter", lambda: next(seconds))
    figure = figures.new_figure()
    axes = figure.subplots()
    figures.add_legend(axes, axes.plot([1, 2], [3, 4]), ["loss"])
    figure.canvas.draw()


def test_legend_names_may_be_any_text():
    axes = figures.new_figure().subplots()
    handles = [axes.plot([0, 1], [0, 1])[0] for _ in range(2)]
    figures.add_legend(axes, handles, ["_hidden", "$x_{$"])
    texts = axes.get_legend().get_texts()
    assert [text.get_text() for text in texts] == ["_hidden", "$x_{$"]


@pytest.mark.parametrize(("first", "last"), [(0, 20_000), (1, 30), (0, 1200), (0, 4)])
def test_ticks_of_steps_begin_at_0_and_end_at_a_round_last_one(first, last):
    axes = figures.new_figure().subplots()
    figures.draw_line(axes, np.array([first, last]), np.ones(2), figures.PALETTE.blue)
    figures.style_axes(axes, "", "step", "")
    low, high = axes.get_xlim()
    shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert shown[0] >= 0 and shown[-1] == last


def test_a_notebook_shows_a_figure_that_is_the_value_of_a_cell():
    from IPython.core.formatters import DisplayFormatter

    shown, _ = DisplayFormatter().format(figures.new_figure(2.0, 1.0))
    assert shown["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("low", "high"), [(2, 12), (0.05, 40), (3e-6, 1e-2), (1.2, 1.9), (1e3, 1e7)]
)
def test_ticks_of_a_logarithmic_axis_are_numbers_without_powers(low, high):
    figure = figures.new_figure()
    axes = figure.subplots()
    axes.set_yscale("log")
    figures.draw_line(axes, np.array([0, 1]), np.array([low, high]), "red")
    figures.style_axes(axes, "", "step", "")
    figure.canvas.draw()
    labels = [text.get_text() for text in axes.get_yticklabels(which="both")]
    shown = [text for text in labels if text]
    assert len(set(shown)) == len(shown) >= 2
    for text in shown:
        digits = text.replace(",", "").replace("k", "e3").replace("M", "e6")
        number = float(digits)
        assert low / 11 < number < high * 11, text
