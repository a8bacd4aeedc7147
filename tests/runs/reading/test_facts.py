import math

from support.runs import epoch, rows_of, write_epochs, write_run

from jaxmetrics.runs.reading import load_history, summary_facts
from jaxmetrics.runs.reading._facts import best_loss


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
        "Wall time": "4m00s",
        "Peak memory": "516 MiB",
        "Devices": "8 × TPU v5e",
        "Attempts": "2",
    }


def test_facts_of_steps(tmp_path):
    rows = rows_of(40, loss=lambda s: 1.0 / s, time=lambda s: 0.25 * s)
    facts = facts_of(write_run(tmp_path, rows, attempts=[{}, {}, {}]))
    assert facts["Best loss"] == "0.025 at step 40"
    assert (facts["Steps"], facts["Wall time"], facts["Attempts"]) == ("40", "10s", "3")


def test_unknown_facts_are_absent(tmp_path):
    facts = facts_of(write_epochs(tmp_path / "name", epoch(0, None)))
    assert facts == {"Run": "name", "Epochs": "0"}


def test_without_a_finite_loss_there_is_no_best_one(tmp_path):
    history = load_history(write_epochs(tmp_path, epoch(0, math.inf)))
    assert best_loss(history) is None
