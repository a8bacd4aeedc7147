"""Runs beside each other: alignment, differences, targets, seeds, and what is said."""

import math

import numpy as np
import pages
import pytest
from matplotlib.colors import to_hex
from pages import HOSTILE, Document, table, told

from jaxmetrics.runs import Run, compare
from jaxmetrics.runs import _style as style


def write_run(root, name, rows, **header):
    return pages.write_run(root / name, rows, **{"run_name": name, **header})


def rows_of(loss, steps=range(1, 11), tokens=10, seconds=2.0, key="train/loss"):
    """Rows with a loss that is a function of the step."""
    return [
        {"step": s, "split": "train", "time": seconds * s, "tokens": tokens * s}
        | {key: loss(s)}
        for s in steps
    ]


@pytest.fixture
def two(tmp_path):
    slow = write_run(
        tmp_path,
        "slow",
        rows_of(lambda s: 10.0 - s),
        hparams={"lr": 0.1, "model": {"layers": 2}},
        flops={"per_step": 100.0},
    )
    fast = write_run(
        tmp_path,
        "fast",
        rows_of(lambda s: 10.0 - 2 * s, steps=range(1, 5), tokens=40, seconds=8.0),
        hparams={"lr": 0.2, "model": {"layers": 2}, "warmup": 5},
        flops={"per_step": 300.0},
    )
    return [slow, fast]


def result_of(comparison, key, run):
    return next(r for r in comparison.results if (r.key, r.run) == (key, run))


@pytest.mark.parametrize(
    ("x", "slow", "fast"),
    [("step", 1, 1), ("tokens", 10, 40), ("time", 2, 8), ("flops", 100, 300)],
)
def test_runs_are_aligned_by_what_was_asked_for(two, x, slow, fast):
    series = compare(two, x=x).series("train/loss")
    np.testing.assert_array_equal(series["slow"][0], slow * np.arange(1, 11))
    np.testing.assert_array_equal(series["fast"][0], fast * np.arange(1, 5))
    np.testing.assert_array_equal(series["fast"][1], [8, 6, 4, 2])


def test_aligned_values_lie_between_records_and_nowhere_else(two):
    places, values = compare(two, x="tokens").aligned("train/loss")
    at = dict(zip(places, zip(values["slow"], values["fast"])))
    assert at[40] == (6, 8)
    assert at[50] == (5, 7.5)
    assert at[10][0] == 9
    assert math.isnan(at[10][1])
    assert math.isnan(at[120][0])


def test_alignment_by_flops_of_a_token(tmp_path):
    flops = {"per_token": 6.0}
    rows = rows_of(lambda s: 1.0 * s, steps=(1, 2))
    folders = [write_run(tmp_path, name, rows, flops=flops) for name in "ab"]
    found = compare(folders, x="flops").series("train/loss")
    np.testing.assert_array_equal(found["a"][0], [60, 120])


def test_last_and_best_values_are_told_with_their_places(two):
    found = compare(two, x="time")
    slow = result_of(found, "train/loss", "slow")
    assert (slow.last, slow.last_at, slow.best, slow.best_at) == (0, 20, 0, 20)
    fast = result_of(found, "train/loss", "fast")
    assert (fast.last, fast.last_at, fast.best, fast.best_at) == (2, 32, 2, 32)


def test_the_best_is_the_first_least_or_greatest_finite_value(tmp_path):
    rows = rows_of([0, 5.0, 2.0, math.nan, 2.0, -math.inf].__getitem__, range(1, 6))
    for row in rows:
        row["val/accuracy"], row["grad/odd"] = row["train/loss"], 1.0
    folders = [write_run(tmp_path, name, rows) for name in "ab"]
    found = compare(folders)
    loss = result_of(found, "train/loss", "a")
    assert (loss.best, loss.best_at, loss.nonfinite) == (2, 2, 2)
    accuracy = result_of(found, "val/accuracy", "a")
    assert (accuracy.best, accuracy.best_at) == (5, 1)
    assert math.isnan(result_of(found, "grad/odd", "a").best)
    chosen = compare(folders, better={"train/loss": "max"})
    assert result_of(chosen, "train/loss", "a").best == 5


