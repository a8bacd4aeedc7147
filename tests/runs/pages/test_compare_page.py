import math

import pytest
from support.pages import HOSTILE, Document, page_data, table
from support.runs import loss_rows, named_run, seed_runs, two_runs

from jaxmetrics.runs import compare
from jaxmetrics.runs.pages import compare_tables

RANKED = "Ranked by train/loss, the median of the last 5 % of each run."


@pytest.fixture
def two(tmp_path):
    return two_runs(tmp_path)


@pytest.fixture
def seeds(tmp_path):
    return seed_runs(tmp_path)


def test_texts_have_no_effect_in_markdown_and_pages(tmp_path):
    rows = loss_rows(float, key=f"train/{HOSTILE}|")
    config = {HOSTILE: 1}
    a = named_run(tmp_path, "a", rows, hparams=config)
    header = {
        "run_name": HOSTILE,
        "hparams": {HOSTILE: f"{HOSTILE}|`[x](javascript:1)"},
    }
    b = named_run(tmp_path, "b", rows, **header)
    comparison = compare([a, b])
    text = comparison.to_markdown()
    assert "<" not in text
    counts = {line.count(" | ") for line in text.splitlines() if "train/" in line}
    assert counts == {5, 2}  # of the runs, and of the other tables
    html = comparison.page(tmp_path / "page.html").read_text()
    assert not [tag for tag, _ in Document(html).elements if tag == "img"]


def test_the_page_has_tables_and_lines_of_means(seeds, tmp_path):
    path = compare(seeds, x="tokens", target={"train/loss": 4.0}).page(
        tmp_path / "page.html"
    )
    columns, page = page_data(path.read_text())
    assert page["axis"] == "tokens"
    assert table(page, "Last values")["rows"][0][:3] == ["train/loss", 1, 2]
    lines = page["charts"][0]["lines"]
    means = [line for line in lines if "band" in line["on"]["step"]]
    assert {line["name"] for line in means} == {
        "lr=0.1 (n=3)",
        "lr=0.2 (n=2)",
    }
    assert [note for note in page["notes"] if "mean ± standard error" in note]
    by_step = means[0]["on"]["step"]
    assert columns[by_step["y"]][0] == 12
    assert columns[by_step["band"][0]][0] == pytest.approx(12 - math.sqrt(7.0 / 3))
    faint = [line["name"] for line in lines if line["faint"]]
    assert faint == ["0.1-0", "0.1-1", "0.1-2", "0.2-0", "0.2-1"]


def test_a_page_of_another_program_is_not_replaced(two, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        compare(two).page(path)
    assert "<title>" in compare(two).page(path, overwrite=True).read_text()


def test_the_tables_list_differences_and_targets(two):
    text = compare(two, target={"train/loss": 4.0}).to_markdown()
    for line in (
        "## Configuration differences",
        "| name | slow | fast |",
        "| lr | 0.1 | 0.2 |",
        "| metric | best | slow | fast |",
        "| train/loss | min | 0 at 10 | 2 at 4 |",
        "| run | train/loss ≤ 4 |",
    ):
        assert line in text.splitlines(), line


def test_the_first_table_has_a_row_for_each_run_the_best_one_first(two):
    lines = compare(two[::-1]).to_markdown().splitlines()
    names = "run | lr | warmup | recent train/loss | last train/loss"
    start = lines.index(f"| {names} | state | step | training time |")
    assert lines[start - 2] == RANKED
    assert lines[start + 2 : start + 4] == [
        "| slow | 0.1 | – | 4.5 | 0 | running | 10 | 20s |",
        "| fast | 0.2 | 5 | 5 | 2 | running | 4 | 32s |",
    ]


def test_columns_of_the_configuration_are_short_where_no_other_is_the_same(tmp_path):
    rows = loss_rows(float)
    folders = [
        named_run(tmp_path, f"run-{n}", rows, hparams=config)
        for n, config in enumerate(
            [
                {"opt": {"lr": 1}, "model": {"width": 8, "lr": 3}},
                {"opt": {"lr": 2}, "model": {"width": 9, "lr": 4}},
            ]
        )
    ]
    (names, *_) = [table.names for table in compare_tables(compare(folders))]
    assert set(names[1:4]) == {"opt.lr", "model.lr", "width"}


@pytest.mark.parametrize(("count", "by_run"), [(8, False), (9, True)])
def test_tables_of_many_runs_have_a_row_for_each(tmp_path, count, by_run):
    long = {f"{name}.value": "x" * 100 for name in "abcdefghij"}
    rows = loss_rows(float) + [
        {"step": 1, "split": "train"} | {f"train/{n}_loss": 1.0 for n in range(30)}
    ]
    folders = [
        named_run(
            tmp_path,
            f"run-{n:02}",
            rows,
            hparams={k: v + str(n) for k, v in long.items()},
        )
        for n in range(count)
    ]
    tables = {table.title: table for table in compare_tables(compare(folders))}
    runs = tables["Runs"]
    assert [row[0] for row in runs.rows] == [f"run-{n:02}" for n in range(count)]
    assert "2 more values" in runs.note and len(runs.names) == 1 + 8 + 2 + 6 + 3
    assert ("Last values" in tables) == (not by_run)
    best = tables["Best values, and the step of the first one"]
    assert len(best.rows) == (count if by_run else 31)
    assert not by_run or (best.note, len(best.names)) == (
        "The 12 most important of 31.",
        13,
    )
    text = compare(folders).to_markdown()
    assert max(map(len, text.splitlines())) < 1000 or not by_run


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        ([2.0, 2.1, 2.2], "2.1 ± 0.058"),
        ([1.23456, 1.23456, 1.2346], "1.23457 ± 1.3e-05"),
        ([5.0], None),
        ([5.0, "NaN"], "5"),
        ([1e200, 3e200], "2e+200 ± 1e+200"),
    ],
)
def test_means_have_two_digits_of_their_error(tmp_path, losses, text):
    folders = [
        named_run(
            tmp_path,
            f"r{seed}",
            [{"step": 1, "split": "train", "val/loss": loss}],
            hparams={"seed": seed},
        )
        for seed, loss in enumerate(losses)
    ]
    folders.append(named_run(tmp_path, "x", loss_rows(float), hparams={"lr": 1}))
    comparison = compare(folders)
    comparison.page(tmp_path / "page.html")
    tables = {table.title: table for table in compare_tables(comparison)}
    means = tables.get("Mean ± standard error over seeds")
    rows = {row[0]: row for row in means.rows} if means else {}
    assert rows.get("val/loss", [None] * 5)[3] == text


