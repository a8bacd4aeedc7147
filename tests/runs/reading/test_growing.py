"""A run that is read piece by piece is the run that is read at once."""

import json
import random
import warnings

import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics import Run
from jaxmetrics.runs.reading import GrowingRun, axis_positions


def row(draw, step):
    """Return a row as a run may have: of a split, with gaps, arrays, texts, media."""
    if draw.random() < 0.05:
        return {"kind": "text", "step": step, "split": "val", "val/text": f"at {step}"}
    split = draw.choice(["train", "train", "val", "val_code"])
    values = {"step": step, "split": split}
    if draw.random() < 0.9:
        values["time"] = step + draw.random()
    if draw.random() < 0.5:
        values["tokens"] = step * 64
    values[f"{split}/loss"] = draw.choice([draw.random(), "NaN", 3])
    if draw.random() < 0.3:
        values["lr/lr"] = draw.random()
    if draw.random() < 0.2:
        values["val/per_class"] = [draw.random(), draw.random()]
    if draw.random() < 0.1:
        values["train/note"] = "text"
    return values


def loaded(path):
    with warnings.catch_warnings(action="ignore"):
        return Run.load(path, "skip")


def assert_same(growing, whole):
    with growing.lock:
        run = growing.run
        assert len(run) == len(whole) and run.keys() == whole.keys()
        np.testing.assert_array_equal(run.steps, whole.steps)
        assert run.left_out == whole.left_out
        assert run.seconds == pytest.approx(whole.seconds, nan_ok=True)
        for key in [*whole.keys(), *(k for k in ("time", "tokens") if k in whole)]:
            np.testing.assert_array_equal(run[key], whole[key])
        assert run.arrays.keys() == whole.arrays.keys()
        for key in whole.arrays:
            np.testing.assert_array_equal(run[key][1], whole[key][1])
        for axis, at in axis_positions(whole).items():
            np.testing.assert_array_equal(axis_positions(run)[axis], at)


@pytest.mark.parametrize("seed", range(6))
def test_it_equals_the_run_that_is_read_at_once(tmp_path, seed):
    draw, path = random.Random(seed), tmp_path / "metrics.jsonl"
    path.write_text('{"kind":"header","schema":2,"run_id":"a"}\n')
    growing, step = GrowingRun(tmp_path), 0
    earlier = []
    for _ in range(8):
        with open(path, "a") as file:
            for _ in range(draw.randrange(40)):
                step = max(step + draw.choice([1, 1, 1, 0, -3]), 1)
                file.write(f"{json.dumps(row(draw, step))}\n")
            if draw.random() < 0.3:
                file.write("damaged\n")
        assert growing.update()
        whole = loaded(tmp_path)
        earlier.append((growing.run, len(whole), whole.keys()))
        if draw.random() < 0.7:  # columns that were read already go on
            assert_same(growing, whole)
    assert_same(growing, loaded(tmp_path))
    assert growing.bad == loaded(tmp_path).bad
    assert growing.generation == 0
    for run, length, keys in earlier:  # what was returned before stays as it was
        assert len(run) == length and run.keys() == keys
        assert all(run[key][0].max() <= run.steps.max() for key in keys)


def test_it_stops_in_time_and_goes_on(tmp_path):
    with open(tmp_path / "metrics.jsonl", "w") as file:
        for step in range(1, 40_001):
            file.write(f'{{"step":{step},"split":"train","train/loss":{step}}}\n')
    growing, calls = GrowingRun(tmp_path), 1
    while not growing.update(seconds=0):
        assert 0 < growing.progress <= 1
        calls += 1
    assert growing.progress == 1 and calls > 10
    assert_same(growing, loaded(tmp_path))


def test_rows_of_a_run_have_its_header(tmp_path):
    row = {"step": 1, "split": "train", "train/loss": 2.0}
    lines = [{"kind": "header", "schema": 2, "run_id": "first"}, row]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    growing = GrowingRun(tmp_path)
    growing.update()
    assert growing.of_rows([row]).header["run_id"] == "first"
    (tmp_path / "run.json").write_text('{"run_id": "of run.json"}')
    growing.update()
    assert growing.of_rows([row]).header["run_id"] == "of run.json"
    assert growing.of_rows([row]).steps.tolist() == [1]


