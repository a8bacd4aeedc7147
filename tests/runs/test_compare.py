import math

import numpy as np
import pytest
from support.pages import page_data
from support.runs import loss_rows, named_run, seed_runs, two_runs

from jaxmetrics.runs import Run, compare
from jaxmetrics.runs.reading import UnknownDirectionError


@pytest.fixture
def two(tmp_path):
    return two_runs(tmp_path)


@pytest.fixture
def seeds(tmp_path):
    return seed_runs(tmp_path)


def result_of(comparison, key, run):
    return next(r for r in comparison.results if (r.key, r.run) == (key, run))


@pytest.mark.parametrize(
    ("x", "slow", "fast"),
    [("step", 1, 1), ("tokens", 10, 40), ("time", 2, 8), ("flops", 100, 300)],
)
def test_runs_are_aligned_on_the_requested_axis(two, x, slow, fast):
    series = compare(two, x=x).series("train/loss")
    np.testing.assert_array_equal(series["slow"][0], slow * np.arange(1, 11))
    np.testing.assert_array_equal(series["fast"][0], fast * np.arange(1, 5))
    np.testing.assert_array_equal(series["fast"][1], [8, 6, 4, 2])


def test_aligned_values_are_interpolated_between_records_only(two):
    grid, values = compare(two, x="tokens").aligned("train/loss")
    y = dict(zip(grid, zip(values["slow"], values["fast"])))
    assert y[40] == (6, 8)
    assert y[50] == (5, 7.5)
    assert y[10][0] == 9
    assert math.isnan(y[10][1])
    assert math.isnan(y[120][0])


def test_runs_are_aligned_by_the_flops_of_a_token(tmp_path):
    flops = {"per_token": 6.0}
    rows = loss_rows(lambda s: 1.0 * s, steps=(1, 2))
    folders = [named_run(tmp_path, name, rows, flops=flops) for name in "ab"]
    comparison = compare(folders, x="flops").series("train/loss")
    np.testing.assert_array_equal(comparison["a"][0], [60, 120])


def test_last_and_best_values_have_their_x(two):
    comparison = compare(two, x="time")
    slow = result_of(comparison, "train/loss", "slow")
    assert (slow.last, slow.last_x, slow.best, slow.best_x) == (0, 20, 0, 20)
    fast = result_of(comparison, "train/loss", "fast")
    assert (fast.last, fast.last_x, fast.best, fast.best_x) == (2, 32, 2, 32)


def test_the_best_value_is_the_first_finite_minimum_or_maximum(tmp_path):
    rows = loss_rows([0, 5.0, 2.0, math.nan, 2.0, -math.inf].__getitem__, range(1, 6))
    for row in rows:
        row["val/accuracy"], row["grad/odd"] = row["train/loss"], 1.0
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
    comparison = compare(folders)
    loss = result_of(comparison, "train/loss", "a")
    assert (loss.best, loss.best_x, loss.nonfinite) == (2, 2, 2)
    accuracy = result_of(comparison, "val/accuracy", "a")
    assert (accuracy.best, accuracy.best_x) == (5, 1)
    assert math.isnan(result_of(comparison, "grad/odd", "a").best)
    chosen = compare(folders, better={"train/loss": "max"})
    assert result_of(chosen, "train/loss", "a").best == 5


def test_a_target_is_reached_at_the_first_record_that_meets_it(two):
    target = {"train/loss": 4.0}
    by_step = {r.run: r.x for r in compare(two, target=target).reached}
    assert by_step == {"slow": 6, "fast": 3}
    by_time = {r.run: r.x for r in compare(two, x="time", target=target).reached}
    assert by_time == {"slow": 12, "fast": 24}


def test_a_target_that_was_not_reached_is_nan_and_listed(two):
    comparison = compare(two, target={"train/loss": 1.0})
    x = {r.run: r.x for r in comparison.reached}
    assert x["slow"] == 9
    assert math.isnan(x["fast"])
    lines = comparison.to_markdown().splitlines()
    start = lines.index("| run | train/loss ≤ 1 |")
    assert lines[start + 2 :] == ["| slow | 9 |", "| fast | not reached |"]


def test_the_difference_has_only_values_that_differ(two):
    assert compare(two).difference == {"lr": ["0.1", "0.2"], "warmup": [None, "5"]}


def test_runs_that_differ_only_in_their_seed_are_a_group(seeds):
    comparison = compare(seeds)
    assert comparison.groups == {
        "lr=0.1": ["0.1-0", "0.1-1", "0.1-2"],
        "lr=0.2": ["0.2-0", "0.2-1"],
    }
    assert compare(seeds, seed="number").groups.keys() == comparison.runs.keys()


