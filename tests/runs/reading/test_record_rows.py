"""Files of the other objects of a loop are read as runs."""

import shutil

import pytest
from support.clock import Clock
from support.epochs import run_epoch
from support.runs import named_run, rows_of

from jaxmetrics import EpochTracker, MetricsEntry, MetricsLog, Run
from jaxmetrics.record import CorruptLineError, dumps
from jaxmetrics.runs import compare, export, find_run
from jaxmetrics.runs.reading import load_history
from jaxmetrics.runs.reading._record_rows import as_record_row

TELEMETRY = {
    "step": 200,
    "batch_idx": 3,
    "epoch": 1,
    "timestamp": "2026-01-01T00:00:00+00:00",
    "gradient_norm": {"overall": 5.0, "head": 4.0},
    "weight_delta": {"overall": "NaN"},
    "learning_rates": {"group_0": 0.1},
    "holdout_logits": {"logits": [[1.0]], "labels": [0], "accuracy": 0.75},
    "batch_stats": {"winner_0_pct": 25.0, "batch_size": 8},
    "update/ratio": 0.001,
    "mine": {"deep": 7},
}


@pytest.fixture
def tracker(tmp_path):
    clock = Clock()
    tracker = EpochTracker(tmp_path / "epochs", config={"lr": 0.1}, clock=clock)
    for epoch, loss in ((0, 3.0), (1, 1.0)):
        more = {"val_loss": loss + 1, "accuracy": 0.5}
        run_epoch(tracker, clock, epoch, [loss], lr=0.1, samples=4, **more)
    return tracker


@pytest.fixture
def log(tmp_path):
    log = MetricsLog.open(tmp_path / "steps.jsonl")
    for step in (1, 2):
        log.record(MetricsEntry(step, 500.0 * step, 2.0 / step, 0.5, 64.0, {"z": step}))
    return tmp_path / "steps.jsonl"


def columns(run, key):
    steps, values = run[key]
    return steps.tolist(), values.tolist()


def test_the_folder_of_an_epoch_tracker_is_a_run_of_epochs(tracker):
    run = Run.load(tracker.output_dir)
    assert (run.unit, run.name, len(run)) == ("epoch", "epochs", 2)
    assert columns(run, "train/loss") == ([0, 1], [3.0, 1.0])
    assert columns(run, "val/loss") == ([0, 1], [4.0, 2.0])
    assert columns(run, "train/accuracy") == ([0, 1], [0.5, 0.5])
    assert columns(run, "lr/lr") == ([0, 1], [0.1, 0.1])
    assert columns(run, "perf/samples_per_second") == ([0, 1], [2.0, 2.0])
    assert columns(run, "time") == ([0, 1], [2.0, 4.0])
    assert run.config == {"lr": 0.1} and run.seconds == 4.0
    assert load_history(run).columns().keys() == load_history(tracker).columns().keys()
    assert load_history(run).unit == "epoch"


def test_a_log_of_metrics_is_a_run_with_its_extra_values(log):
    run = Run.load(log)
    fields = ["wall_time_ms", "loss", "grad_norm", "throughput_samples_per_sec"]
    assert run.keys() == [*fields, "z"]
    assert columns(run, "z") == ([1, 2], [1.0, 2.0]) and not run.left_out
    assert load_history(run).get("perf/samples_per_second")[1].tolist() == [64.0, 64.0]


def test_a_line_of_telemetry_is_a_record_of_its_scalars(tmp_path):
    (tmp_path / "telemetry.jsonl").write_text(dumps(TELEMETRY) + "\n")
    run = Run.load(tmp_path)
    assert find_run(tmp_path) == tmp_path
    assert {key: columns(run, key)[1] for key in run if key != "delta/norm"} == {
        "batch_idx": [3],
        "epoch": [1],
        "grad/norm": [5],
        "grad/norm/head": [4],
        "lr/group_0": [0.1],
        "batch/winner_0_pct": [25],
        "batch/batch_size": [8],
        "update/ratio": [0.001],
        "mine/deep": [7],
        "holdout/accuracy": [0.75],
    }
    assert not run.left_out and not run.arrays
    assert run.telemetry[0]["gradient_norm"] == TELEMETRY["gradient_norm"]
    assert as_record_row({**TELEMETRY, "split": "train"})["mine"] == {"deep": 7}


def test_telemetry_without_steps_has_no_records(tmp_path):
    line = {name: value for name, value in TELEMETRY.items() if name != "step"}
    (tmp_path / "telemetry.jsonl").write_text(dumps(line) + "\n")
    with pytest.raises(CorruptLineError, match="line 1: .* earlier version, without"):
        Run.load(tmp_path)
    assert len(Run.load(tmp_path, errors="skip").telemetry) == 1


def test_all_of_them_can_be_compared_with_a_run(tracker, log, tmp_path):
    rows = rows_of(3, train__loss=float, lr__lr=float, perf__samples_per_second=float)
    run = named_run(tmp_path, "run", rows)
    comparison = compare([tracker.output_dir, log, run])
    assert {"train/loss", "lr/lr", "perf/samples_per_second"} <= set(comparison.keys)
    assert [len(x) for x, _ in comparison.series("train/loss").values()] == [2, 2, 3]
    assert "The steps of epochs are epochs." in comparison.notes
    copy = shutil.copytree(tracker.output_dir, tmp_path / "copy")
    assert compare([tracker.output_dir, copy]).notes == ["The steps are epochs."]


def test_all_of_them_are_exported(tracker, log, tmp_path):
    text = export(log, tmp_path / "log.csv", "csv").read_text()
    assert text.splitlines()[:2] == [
        "step,split,time,wall_time_ms,loss,grad_norm,throughput_samples_per_sec,z",
        "1,train,0.5,500.0,2.0,0.5,64.0,1.0",
    ]
    text = export(tracker.output_dir, tmp_path / "epochs.csv", "csv").read_text()
    assert text.startswith("step,split,time,train/loss,") and text.count("\n") == 3
