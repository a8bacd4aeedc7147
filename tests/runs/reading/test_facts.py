import math

from support.runs import epoch, rows_of, write_epochs, write_run

from jaxmetrics.runs.reading import load_history, summary_facts


def facts_of(folder):
    return dict(summary_facts(load_history(folder)))


def test_facts_of_epochs(tmp_path):
    epochs = [
        epoch(n, loss, cumulative_time_sec=60.0 * n, gpu_peak_mb=512.0 + n)
        for n, loss in ((1, 3.0), (2, 1.25), (4, math.nan))
    ]
    run = {"attempts": 2, "devices": {"count": 8, "kind": "TPU v5e"}}
    assert facts_of(write_epochs(tmp_path / "name", *epochs, run=run)) == {
        "Run": "name",
        "Best loss": "1.25 at epoch 2",
        "Last loss": "nan at epoch 4",
        "Epochs": "3",
        "Training time": "4m00s",
        "Peak memory": "516 MiB",
        "Devices": "8 × TPU v5e",
        "Attempts": "2",
    }


def test_facts_of_steps(tmp_path):
    rows = rows_of(40, loss=lambda s: 1.0 / s, time=lambda s: 0.25 * s)
    facts = facts_of(write_run(tmp_path, rows, attempts=[{}, {}, {}]))
    assert facts["Training loss, median of the last 10 steps"] == "0.0281746"
    assert facts["Last training loss"] == "0.025 at step 40"
    known = [facts[name] for name in ("Steps", "Training time", "Attempts")]
    assert known == ["40", "10s", "3"]
    assert "Wall time" not in facts


def test_unknown_facts_are_absent(tmp_path):
    facts = facts_of(write_epochs(tmp_path / "name", epoch(0, None)))
    assert facts == {"Run": "name", "Epochs": "0"}


def test_without_a_finite_loss_there_is_no_best_one(tmp_path):
    facts = facts_of(write_epochs(tmp_path, epoch(0, math.inf)))
    assert facts["Last loss"] == "inf at epoch 0" and "Best loss" not in facts


def test_the_loss_of_an_evaluation_comes_first(tmp_path):
    losses = {450: 0.36, 1000: 1.01, 500: math.nan}
    rows = rows_of(1000, train__loss=lambda s: 3.0 / s)
    rows += [{"step": n, "split": "val", "val/loss": y} for n, y in losses.items()]
    assert list(facts_of(write_run(tmp_path, rows)).items())[1:5] == [
        ("Best val/loss", "0.36 at step 450"),
        ("Last val/loss", "1.01 at step 1,000"),
        ("Training loss, median of the last 50 steps", "0.00307535"),
        ("Last training loss", "0.003 at step 1,000"),
    ]


def test_a_metric_stands_for_the_loss_that_an_evaluation_does_not_have(tmp_path):
    values = {"eval/seconds": 1.0, "eval/accuracy": 0.25, "eval/x": 1.0}
    rows = [{"step": n, "split": "eval"} | values for n in (1, 2)]
    rows[1]["eval/accuracy"] = 0.125
    facts = facts_of(write_run(tmp_path, rows))
    assert facts["Best eval/accuracy"] == "0.25 at step 1"
    assert facts["Last eval/accuracy"] == "0.125 at step 2"


def test_epochs_are_chosen_by_their_validation_or_that_of_the_run_beside(tmp_path):
    extra = [{"val_loss": 2.0}, {"val_loss": 1.0}]
    epochs = [epoch(n, 3.0, extra=values) for n, values in enumerate(extra)]
    folder = write_epochs(tmp_path, *epochs)
    assert facts_of(folder)["Best val/loss"] == "1 at epoch 1"
    write_epochs(tmp_path, epoch(0), epoch(1))
    write_run(tmp_path, [{"step": 40, "split": "val", "val/loss": 0.5}])
    assert facts_of(folder)["Best val/loss"] == "0.5 at step 40"


def test_the_training_time_is_that_of_the_last_line(tmp_path):
    rows = rows_of(4, train__loss=float, time=float)
    late = {"step": 2, "split": "val", "time": 99.0, "val/loss": 1.0}
    assert facts_of(write_run(tmp_path, [*rows, late]))["Training time"] == "1m39s"


def test_one_lucky_batch_is_not_the_loss_of_a_training(tmp_path):
    rows = rows_of(400, train__loss=lambda s: 0.01 if s == 390 else 2.0)
    facts = facts_of(write_run(tmp_path, rows))
    assert facts["Training loss, median of the last 20 steps"] == "2"
    assert not any(value.startswith("0.01") for value in facts.values())


def test_the_wall_time_has_the_time_between_attempts(tmp_path):
    rows = rows_of(4, train__loss=float, time=float)
    signs = [("start", 1, "00:00"), ("step", 1, "00:01")]
    signs += [("start", 2, "01:00"), ("close", 2, "01:02")]
    events = [
        {"event": e, "attempt": n, "step": 2 * n, "time": f"2026-01-01T{at}:00+00:00"}
        for e, n, at in signs
    ]
    facts = facts_of(write_run(tmp_path, rows, events))
    assert (facts["Training time"], facts["Wall time"]) == ("4s", "1h02m")


def test_a_single_step_is_in_the_singular(tmp_path):
    facts = facts_of(write_run(tmp_path, rows_of(1, train__loss=lambda step: 2.0)))
    assert facts["Training loss, median of the last step"] == "2"