def test_means_and_standard_errors_are_over_seeds(seeds):
    comparison = compare(seeds)
    spread = next(s for s in comparison.spreads if s.group == "lr=0.1")
    assert (spread.runs, spread.last) == (3, 3.0)
    assert spread.last_error == pytest.approx(math.sqrt(7.0 / 3))  # variance 7
    x, mean, error, runs = comparison.mean("train/loss", "lr=0.2")
    np.testing.assert_array_equal(runs, 2)
    np.testing.assert_array_equal(x, np.arange(1, 11))
    np.testing.assert_allclose(mean, 6.0 + 10 - x)
    np.testing.assert_allclose(error, 1.0)
    assert "3 ± 1.5" in comparison.to_markdown()


def test_the_mean_is_of_the_runs_that_have_a_value(tmp_path):
    config = {"lr": 1.0}
    longer = named_run(tmp_path, "a", loss_rows(float), hparams=config | {"seed": 1})
    rows = loss_rows(lambda step: 3.0 * step, steps=range(2, 6))
    rows[1]["train/loss"] = math.nan
    shorter = named_run(tmp_path, "b", rows, hparams=config | {"seed": 2})
    other = named_run(tmp_path, "c", loss_rows(float, range(20)), hparams={"lr": 2})
    comparison = compare([longer, shorter, other])
    x, mean, error, runs = comparison.mean("train/loss", "lr=1.0")
    np.testing.assert_array_equal(x, range(1, 11))
    np.testing.assert_array_equal(runs, [1, 2, 1, 2, 2, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(mean, [1, 4, 3, 8, 10, 6, 7, 8, 9, 10])
    np.testing.assert_array_equal(np.isfinite(error), runs == 2)
    assert error[1] == pytest.approx(2.0)  # of 2 and 6


def test_runs_are_selected_and_sorted_and_have_their_state(tmp_path):
    folders = seed_runs(tmp_path)
    comparison = compare(folders, where="lr < 0.15", sort="-train/loss")
    assert list(comparison.runs) == comparison.ranked() == ["0.1-2", "0.1-1", "0.1-0"]
    assert comparison.ranked_by == "train/loss"
    entry = comparison.entries["0.1-2"]
    assert (entry.state, entry.step, entry.elapsed) == ("running", 10, 20.0)
    text = comparison.to_markdown()
    assert "| state | step | training time |" in text and "Ranked by" not in text
    with pytest.raises(KeyError, match="similar names are"):
        compare(folders, where="lrr < 1")
    with pytest.raises(ValueError, match=r"where='lr > 1'\) leaves 0 of 5 runs"):
        compare(folders, where="lr > 1")


def test_a_comparison_tells_what_goes_with_the_best_values(tmp_path):
    comparison = compare(seed_runs(tmp_path))
    (found,) = comparison.relations
    assert (found.name, found.runs) == ("opt.lr", 5)
    text = comparison.to_markdown()
    assert "What goes with recent train/loss (min)" in text
    assert "not why" in text


def test_runs_without_a_configuration_are_not_grouped(tmp_path):
    folders = [named_run(tmp_path, name, loss_rows(float)) for name in "ab"]
    assert compare(folders).groups == {"a": ["a"], "b": ["b"]}


def test_the_attempts_that_changed_a_configuration_are_noted(tmp_path):
    attempts = [{"hparams": {"lr": 0.1}}, {}, {"hparams": {"lr": 0.2, "clip": 1}}]
    changed = named_run(tmp_path, "a", loss_rows(float), attempts=attempts)
    many = [{"hparams": {"n": n, "api_key": f"secret {n}"}} for n in range(12)]
    often = named_run(tmp_path, "b", loss_rows(float), attempts=many)
    comparison = compare([changed, often])
    assert comparison.notes[:3] == [
        "Attempt 3 of a changed lr from 0.1 to 0.2, clip to 1 (not set before).",
        "3 earlier attempts of b changed the configuration too.",
        "Attempt 5 of b changed n from 3 to 4.",
    ]
    assert len(comparison.notes) == 10
    assert comparison.difference["lr"] == ["0.2", None]
    assert comparison.notes[0] in comparison.to_markdown().replace("\\", "")


def test_runs_of_the_same_name_are_numbered(two, tmp_path):
    other = named_run(tmp_path / "other", "slow", loss_rows(float))
    assert list(compare([two[0], other, Run.load(two[1])]).runs) == [
        "slow",
        "slow (2)",
        "fast",
    ]


def test_a_run_that_is_given_twice_is_one_and_copies_of_it_are_noted(
    seeds, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(seeds[0])
    again = [seeds[0].name, Run.load(seeds[0]), seeds[0] / "metrics.jsonl", "link"]
    assert compare([*seeds, *again]).spreads == compare(seeds).spreads
    assert compare(seeds).notes == []
    run_id = {"run_id": "x1"}
    copies = [named_run(tmp_path / n, n, loss_rows(float), **run_id) for n in "ab"]
    assert compare(copies).notes == [
        "a, b have the same run_id, as a run and its mirror, or a copied folder; each "
        "of them counts as a run."
    ]


def test_runs_without_a_common_metric_are_noted_and_compared(tmp_path):
    a = named_run(tmp_path, "a", loss_rows(float), hparams={"lr": 1})
    b = named_run(tmp_path, "b", loss_rows(float, key="eval/score"), hparams={"lr": 2})
    comparison = compare([a, b])
    assert comparison.keys == []
    assert comparison.notes == [
        "These runs have no metric in common, so no metric is compared.",
        "Only a has train/loss.",
        "Only b has eval/score.",
    ]
    assert comparison.difference == {"lr": ["1", "2"]}
    assert comparison.notes[0] in comparison.to_markdown()
    _, page = page_data(comparison.page(tmp_path / "page.html").read_text())
    assert page["notes"] == comparison.notes
    assert page["charts"] == []


def test_common_keys_are_compared_and_others_noted(tmp_path):
    rows = loss_rows(float)
    a = named_run(tmp_path, "a", [row | {"val/loss": 1.0} for row in rows])
    b = named_run(tmp_path, "b", [row | {"val/loss": 2.0, "only": 1} for row in rows])
    c = named_run(tmp_path, "c", rows)
    comparison = compare([a, b, c])
    assert comparison.keys == ["train/loss", "val/loss"]
    assert comparison.notes == ["Only b has only.", "c does not have val/loss."]
    assert "| val/loss | 1 | 2 | – |" in comparison.to_markdown()


def test_an_empty_run_is_noted(two, tmp_path):
    empty = named_run(tmp_path, "empty", [])
    comparison = compare([*two, empty], x="tokens")
    assert "empty has no metrics." in comparison.notes
    assert comparison.keys == ["train/loss"]


@pytest.mark.parametrize("x", ["tokens", "time", "flops"])
def test_a_run_without_positions_on_the_axis_is_an_error(two, tmp_path, x):
    rows = [{"step": s, "split": "train", "train/loss": 1.0} for s in (1, 2)]
    poor = named_run(tmp_path, "poor", rows)
    with pytest.raises(ValueError, match=f"x='{x}'.*'poor'.*align by one of.*step"):
        compare([*two, poor], x=x)


def test_wrong_arguments_are_errors_with_advice(two):
    with pytest.raises(ValueError, match="at least two"):
        compare(two[:1])
    with pytest.raises(ValueError, match="expected one of"):
        compare(two, x="epochs")
    with pytest.raises(KeyError, match="similar keys are.*train/loss"):
        compare(two, target={"train/los": 1.0})
    with pytest.raises(TypeError, match="got target='val/loss' of type str; expected"):
        compare(two, target="val/loss")
    with pytest.raises(TypeError, match=r"got target\['train/loss'\]='2' of type str"):
        compare(two, target={"train/loss": "2"})
    with pytest.raises(ValueError, match="=nan; expected a number"):
        compare(two, target={"train/loss": math.nan})
    with pytest.raises(ValueError, match="expected 'min' or 'max'"):
        compare(two, better={"train/loss": "low"})
    with pytest.raises(FileNotFoundError, match="Give a run directory"):
        compare([*two, two[0] / "nowhere"])


def test_a_target_needs_a_direction(tmp_path):
    rows = loss_rows(float, key="val/zing")
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
    with pytest.raises(ValueError, match="better={'val/zing': 'min'}"):
        compare(folders, target={"val/zing": 3.0})
    comparison = compare(folders, target={"val/zing": 3.0}, better={"val/zing": "max"})
    assert [r.x for r in comparison.reached] == [3, 3]


def test_an_error_of_an_unknown_direction_names_the_key_as_data(tmp_path):
    rows = loss_rows(float, key="val/zing")
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
    with pytest.raises(UnknownDirectionError) as caught:
        compare(folders, target={"val/zing": 3.0})
    assert caught.value.key == "val/zing"
    assert "better=" in str(caught.value) and "better=" not in caught.value.problem


def test_the_number_of_aligned_points_can_be_limited(two):
    x, _ = compare(two).aligned("train/loss", max_points=4)
    np.testing.assert_array_equal(x, [1, 4, 7, 10])


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, " and 1 more")])
def test_notes_list_eight_keys(tmp_path, count, more):
    rows = [{"step": 1, "split": "train", **{f"k{n}": 1.0 for n in range(count)}}]
    folders = [named_run(tmp_path, "a", rows), named_run(tmp_path, "b", [])]
    keys = ", ".join(f"k{n}" for n in range(8))
    assert f"Only a has {keys}{more}." in compare(folders).notes


