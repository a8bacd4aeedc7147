"""Runs beside each other: alignment, differences, targets, seeds, and what is said."""

import math

import numpy as np
import pytest
from support.pages import named_run, rows_of, seed_runs, told, two_runs

from jaxmetrics.runs import Run, compare


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
    folders = [named_run(tmp_path, name, rows, flops=flops) for name in "ab"]
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
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
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
    longer = named_run(tmp_path, "a", rows_of(float), hparams=config | {"seed": 1})
    rows = rows_of(float, steps=range(1, 6))
    rows[2]["train/loss"] = math.nan
    shorter = named_run(tmp_path, "b", rows, hparams=config | {"seed": 2})
    (group,) = (found := compare([longer, shorter])).groups
    x, mean, _ = found.mean("train/loss", group)
    known = np.isfinite(mean)
    np.testing.assert_array_equal(x[known], [1, 2, 4, 5])
    np.testing.assert_array_equal(mean[known], [1, 2, 4, 5])


def test_runs_without_a_configuration_are_no_seeds_of_each_other(tmp_path):
    folders = [named_run(tmp_path, name, rows_of(float)) for name in "ab"]
    assert compare(folders).groups == {"a": ["a"], "b": ["b"]}


def test_runs_of_the_same_name_are_numbered(two):
    assert list(compare([two[0], two[0], Run.load(two[1])]).runs) == [
        "slow",
        "slow (2)",
        "fast",
    ]


def test_runs_with_nothing_in_common_are_said_to_be_and_still_compared(tmp_path):
    a = named_run(tmp_path, "a", rows_of(float), hparams={"lr": 1})
    b = named_run(tmp_path, "b", rows_of(float, key="eval/score"), hparams={"lr": 2})
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
    a = named_run(tmp_path, "a", [row | {"val/loss": 1.0} for row in rows])
    b = named_run(tmp_path, "b", [row | {"val/loss": 2.0, "only": 1} for row in rows])
    c = named_run(tmp_path, "c", rows)
    found = compare([a, b, c])
    assert found.keys == ["train/loss", "val/loss"]
    assert found.notes == ["Only b has only.", "c does not have val/loss."]
    assert "| val/loss | 1 | 2 | – |" in found.to_markdown()


def test_an_empty_run_among_others_is_said(two, tmp_path):
    empty = named_run(tmp_path, "empty", [])
    found = compare([*two, empty], x="tokens")
    assert "empty has no metrics." in found.notes
    assert found.keys == ["train/loss"]


@pytest.mark.parametrize("x", ["tokens", "time", "flops"])
def test_a_run_that_cannot_be_aligned_so_is_named(two, tmp_path, x):
    rows = [{"step": s, "split": "train", "train/loss": 1.0} for s in (1, 2)]
    poor = named_run(tmp_path, "poor", rows)
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
    folders = [named_run(tmp_path, name, rows) for name in "ab"]
    with pytest.raises(ValueError, match="better={'val/zing': 'min'}"):
        compare(folders, target={"val/zing": 3.0})
    found = compare(folders, target={"val/zing": 3.0}, better={"val/zing": "max"})
    assert [r.at for r in found.reached] == [3, 3]
