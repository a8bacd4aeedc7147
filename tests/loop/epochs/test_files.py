"""Files of epochs have a fixed format and are replaced as a whole."""

import math

import jax
import pytest
from support.clock import Clock
from support.epochs import document, run_epoch, table
from support.faults import FullDisk

from jaxmetrics import EpochMetrics, EpochTracker
from jaxmetrics.record import EPOCH_FIELDS, read_epochs

FIELDS = (
    "epoch,loss_mean,loss_std,loss_min,loss_max,loss_median,lr,grad_norm,"
    "samples_per_sec,batches_per_sec,gpu_allocated_mb,gpu_reserved_mb,gpu_peak_mb,"
    "ema_delta_norm,epoch_time_sec,cumulative_time_sec"
).split(",")


@pytest.fixture
def clock():
    return Clock(1_700_000_000.0)


def test_the_files_have_all_fields_in_order(tmp_path, clock):
    assert list(EPOCH_FIELDS) == FIELDS
    tracker = EpochTracker(tmp_path / "deep" / "er", config={"lr": 0.1}, clock=clock)
    for epoch in (1, 2):
        run_epoch(tracker, clock, epoch, (3.0 / epoch, 1.0), lr=0.1, samples=8)
    rows = table(tracker.output_dir)
    assert list(rows[0]) == FIELDS
    assert [row["epoch"] for row in rows] == ["1", "2"]
    content = document(tracker.output_dir)
    assert list(content["epochs"][0]) == [*FIELDS, "extra"]
    for row, epoch in zip(rows, content["epochs"]):
        for name in FIELDS:
            text = "" if epoch[name] is None else repr(epoch[name])
            assert row[name] == text, name
    assert content["config"] == {"lr": 0.1}
    assert content["totals"] == {
        "epochs": 2,
        "best_epoch": 2,
        "best_loss": 1.25,
        "cumulative_time_sec": 4.0,
        "gpu_peak_mb": None,
    }
    run = content["run"]
    assert run["created"] == "2023-11-14T22:13:22.000+00:00" and run["attempts"] == 1
    assert run["updated"] == "2023-11-14T22:13:24.000+00:00"
    assert run["versions"]["jax"] == jax.__version__
    assert read_epochs(tracker.output_dir).epochs == list(tracker.epochs)


def test_unknown_values_are_empty_and_not_zero(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    epoch = tracker.end_epoch()  # no batch, no time, no memory statistics
    assert epoch == EpochMetrics(0, epoch_time_sec=0.0, cumulative_time_sec=0.0)
    known = {k: v for k, v in table(tmp_path)[0].items() if v}
    assert known == {
        "epoch": "0",
        "epoch_time_sec": "0.0",
        "cumulative_time_sec": "0.0",
    }
    assert document(tmp_path)["epochs"][0]["loss_mean"] is None


def test_losses_that_are_not_finite_are_recorded(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    nan = run_epoch(tracker, clock, 0, (1.0, math.nan))
    run_epoch(tracker, clock, 1, (1.0, math.inf))
    run_epoch(tracker, clock, 2, (1e308, 1e308))
    run_epoch(tracker, clock, 3, (5.0,))
    assert math.isnan(nan.loss_mean) and math.isnan(nan.loss_min)
    epochs = document(tmp_path)["epochs"]
    assert [e["loss_mean"] for e in epochs] == ["NaN", "Infinity", "Infinity", 5.0]
    assert [row["loss_mean"] for row in table(tmp_path)] == ["nan", "inf", "inf", "5.0"]
    assert document(tmp_path)["totals"]["best_epoch"] == 3
    reopened = EpochTracker(tmp_path, clock=clock)
    assert math.isnan(reopened.epochs[0].loss_max)
    assert reopened.epochs[1].loss_max == math.inf


def test_names_are_escaped_and_columns_stay_aligned(tmp_path, clock):
    name = '=HYPERLINK("http://x")\n,"'
    tracker = EpochTracker(tmp_path, clock=clock)
    run_epoch(tracker, clock, 0, (-1.0,))
    run_epoch(tracker, clock, 1, (-1.0,), **{name: -2.0})
    rows = table(tmp_path)
    assert list(rows[0])[-1] == '\'=HYPERLINK("http://x")\\x0a,"'
    assert [list(row.values())[-1] for row in rows] == ["", "-2.0"]
    assert rows[0]["loss_mean"] == "-1.0"
    assert document(tmp_path)["epochs"][1]["extra"] == {name: -2.0}


def test_secrets_of_the_configuration_are_not_written(tmp_path, clock):
    tracker = EpochTracker(tmp_path, config={"hf_token": "abc"}, clock=clock)
    run_epoch(tracker, clock, 0)
    assert document(tmp_path)["config"] == {"hf_token": "<redacted>"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"kind": "epochs"}', '{"kind":"epochs","epochs":[{}]}']
)
def test_a_json_file_of_another_format_is_refused_and_unchanged(tmp_path, text):
    (tmp_path / "training_metrics.json").write_text(text)
    with pytest.raises(ValueError, match="written by an EpochTracker"):
        EpochTracker(tmp_path)
    assert (tmp_path / "training_metrics.json").read_text() == text


def test_a_csv_file_without_a_json_file_is_refused(tmp_path):
    (tmp_path / "training_metrics.csv").write_text("a,b\n")
    with pytest.raises(FileExistsError, match="cannot be continued. Move it away"):
        EpochTracker(tmp_path)


@pytest.mark.parametrize("at_checkpoint", [False, True])
def test_epochs_refused_by_a_full_disk_are_written_later(
    tmp_path, clock, monkeypatch, caplog, at_checkpoint
):
    tracker = EpochTracker(tmp_path, clock=clock)
    run_epoch(tracker, clock, 0)
    disk = FullDisk(monkeypatch)
    disk.room = 10
    for epoch in (1, 2):
        run_epoch(tracker, clock, epoch)
    assert [row["epoch"] for row in table(tmp_path)] == ["0"]
    assert len(caplog.messages) == 1 and "Training goes on" in caplog.text
    disk.room = None
    if at_checkpoint:
        tracker.state()
    else:
        run_epoch(tracker, clock, 3)
    last = 3 - at_checkpoint
    assert [int(row["epoch"]) for row in table(tmp_path)] == list(range(last + 1))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("back", ["restore", "restart"])
def test_going_back_on_a_full_disk_keeps_the_later_epochs(
    tmp_path, clock, monkeypatch, back
):
    tracker = EpochTracker(tmp_path, clock=clock)
    run_epoch(tracker, clock, 0)
    state = tracker.state()
    run_epoch(tracker, clock, 1)
    disk = FullDisk(monkeypatch)
    disk.room = 10
    tracker.load_state(state) if back == "restore" else tracker.reset()
    assert len(list(tmp_path.iterdir())) == 2  # nothing half-written
    disk.room = None
    run_epoch(tracker, clock, 5)
    kept = ["0", "5"] if back == "restore" else ["5"]
    assert [row["epoch"] for row in table(tmp_path)] == kept
    copy = (tmp_path / f"training_metrics.csv.after-{back}").read_text()
    assert len(copy.splitlines()) == 3
