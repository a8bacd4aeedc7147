"""Epochs and the file that holds them."""

import math

import pytest

from jaxmetrics.record import EPOCH_FIELDS, EpochMetrics, dumps, read_epochs

ROW = {"epoch": 1, "loss_mean": 0.5, "extra": {"accuracy": 1, "unknown": None}}
CONTENT = {"kind": "epochs", "run": {"attempts": 1}, "config": {}, "epochs": [ROW]}


def write(folder, content):
    (folder / "training_metrics.json").write_text(dumps(content))


def test_fields_are_named_in_their_order_without_extra():
    assert EPOCH_FIELDS[:2] == ("epoch", "loss_mean")
    assert EPOCH_FIELDS[-1] == "cumulative_time_sec" and len(EPOCH_FIELDS) == 16
    assert list(EpochMetrics(1).line()) == [*EPOCH_FIELDS, "extra"]


def test_an_epoch_is_read_from_its_row():
    epoch = EpochMetrics.from_row(ROW | {"lr": "NaN", "later": "x"})
    assert (epoch.epoch, epoch.loss_mean, epoch.grad_norm) == (1, 0.5, None)
    assert math.isnan(epoch.lr)
    assert epoch.extra == {"accuracy": 1.0}
    assert type(epoch.extra["accuracy"]) is float


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"epoch": 1.0},
        {"epoch": True},
        {"epoch": 1, "lr": "x"},
        {"epoch": 1, "lr": True},
        {"epoch": 1, "extra": [1]},
        {"epoch": 1, "extra": {"x": []}},
    ],
)
def test_a_row_of_other_types_is_refused(row):
    with pytest.raises(TypeError, match="an epoch"):
        EpochMetrics.from_row(row)


def test_a_folder_without_the_file_has_no_epochs(tmp_path):
    assert read_epochs(tmp_path) is None


def test_epochs_are_read_in_the_order_of_their_numbers(tmp_path):
    rows = [ROW | {"epoch": number} for number in (3, 1, 2, 1)]
    write(tmp_path, CONTENT | {"epochs": rows, "config": {"lr": 0.1}})
    epochs = read_epochs(tmp_path)
    assert [epoch.epoch for epoch in epochs.epochs] == [1, 2, 3]
    assert (epochs.run, epochs.config) == ({"attempts": 1}, {"lr": 0.1})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "other"}, "its kind is not 'epochs'"),
        ({"run": []}, "'run' or 'config' is not an object"),
        ({"config": 1}, "'run' or 'config' is not an object"),
        ({"epochs": [{}]}, "epoch"),
        ({"epochs": 3}, "not iterable"),
        ({"epochs": [1]}, "not subscriptable"),
    ],
)
def test_a_damaged_file_is_refused_with_its_path(tmp_path, change, reason):
    write(tmp_path, CONTENT | change)
    with pytest.raises(ValueError, match=f"training_metrics.json is not .*{reason}"):
        read_epochs(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind":"epochs"}'])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "training_metrics.json").write_text(text)
    with pytest.raises(ValueError, match="Move it away"):
        read_epochs(tmp_path)