def test_the_time_to_a_target_is_that_of_the_first_record_that_reaches_it(two):
    target = {"train/loss": 4.0}
    by_step = {r.run: r.at for r in compare(two, target=target).reached}
    assert by_step == {"slow": 6, "fast": 3}
    by_time = {r.run: r.at for r in compare(two, x="time", target=target).reached}
    assert by_time == {"slow": 12, "fast": 24}


def test_a_target_that_was_not_reached_is_nan_and_said(two):
    found = compare(two, target={"train/loss": 1.0})
    at = {r.run: r.at for r in found.reached}
    assert at["slow"] == 9
    assert math.isnan(at["fast"])
    assert "| train/loss | ≤ 1 | 9 | not reached |" in found.to_markdown()


def test_the_configuration_is_told_where_it_differs(two):
    assert compare(two).difference == {"lr": ["0.1", "0.2"], "warmup": [None, "5"]}


@pytest.fixture
def seeds(tmp_path):
    folders = []
    for rate, losses in ((0.1, (1.0, 2.0, 6.0)), (0.2, (5.0, 7.0))):
        for seed, loss in enumerate(losses):
            name, config = f"{rate}-{seed}", {"opt": {"lr": rate}, "seed": seed}
            rows = rows_of(lambda s, loss=loss: loss + 10 - s)
            folders.append(write_run(tmp_path, name, rows, hparams=config))
    return folders


def test_runs_that_differ_in_their_seed_only_are_a_group(seeds):
    found = compare(seeds)
    assert found.groups == {
        "lr=0.1": ["0.1-0", "0.1-1", "0.1-2"],
        "lr=0.2": ["0.2-0", "0.2-1"],
    }
    assert compare(seeds, seed="number").groups.keys() == found.runs.keys()


def test_means_and_standard_errors_are_over_seeds(seeds):
    found = compare(seeds)
    spread = next(s for s in found.spreads if s.group == "lr=0.1")
    assert (spread.runs, spread.last) == (3, 3.0)
    assert spread.last_error == pytest.approx(math.sqrt(7.0 / 3))  # variance 7
    x, mean, error = found.mean("train/loss", "lr=0.2")
    np.testing.assert_array_equal(x, np.arange(1, 11))
    np.testing.assert_allclose(mean, 6.0 + 10 - x)
    np.testing.assert_allclose(error, 1.0)
    assert "3 ± 1.52753" in found.to_markdown()


def test_a_mean_is_only_where_all_seeds_have_a_value(tmp_path):
    config = {"lr": 1.0}
    longer = write_run(tmp_path, "a", rows_of(float), hparams=config | {"seed": 1})
    rows = rows_of(float, steps=range(1, 6))
    rows[2]["train/loss"] = math.nan
    shorter = write_run(tmp_path, "b", rows, hparams=config | {"seed": 2})
    (group,) = (found := compare([longer, shorter])).groups
    x, mean, _ = found.mean("train/loss", group)
    known = np.isfinite(mean)
    np.testing.assert_array_equal(x[known], [1, 2, 4, 5])
    np.testing.assert_array_equal(mean[known], [1, 2, 4, 5])


def test_runs_without_a_configuration_are_no_seeds_of_each_other(tmp_path):
    folders = [write_run(tmp_path, name, rows_of(float)) for name in "ab"]
    assert compare(folders).groups == {"a": ["a"], "b": ["b"]}


def test_runs_of_the_same_name_are_numbered(two):
    assert list(compare([two[0], two[0], Run.load(two[1])]).runs) == [
        "slow",
        "slow (2)",
        "fast",
    ]


