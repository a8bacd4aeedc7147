import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from support.runs import loss_rows, named_run, seed_runs, two_runs

from jaxmetrics.figures import PALETTE
from jaxmetrics.runs import compare
from jaxmetrics.runs.reading import x_unit


@pytest.fixture
def two(tmp_path):
    return two_runs(tmp_path)


def test_each_run_has_a_line_and_a_name(two):
    (axes,) = compare(two, x="time").plot("train/loss").axes
    assert axes.get_xlabel() == "training time (s)"
    assert axes.get_title(loc="left") == "train/loss"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["slow", "fast"]
    colors = [to_hex(line.get_color()) for line in axes.lines]
    assert colors == [PALETTE.blue, PALETTE.orange]
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [8, 16, 24, 32])


def test_the_mean_over_seeds_has_a_line_and_a_band(tmp_path):
    (axes,) = compare(seed_runs(tmp_path)).plot("train/loss").axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["lr=0.1 (n=3)", "lr=0.2 (n=2)"]
    title = axes.get_legend().get_title().get_text()
    assert title == "mean ± standard error of n runs"
    assert len(axes.collections) >= 2
    assert [len(line.get_xdata()) for line in axes.lines] == [10] * 7


def test_plots_are_written_for_metrics_and_replace_only_own_plots(two, tmp_path):
    comparison, folder = compare(two), tmp_path / "new" / "plots"
    paths = comparison.generate_plots(folder)
    assert [path.name for path in paths] == ["compare_train_loss.png"]
    assert comparison.generate_plots(folder) == paths
    paths[0].write_text("mine")
    with pytest.raises(FileExistsError, match="not a plot written by jaxmetrics"):
        comparison.generate_plots(folder)
    assert comparison.generate_plots(folder, overwrite=True) == paths


def test_names_of_plots_of_long_keys_are_cut(tmp_path):
    long = f"train/{'x' * 250}"
    rows = loss_rows(float, key=f"{long}1") + loss_rows(float, key=f"{long}2")
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
    paths = compare(folders).generate_plots(tmp_path)
    assert [len(path.name) < 150 for path in paths] == [True, True]
    assert len(set(paths)) == 2


def test_keys_that_no_run_has_are_refused(two, tmp_path):
    comparison = compare(two)
    with pytest.raises(KeyError, match="No run has 'los'; similar keys are"):
        comparison.plot("los")
    with pytest.raises(KeyError, match="No run has 'los'"):
        comparison.generate_plots(tmp_path, keys=["train/loss", "los"])
    for runs in (comparison, comparison.runs["slow"]):
        with pytest.raises(
            TypeError, match="plot got keys=.*Write plot\\('train/loss'"
        ):
            runs.plot(["train/loss"])
        with pytest.raises(TypeError, match=r"it takes \['\*keys'"):
            runs.plot(keys="train/loss")


def test_a_plot_without_a_finite_value_says_so(tmp_path):
    rows = loss_rows(lambda s: math.nan)
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
    (axes,) = compare(folders).plot("train/loss").axes
    assert "none of the values is finite" in [t.get_text() for t in axes.texts]


def test_keys_have_a_chart_each_and_the_ranking_key_is_the_default(tmp_path):
    rows = loss_rows(float) + loss_rows(float, key="val/loss")
    rows += loss_rows(float, key="grad/norm")
    comparison = compare([named_run(tmp_path, name, rows) for name in "ab"])
    (axes,) = comparison.plot().axes
    assert axes.get_title("left") == "val/loss"
    figure = comparison.plot("train/loss", "grad/norm", "val/loss")
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["train/loss", "grad/norm", "val/loss", ""]
    assert [axes.axison for axes in figure.axes] == [True, True, True, False]


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(119.0, "s"), (120.0, "min"), (7199.0, "min"), (7200.0, "h"), (0.5, "s")],
)
def test_training_time_has_the_largest_unit_of_which_it_has_two(seconds, unit):
    assert x_unit("time", seconds)[1] == f"training time ({unit})"
