import numpy as np
import pytest
from support.runs import epoch, rows_of, write_epochs, write_run

from jaxmetrics import Run
from jaxmetrics.record import EPOCH_FIELDS
from jaxmetrics.runs import generate_all_plots
from jaxmetrics.runs.reading import load_history
from jaxmetrics.runs.reading._record_rows import COLUMNS


class Tracker:
    def __init__(self, output_dir):
        self.output_dir = output_dir


def test_epochs_are_read_from_a_tracker_or_a_path(tmp_path):
    folder = write_epochs(tmp_path, epoch(4))
    for source in (Tracker(folder), folder, str(folder)):
        history = load_history(source)
        assert history.unit == "epoch"
        assert history.get("train/loss")[0].tolist() == [4]
    assert load_history(history) is history


def test_steps_are_read_from_a_run_or_a_path(tmp_path):
    folder = write_run(tmp_path, rows_of(3, train__loss=float), run_name="named")
    for source in (folder, Run.load(folder), folder / "metrics.jsonl"):
        assert load_history(source).unit == "step"


def test_a_folder_with_both_has_epochs_and_the_run(tmp_path):
    write_epochs(tmp_path, epoch(4))
    write_run(tmp_path, rows_of(3, train__loss=float), run_name="both")
    history = load_history(Tracker(tmp_path))
    assert (history.unit, history.name, len(history.run)) == ("epoch", "both", 3)


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no epoch has ended"):
        generate_all_plots(Tracker(tmp_path))
    with pytest.raises(FileNotFoundError, match="found neither"):
        generate_all_plots(tmp_path)
    with pytest.raises(TypeError, match="got a int. Give the run directory"):
        generate_all_plots(3)
    assert not list(tmp_path.iterdir())


def test_every_field_of_an_epoch_is_read_under_a_key_of_the_project(tmp_path):
    fields = {name: float(n) for n, name in enumerate(EPOCH_FIELDS[2:], 2)}
    history = load_history(write_epochs(tmp_path, epoch(1, **fields)))
    assert set(history.series) == {
        "train/loss",
        "train/loss_std",
        "train/loss_min",
        "train/loss_max",
        "train/loss_median",
        "lr/lr",
        "grad/norm",
        "perf/samples_per_second",
        "perf/batches_per_second",
        "perf/epoch_seconds",
        "mem/in_use_bytes",
        "mem/reserved_bytes",
        "mem/peak_bytes",
        "ema/delta_norm",
        "time",
    }
    peak = history.get("mem/peak_bytes")[1].tolist()
    assert peak == [fields["gpu_peak_mb"] * 2**20]


def test_the_columns_of_epochs_have_the_values_of_the_file(tmp_path):
    fields = {name: 0.1 * n for n, name in enumerate(EPOCH_FIELDS[2:], 2)}
    columns = load_history(write_epochs(tmp_path, epoch(1, **fields))).columns()
    assert list(columns) == list(EPOCH_FIELDS[1:])
    values = {name: y.tolist() for name, (_, y) in columns.items()}
    assert values == {"loss_mean": [1.0]} | {n: [v] for n, v in fields.items()}


def test_columns_are_different_keys():
    assert len({column.key for column in COLUMNS.values()}) == len(COLUMNS)


def test_unknown_fields_are_absent(tmp_path):
    history = load_history(write_epochs(tmp_path, epoch(0), epoch(1, lr=0.5)))
    assert set(history.series) == {"train/loss", "lr/lr"}
    assert history.get("lr/lr")[0].tolist() == [1]
    assert len(history.get("grad/norm")[0]) == 0


def test_a_run_has_its_own_keys_and_units(tmp_path):
    rows = rows_of(2, mem__in_use_bytes=lambda s: 2**30, train__loss_p50=float)
    history = load_history(write_run(tmp_path, rows))
    assert history.get("mem/in_use_bytes")[1].tolist() == [2**30] * 2
    assert history.get("train/loss_median")[1].tolist() == [1, 2]
    assert history.columns()["gpu_allocated_mb"][1].tolist() == [1024] * 2


def test_the_first_learning_rate_stands_for_all(tmp_path):
    rows = rows_of(2, lr__decoder=float)
    history = load_history(write_run(tmp_path, rows))
    assert history.get("lr/lr")[1].tolist() == [1, 2]


def test_rates_and_step_times_are_computed_from_totals(tmp_path):
    rows = rows_of(3, time=lambda s: 2.0 * s, tokens=lambda s: 1000 * s)
    history = load_history(write_run(tmp_path, rows))
    assert history.get("perf/step_seconds")[1].tolist() == [2.0, 2.0]
    assert history.get("perf/tokens_per_second")[1].tolist() == [500.0, 500.0]
    assert len(history.get("perf/samples_per_second")[0]) == 0


def test_logged_rates_and_step_times_are_kept(tmp_path):
    rows = rows_of(3, time=float, tokens=float, perf__step_seconds=lambda s: 7.0)
    history = load_history(write_run(tmp_path, rows))
    assert set(history.get("perf/step_seconds")[1]) == {7.0}


def test_a_resumed_run_has_no_negative_step_times(tmp_path):
    rows = rows_of(4, time=lambda s: [0, 9.0, 10.0, 5.0, 6.0][s])
    history = load_history(write_run(tmp_path, rows))
    assert history.get("perf/step_seconds")[1].tolist() == [1.0, 1.0]


def test_records_at_the_same_time_have_a_step_time_of_zero_and_no_rate(tmp_path):
    rows = rows_of(3, time=lambda s: [0, 1.0, 1.0, 3.0][s], tokens=float)
    history = load_history(write_run(tmp_path, rows))
    steps, seconds = history.get("perf/step_seconds")
    assert (steps.tolist(), seconds.tolist()) == ([2, 3], [0.0, 2.0])
    steps, rates = history.get("perf/tokens_per_second")
    assert (steps.tolist(), rates.tolist()) == ([3], [0.5])


def test_an_evaluation_that_finishes_late_has_no_part_in_step_times(tmp_path):
    rows = rows_of(4, time=float, tokens=float)
    for row in rows:
        row["step"] *= 2
    late = {"step": 3, "split": "val", "time": 4.5, "val/loss": 1.0}
    history = load_history(write_run(tmp_path, [*rows, late]))
    steps, seconds = history.get("perf/step_seconds")
    assert (steps.tolist(), seconds.tolist()) == ([4, 6, 8], [0.5, 0.5, 0.5])
    assert history.get("perf/tokens_per_second")[1].tolist() == [1.0, 1.0, 1.0]


def test_records_of_several_splits_count_once_per_step(tmp_path):
    rows = [
        {"step": step, "split": split, "time": float(step), "tokens": 10 * step}
        for step in (1, 2)
        for split in ("train", "val")
    ]
    history = load_history(write_run(tmp_path, rows))
    np.testing.assert_array_equal(history.get("perf/tokens_per_second"), [[2], [10]])