def test_runs_with_nothing_in_common_are_said_to_be_and_still_compared(tmp_path):
    a = write_run(tmp_path, "a", rows_of(float), hparams={"lr": 1})
    b = write_run(tmp_path, "b", rows_of(float, key="eval/score"), hparams={"lr": 2})
    found = compare([a, b])
    assert found.keys == []
    assert found.notes == [
        "These runs have no metric in common, so no metric is compared.",
        "Only a has train/loss.",
        "Only b has eval/score.",
    ]
    assert found.difference == {"lr": ["1", "2"]}
    assert found.notes[0] in found.to_markdown()
    _, page = told(found.page(tmp_path / "page.html").read_text())
    assert page["notes"] == found.notes
    assert page["charts"] == []


def test_what_is_common_is_compared_and_the_rest_is_said(tmp_path):
    rows = rows_of(float)
    a = write_run(tmp_path, "a", [row | {"val/loss": 1.0} for row in rows])
    b = write_run(tmp_path, "b", [row | {"val/loss": 2.0, "only": 1} for row in rows])
    c = write_run(tmp_path, "c", rows)
    found = compare([a, b, c])
    assert found.keys == ["train/loss", "val/loss"]
    assert found.notes == ["Only b has only.", "c does not have val/loss."]
    assert "| val/loss | 1 | 2 | – |" in found.to_markdown()


def test_an_empty_run_among_others_is_said(two, tmp_path):
    empty = write_run(tmp_path, "empty", [])
    found = compare([*two, empty], x="tokens")
    assert "empty has no metrics." in found.notes
    assert found.keys == ["train/loss"]


@pytest.mark.parametrize("x", ["tokens", "time", "flops"])
def test_a_run_that_cannot_be_aligned_so_is_named(two, tmp_path, x):
    rows = [{"step": s, "split": "train", "train/loss": 1.0} for s in (1, 2)]
    poor = write_run(tmp_path, "poor", rows)
    with pytest.raises(ValueError, match=f"x='{x}'.*'poor'.*align by one of.*step"):
        compare([*two, poor], x=x)


def test_bad_arguments_are_errors_that_say_what_to_do(two):
    with pytest.raises(ValueError, match="at least two"):
        compare(two[:1])
    with pytest.raises(ValueError, match="expected one of"):
        compare(two, x="epochs")
    with pytest.raises(KeyError, match="near it are.*train/loss"):
        compare(two, target={"train/los": 1.0})
    with pytest.raises(ValueError, match="expected 'min' or 'max'"):
        compare(two, better={"train/loss": "low"})
    with pytest.raises(FileNotFoundError, match="Give a run directory"):
        compare([*two, two[0] / "nowhere"])


def test_a_target_needs_to_know_what_is_better(tmp_path):
    rows = rows_of(float, key="val/zing")
    folders = [write_run(tmp_path, name, rows) for name in "ab"]
    with pytest.raises(ValueError, match="better={'val/zing': 'min'}"):
        compare(folders, target={"val/zing": 3.0})
    found = compare(folders, target={"val/zing": 3.0}, better={"val/zing": "max"})
    assert [r.at for r in found.reached] == [3, 3]


def test_markdown_and_page_let_no_text_act(tmp_path):
    rows = rows_of(float, key=f"train/{HOSTILE}|")
    config = {HOSTILE: 1}
    a = write_run(tmp_path, "a", rows, hparams=config)
    header = {
        "run_name": HOSTILE,
        "hparams": {HOSTILE: f"{HOSTILE}|`[x](javascript:1)"},
    }
    b = write_run(tmp_path, "b", rows, **header)
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
        style.BLUE,
        style.ORANGE,
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
    folders = [write_run(tmp_path, name, rows) for name in "ab"]
    (axes,) = compare(folders).plot("train/loss").axes
    assert "none of the values is finite" in [t.get_text() for t in axes.texts]
