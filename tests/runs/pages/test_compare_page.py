"""What a comparison writes: Markdown, a page, and plots."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from support.pages import (
    HOSTILE,
    Document,
    named_run,
    rows_of,
    seed_runs,
    table,
    told,
    two_runs,
)

from jaxmetrics import figures
from jaxmetrics.runs import compare


@pytest.fixture
def two(tmp_path):
    return two_runs(tmp_path)


@pytest.fixture
def seeds(tmp_path):
    return seed_runs(tmp_path)


def test_markdown_and_page_let_no_text_act(tmp_path):
    rows = rows_of(float, key=f"train/{HOSTILE}|")
    config = {HOSTILE: 1}
    a = named_run(tmp_path, "a", rows, hparams=config)
    header = {
        "run_name": HOSTILE,
        "hparams": {HOSTILE: f"{HOSTILE}|`[x](javascript:1)"},
    }
    b = named_run(tmp_path, "b", rows, **header)
    found = compare([a, b])
    text = found.to_markdown()
    assert "<" not in text
    counts = {line.count(" | ") for line in text.splitlines() if "train/" in line}
    assert len(counts) == 1
    html = found.page(tmp_path / "page.html").read_text()
    assert not [tag for tag, _ in Document(html).elements if tag == "img"]


def test_the_page_has_the_tables_and_the_lines_of_means(seeds, tmp_path):
    path = compare(seeds, x="tokens", target={"train/loss": 4.0}).page(
        tmp_path / "page.html"
    )
    columns, page = told(path.read_text())
    assert page["axis"] == "tokens"
    assert table(page, "Last values")["rows"][0][:3] == ["train/loss", 1, 2]
    lines = page["charts"][0]["lines"]
    means = [line for line in lines if "around" in line]
    assert {line["name"] for line in means} == {
        "lr=0.1: mean ± standard error",
        "lr=0.2: mean ± standard error",
    }
    by_step = next(line for line in means if "step" in line["x"])
    assert columns[by_step["y"]][0] == 12
    assert columns[by_step["around"][0]][0] == pytest.approx(12 - math.sqrt(7.0 / 3))
    faint = [line["name"] for line in lines if line["faint"]]
    assert faint == ["0.1-0", "0.1-1", "0.1-2", "0.2-0", "0.2-1"]


def test_a_page_of_somebody_else_is_not_replaced(two, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        compare(two).page(path)
    assert "<title>" in compare(two).page(path, overwrite=True).read_text()


def test_plots_overlay_the_runs_with_a_name_each(two):
    made = compare(two, x="time").plot("train/loss")
    (axes,) = made.axes
    assert axes.get_xlabel() == "training time (s)"
    assert axes.get_title(loc="left") == "train/loss"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["slow", "fast"]
    assert [to_hex(line.get_color()) for line in axes.lines] == [
        figures.BLUE,
        figures.ORANGE,
    ]
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [8, 16, 24, 32])


def test_plots_show_the_mean_over_seeds_and_its_error(seeds):
    (axes,) = compare(seeds).plot("train/loss").axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["lr=0.1 (mean ± s.e. of 3)", "lr=0.2 (mean ± s.e. of 2)"]
    assert len(axes.collections) >= 2
    assert [len(line.get_xdata()) for line in axes.lines] == [10] * 7


def test_plots_are_written_for_metrics_and_never_over_others(two, tmp_path):
    found = compare(two)
    paths = found.generate_plots(tmp_path / "plots")
    assert [path.name for path in paths] == ["compare_train_loss.png"]
    assert found.generate_plots(tmp_path / "plots") == paths
    paths[0].write_text("mine")
    with pytest.raises(FileExistsError, match="not a plot of jaxmetrics"):
        found.generate_plots(tmp_path / "plots")
    assert found.generate_plots(tmp_path / "plots", overwrite=True) == paths


def test_a_plot_without_a_finite_value_says_so(tmp_path):
    rows = rows_of(lambda s: math.nan)
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
    (axes,) = compare(folders).plot("train/loss").axes
    assert "none of the values is finite" in [t.get_text() for t in axes.texts]
