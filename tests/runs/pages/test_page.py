import numpy as np
import pytest
from support.pages import page_data

from jaxmetrics.runs.pages._page import Chart, Line, Page, render, save_page


def test_a_million_points_are_reduced_to_their_extremes():
    x = np.arange(1_000_000.0)
    y = 2.0 + np.sin(x / 3)
    y[123_456], y[765_432], y[500_000] = 99.0, -99.0, np.nan
    html = render(
        Page(
            "Training run",
            "a",
            charts=[Chart("a", "a", [Line("a", 0, {"step": x}, y)])],
        )
    )
    columns, page = page_data(html)
    line = page["charts"][0]["lines"][0]["on"]["step"]
    drawn = dict(zip(columns[line["x"]], columns[line["y"]]))
    assert len(drawn) <= 4000
    assert (line["count"], line["missing"]) == (1_000_000, 1)
    assert drawn[123_456] == 99.0
    assert drawn[765_432] == -99.0
    assert drawn[500_000] is None
    assert set(drawn) >= {0, 999_999}
    means = columns[line["means"]["y"]]
    assert len(means) == len(columns[line["means"]["x"]]) <= 1334
    assert means[0] == pytest.approx(y[: line["means"]["of"]].mean(), rel=1e-6)
    assert len(html) < 400_000


def test_many_series_share_the_limit_of_points():
    x = np.arange(2000.0)
    lines = [Line(str(i), i, {"step": x}, np.sin(x + i)) for i in range(1000)]
    html = render(Page("Training run", "a", charts=[Chart("a", "a", lines)]))
    columns, _ = page_data(html)
    assert len(html) < 10_000_000
    assert max(map(len, columns)) <= 300


def test_equal_columns_are_stored_once():
    x, y = np.arange(3.0), np.array([1.0, 2.0, np.nan])
    lines = [Line(name, 0, {"step": x}, y) for name in "ab"]
    columns, page = page_data(
        render(Page("Training run", "a", charts=[Chart("", "", lines)]))
    )
    first, second = page["charts"][0]["lines"]
    assert columns == [[0, 1, 2], [1, 2, None]]
    assert first["on"] == second["on"]


def test_a_page_of_another_program_is_replaced_only_with_overwrite(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("mine")
    page = Page("Training run", "a")
    with pytest.raises(FileExistsError, match="is not a page written by jaxmetrics"):
        save_page(page, path)
    assert path.read_text() == "mine"
    save_page(page, path, overwrite=True)
    assert save_page(page, path) == path


def test_the_folder_of_a_page_is_created(tmp_path):
    path = tmp_path / "new" / "folder" / "page.html"
    assert save_page(Page("Training run", "a"), path).is_file()