def test_a_run_that_diverged_is_in_no_mean_though_its_evaluation_is_finite(tmp_path):
    folders = []
    for seed, (loss, val) in enumerate([(1.0, 2.0), (1.0, 4.0), ("NaN", 90.0)]):
        rows = [
            {"step": 1, "split": "train", "train/loss": loss},
            {"step": 1, "split": "val", "val/loss": val},
        ]
        folders.append(named_run(tmp_path, f"r{seed}", rows, hparams={"seed": seed}))
    comparison = compare(folders)
    (spread,) = [one for one in comparison.spreads if one.key == "val/loss"]
    assert (spread.runs, spread.left_out, spread.last) == (2, 1, 3.0)
    assert "Runs that diverged" in comparison.to_markdown()
    (group,) = (name for name, runs in comparison.groups.items() if len(runs) == 3)
    assert comparison.mean("val/loss", group).mean.tolist() == [3.0]
    _, page = page_data(comparison.page(tmp_path / "c.html").read_text())
    (chart,) = (chart for chart in page["charts"] if chart["title"] == "val/loss")
    lost = {line["name"] for line in chart["lines"] if line.get("diverged")}
    assert lost == comparison.diverged == {"r2"}


def test_equal_configurations_are_noted(tmp_path):
    folders = [named_run(tmp_path, name, loss_rows(float)) for name in "ab"]
    assert "The configurations are equal." in compare(folders).to_markdown()


def test_a_notebook_shows_the_table_of_the_runs(tmp_path):
    folders = [
        named_run(tmp_path, f"{HOSTILE[:8].replace('/', '')}{n}", loss_rows(float))
        for n in range(60)
    ]
    document = Document(compare(folders)._repr_html_())
    assert document.texts["caption"] == RANKED
    assert document.texts["th"] == (
        "runrecent train/losslast train/lossstatesteptraining time"
    )
    assert document.texts["td"].endswith("and 10 more")
    assert [name for name, _ in document.elements].count("tr") == 52


def test_a_table_of_all_metrics_has_no_note_of_more(two):
    tables = {table.title: table for table in compare_tables(compare(two))}
    assert tables["Last values"].note == ""


def test_the_title_has_a_few_names_or_the_project(tmp_path):
    places = [*(("one", n) for n in range(5)), ("two", 5)]
    rows = loss_rows(float)
    folders = [named_run(tmp_path / folder, f"run-{n}", rows) for folder, n in places]
    markdown = [compare(folders[:count]).to_markdown() for count in (4, 5, 6)]
    titles = [text.splitlines()[0].replace("\\", "") for text in markdown]
    few = "# run-0, run-1, run-2, run-3"
    assert titles == [few, "# 5 runs of one", "# 6 runs"]