def test_it_stops_at_its_size(tmp_path):
    with open(tmp_path / "metrics.jsonl", "w") as file:
        for step in range(1, 40_001):
            file.write(f'{{"step":{step},"split":"train","train/loss":{step}}}\n')
    growing = GrowingRun(tmp_path, max_bytes=10_000)
    assert growing.update() and growing.is_full and growing.update()
    assert 0 < len(growing.run) < 40_000


def test_what_was_not_changed_is_not_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1,"split":"train","train/loss":1}\n')
    growing = GrowingRun(tmp_path)
    assert not growing.is_current()
    growing.update()
    run, version = growing.run, growing.version
    assert growing.is_current() and growing.update()
    assert growing.run is run and growing.version == version
    with open(path, "a") as file:
        file.write('{"step":2,"split":"train","train/loss":1}\n')
    assert not growing.is_current()
    growing.update()
    assert len(growing.run) == 2 and growing.version != version


def test_it_is_read_anew_when_it_was_cut_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [f'{{"step":{n},"split":"train","train/loss":{n}}}\n' for n in range(1, 9)]
    path.write_text("".join(lines))
    growing = GrowingRun(tmp_path)
    growing.update()
    path.write_text("".join([*lines[:3], lines[3].replace(":4}", ":40}")]))
    growing.update()
    assert growing.generation == 1
    assert growing.run["train/loss"][1].tolist() == [1, 2, 3, 40]


def test_events_and_media_are_followed(tmp_path):
    logger = jm.TrainingLogger("a", "run", root=tmp_path, console=False)
    with logger:
        logger.log_step(1, loss=1.0)
        logger.log_text(1, sample="first")
        logger.flush()
        growing = GrowingRun(logger.run_dir)
        growing.update()
        assert [e.key for e in growing.media.values()] == ["train/sample"]
        for step in range(2, 5):
            logger.log_text(step, sample=f"at {step}")
        logger.log_table(3, words=(["word"], [["a"], ["b"]]))
        logger.flush()
        growing.update()
        assert growing.media[3, "table", "train/words"].size == 2
        entry = growing.entry(3, "text", "train/sample")
        assert entry.value == "at 3"
        assert growing.entry(9, "text", "train/sample") is None
    growing.update()
    names = [event["event"] for event in growing.run.events]
    assert names[0] == "start" and names[-1] == "close"


def test_without_files_it_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="found neither"):
        GrowingRun(tmp_path).update()


def test_epochs_of_a_tracker_are_read_anew(tmp_path):
    tracker = jm.EpochTracker(tmp_path)
    growing = GrowingRun(tmp_path)
    for epoch in range(1, 4):
        tracker.start_epoch(epoch)
        tracker.log_batch(loss=1.0 / epoch, lr=0.1, grad_norm=1.0)
        tracker.end_epoch()
        growing.update()
        assert growing.run.unit == "epoch"
        assert growing.run["train/loss"][0].tolist() == list(range(1, epoch + 1))


def test_who_cannot_wait_for_another_reader_is_told_that_not_all_was_read(tmp_path):
    with jm.TrainingLogger("p", "r", tmp_path, console=False) as logger:
        logger.log_step(1, loss=1.0)
    growing = GrowingRun(logger.run_dir)
    with growing._updating:  # as while another thread reads
        assert growing.update(0.0) is False
    assert growing.update() is True


def telemetry_line(step):
    norms = {"overall": step / 10, "layer": 0.5}
    line = {"step": step, "timestamp": float(step), "batch_idx": step}
    return json.dumps(line | {"gradient_norm": norms}) + "\n"


def test_lines_of_telemetry_are_read_on_and_metrics_take_their_place(
    tmp_path, monkeypatch
):
    (tmp_path / "telemetry").mkdir()
    path = tmp_path / "telemetry" / "telemetry.jsonl"
    growing = GrowingRun(tmp_path)
    for step in (10, 20, 30):
        with open(path, "a") as file:
            file.write(telemetry_line(step))
        with monkeypatch.context() as patch:
            patch.delattr(Run, "load")  # which reads all of it
            assert not growing.is_current() and growing.update()
        assert growing.is_current()
        assert_same(growing, loaded(tmp_path))
    assert growing.generation == 0 and "grad/norm/layer" in growing.run
    path.write_text(telemetry_line(10))
    assert growing.update() and growing.generation == 1
    assert_same(growing, loaded(tmp_path))
    (tmp_path / "metrics.jsonl").write_text(
        '{"step":1,"split":"train","train/loss":1.0}\n'
    )
    assert growing.update() and growing.generation == 2
    assert growing.run.keys() == ["train/loss"]