def sweep(root, count=12):
    """Write runs of a project whose best validation loss is their number."""
    for n in range(count):
        rows = loss_rows(lambda s, n=n: 20.0 - n)
        rows.append(
            {"step": 9, "split": "val", "val/loss": float(n), "val/acc": n / 99}
        )
        config = {"opt": {"lr": 0.1 * n}, "data": {"lr": n}, "seed": n}
        named_run(root / "sweep", f"r{n:02}", rows, hparams=config)
    return root / "sweep"


def test_a_project_stands_for_all_of_its_runs(tmp_path):
    folder = sweep(tmp_path, 3)
    named_run(folder, "r01.old-1", loss_rows(float))
    other = named_run(tmp_path, "other", loss_rows(float))
    assert list(compare([folder, other]).runs) == ["r00", "r01", "r02", "other"]


def test_runs_are_ranked_by_their_evaluation_or_a_given_key(tmp_path):
    folder = sweep(tmp_path, 3)
    named_run(folder, "r99", loss_rows(lambda s: 1.0))  # without an evaluation
    comparison = compare([folder])
    assert comparison.ranked_by == "val/loss"
    assert comparison.ranked() == ["r00", "r01", "r02", "r99"]
    by_accuracy = compare([folder], rank_by="val/acc")
    assert by_accuracy.ranked() == ["r02", "r01", "r00", "r99"]
    assert compare([folder], rank_by="train/loss").ranked()[0] == "r99"
    reverse = compare([folder], rank_by="val/loss", better={"val/loss": "max"})
    assert reverse.ranked()[0] == "r02"


