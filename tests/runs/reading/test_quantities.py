import numpy as np
import pytest
from support.runs import epoch, rows_of, write_epochs, write_run

from jaxmetrics.record import ALIASES, CONVERSIONS, SPELLINGS, key
from jaxmetrics.runs import Run, compare
from jaxmetrics.runs.reading import (
    common_names,
    evaluation,
    load_history,
    own_key,
    quantity,
)
from jaxmetrics.runs.reading._quantities import evaluation_loss
from jaxmetrics.runs.reading._record_rows import COLUMNS

DRAWN = {column.key for column in COLUMNS.values()} - {"time"}


def column(*values):
    return np.arange(len(values)), np.array(values, np.float64)


def unit_of(name):
    return CONVERSIONS.get(name, (name, 1.0))


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_every_name_that_the_logger_knows_is_read_as_the_same_quantity(name):
    own, factor = unit_of(key(name))
    for recorded in (name, f"train/{name}", key(name)):
        assert own_key(recorded) == (own, factor)
        _, values = quantity({recorded: column(1.0, 2.0)}, own)
        assert values.tolist() == [factor, 2 * factor]


@pytest.mark.parametrize("own", sorted(DRAWN))
def test_everything_that_is_drawn_is_drawn_under_every_name(tmp_path, own):
    names = {own, *SPELLINGS.get(own, ())}
    names |= {n for n, (converted, _) in CONVERSIONS.items() if converted == own}
    for index, name in enumerate(sorted(names)):
        folder = write_run(tmp_path / str(index), rows_of(3, **{name: lambda s: 2.0}))
        x, y = load_history(folder).get(own)
        assert x.tolist() == [1, 2, 3], name
        assert y.tolist() == [2.0 * unit_of(name)[1]] * 3, name


def test_the_key_of_the_project_goes_before_other_names():
    columns = {"train/learning_rate": column(1.0), "lr/lr": column(2.0)}
    assert quantity(columns, "lr/lr")[1].tolist() == [2.0]
    assert quantity(columns, "grad/norm") is None


@pytest.mark.parametrize(
    "name, own",
    [
        ("val_loss", "val/loss"),
        ("train/eval_loss", "eval/loss"),
        ("train/val/accuracy", "val/accuracy"),
        ("train/train_loss", "train/loss"),
        ("val_web/loss", "val_web/loss"),
        ("validated", "validated"),
        ("val_", "val_"),
        ("perf/mfu", "perf/mfu"),
        ("anything/else", "anything/else"),
    ],
)
def test_names_of_an_evaluation_have_a_key_of_its_split(name, own):
    assert own_key(name) == (own, 1.0)


@pytest.mark.parametrize(
    "names, chosen",
    [
        (["val/accuracy", "val/loss"], "val/loss"),
        (["test/loss", "val/loss"], "val/loss"),
        (["train/val_loss"], "train/val_loss"),
        (["eval/avg_loss"], "eval/avg_loss"),
        (["eval_loss"], "eval_loss"),
        (["val_web/loss"], "val_web/loss"),
        (["val/seconds", "val/accuracy"], "val/accuracy"),
        (["val_web/loss", "val_code/loss", "val_code/accuracy"], "val_web/loss"),
        (["train/loss", "value/loss", "val/x"], None),
    ],
)
def test_the_series_by_which_models_are_chosen(names, chosen):
    found = evaluation({name: column(1.0) for name in names}, "step")
    assert (found and found.key) == chosen


def test_several_datasets_have_no_common_loss():
    columns = {f"val_{name}/loss": column(1.0) for name in ("web", "code")}
    assert evaluation_loss(columns, "step") is None


def test_the_best_value_is_the_first_of_the_direction():
    found = evaluation({"val/accuracy": column(0.5, 0.9, np.nan, 0.9)}, "step")
    assert found.best() == (1, 0.9)
    assert found._replace(y=np.full(4, np.nan)).best() is None


def test_epochs_have_the_validation_that_was_logged_with_their_batches(tmp_path):
    folder = write_epochs(tmp_path, epoch(1, extra={"val_loss": 0.5}))
    loss = load_history(folder).evaluation_loss
    assert (loss.key, loss.unit, loss.y.tolist()) == ("val_loss", "epoch", [0.5])


def test_the_validation_of_steps_is_not_drawn_over_epochs(tmp_path):
    write_run(tmp_path, [{"step": 9, "split": "val", "val/loss": 1.0}])
    history = load_history(write_epochs(tmp_path, epoch(1)))
    assert history.evaluation_loss is None
    assert (history.evaluation.key, history.evaluation.unit) == ("val/loss", "step")
    assert load_history(Run.load(tmp_path)).evaluation_loss.key == "val/loss"


@pytest.mark.parametrize(
    "runs, renamed",
    [
        ([["lr/lr"], ["train/learning_rate"]], [{}, {"train/learning_rate": "lr/lr"}]),
        ([["train/learning_rate"]] * 2, [{}, {}]),
        (
            [["loss"], ["train/total_loss"]],
            [{"loss": "train/loss"}, {"train/total_loss": "train/loss"}],
        ),
        ([["train/loss", "train/total_loss"], ["train/total_loss"]], [{}, {}]),
        ([["x"], ["y"]], [{}, {}]),
    ],
)
def test_names_are_unified_only_where_runs_differ(runs, renamed):
    result = common_names([{name: column(1.0) for name in names} for names in runs])
    assert [{n: own for n, (own, _) in one.items()} for one in result] == renamed


def test_memory_is_compared_in_one_unit(tmp_path):
    old = write_run(tmp_path / "old", rows_of(2, train__gpu_peak_mb=lambda s: 512.0))
    new = write_run(tmp_path / "new", rows_of(2, mem__peak_bytes=lambda s: 2.0**30))
    comparison = compare([old, new])
    assert comparison.keys == ["mem/peak_bytes"]
    assert [r.last for r in comparison.results] == [2.0**29, 2.0**30]
    assert Run.load(old).keys() == ["train/gpu_peak_mb"]