def test_a_key_of_a_single_run_ranks_only_on_request(tmp_path):
    folder = sweep(tmp_path, 1)
    other = named_run(tmp_path, "other", loss_rows(lambda s: 30.0))
    assert compare([folder, other]).ranked_by == "train/loss"
    by_validation = compare([other, folder], rank_by="val/loss")
    assert by_validation.ranked() == ["r00", "other"]
    assert "val/loss" not in by_validation.keys


def test_runs_without_a_metric_of_known_direction_keep_their_order(tmp_path):
    rows = loss_rows(float, key="train/x")
    folders = [named_run(tmp_path, name, rows) for name in "ba"]
    comparison = compare(folders)
    assert (comparison.ranked_by, comparison.ranked()) == (None, ["b", "a"])
    with pytest.raises(
        UnknownDirectionError, match="got rank_by='train/x', of which neither"
    ):
        compare(folders, rank_by="train/x")
    with pytest.raises(KeyError, match="got rank_by='train/y', which no run has"):
        compare(folders, rank_by="train/y")


def test_the_notes_about_many_runs_are_limited(tmp_path):
    folders = [
        named_run(tmp_path, f"r{n}", loss_rows(float, key=f"train/{n}"))
        for n in range(40)
    ]
    notes = compare(folders).notes
    assert len(notes) == 21 and notes[-1] == "And 21 more notes like these."


def test_it_prints_as_the_table_of_the_runs_and_is_one_frame(two):
    comparison = compare(two)
    assert repr(comparison) == (
        "Comparison(runs=['slow', 'fast'], x='step', ranked_by='train/loss')"
    )
    first, *lines = str(comparison).splitlines()
    assert first.split()[:2] == ["run", "lr"]
    assert [line.split()[:2] for line in lines] == [["slow", "0.1"], ["fast", "0.2"]]
    frame = comparison.to_pandas()
    for name, run in comparison.runs.items():
        rows = frame[frame["run"] == name]
        assert rows["step"].tolist() == run.steps.tolist()
        assert rows["train/loss"].tolist() == run["train/loss"][1].tolist()


def test_a_frame_has_a_key_that_is_called_run_under_another_name(two):
    runs = [Run.load(two[0]).renamed({"train/loss": ("run", 1.0)}), two[1]]
    frame = compare(runs).to_pandas()
    assert frame["run"].unique().tolist() == ["slow", "fast"]
    assert frame["run (2)"].tolist()[0] == 9.0
