"""Epochs: what each came to, its files, and going on after a restart."""

import csv
import json
import math
import socket

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.faults import FullDisk
from support.processes import run_python, start_python

from jaxmetrics import EpochMetrics, EpochTracker
from jaxmetrics.record import EPOCH_FIELDS, read_epochs

FIELDS = (
    "epoch,loss_mean,loss_std,loss_min,loss_max,loss_median,lr,grad_norm,"
    "samples_per_sec,batches_per_sec,gpu_allocated_mb,gpu_reserved_mb,gpu_peak_mb,"
    "ema_delta_norm,epoch_time_sec,cumulative_time_sec"
).split(",")


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now=1_700_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def run_epoch(tracker, clock, epoch, losses=(1.0,), seconds=2.0, **values):
    tracker.start_epoch(epoch)
    for loss in losses:
        tracker.log_batch(loss=loss, **values)
    clock.now += seconds
    return tracker.end_epoch()


def document(folder):
    def refuse(constant):
        raise AssertionError(f"bare {constant} is not JSON")

    text = (folder / "training_metrics.json").read_text()
    return json.loads(text, parse_constant=refuse)


def table(folder):
    with open(folder / "training_metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_an_epoch_has_the_statistics_of_its_batches(tmp_path, clock):
    tracker = EpochTracker(output_dir=tmp_path, clock=clock)
    tracker.start_epoch(0)
    losses = np.float32([4, 1, 2, 1])
    for i, loss in enumerate(losses):
        tracker.log_batch(loss=loss, lr=0.1 / (i + 1), grad_norm=i, samples=32, acc=i)
    clock.now += 2.0
    epoch = tracker.end_epoch()
    assert epoch == EpochMetrics(
        epoch=0,
        loss_mean=2.0,
        loss_std=float(np.std([4.0, 1, 2, 1])),
        loss_min=1.0,
        loss_max=4.0,
        loss_median=1.5,
        lr=0.1 / 4,
        grad_norm=1.5,
        samples_per_sec=64.0,
        batches_per_sec=2.0,
        epoch_time_sec=2.0,
        cumulative_time_sec=2.0,
        extra={"acc": 1.5},
    )
    assert tracker.epochs == (epoch,)


def test_scalars_of_a_device_give_what_numbers_give(tmp_path, clock):
    values = np.random.default_rng(0).normal(2, 1, (600, 2)).astype(np.float32)
    folders = tmp_path / "device", tmp_path / "host"
    ended = []
    for folder, kind in zip(folders, (jnp.asarray, float)):
        tracker = EpochTracker(folder, clock=clock)
        tracker.start_epoch(1)
        for loss, norm in values:
            tracker.log_batch(loss=kind(loss), grad_norm=kind(norm), lr=kind(norm))
        clock.now += 1
        ended.append(tracker.end_epoch())
    assert ended[0] == ended[1]
    assert ended[0].lr == values[-1, 1]


def test_the_files_have_the_fields_in_their_order(tmp_path, clock):
    assert list(EPOCH_FIELDS) == FIELDS
    tracker = EpochTracker(tmp_path / "deep" / "er", config={"lr": 0.1}, clock=clock)
    for epoch in (1, 2):
        run_epoch(tracker, clock, epoch, (3.0 / epoch, 1.0), lr=0.1, samples=8)
    rows = table(tracker.output_dir)
    assert list(rows[0]) == FIELDS
    assert [row["epoch"] for row in rows] == ["1", "2"]
    whole = document(tracker.output_dir)
    assert list(whole["epochs"][0]) == [*FIELDS, "extra"]
    for row, epoch in zip(rows, whole["epochs"]):
        for name in FIELDS:
            text = "" if epoch[name] is None else repr(epoch[name])
            assert row[name] == text, name
    assert whole["config"] == {"lr": 0.1}
    assert whole["totals"] == {
        "epochs": 2,
        "best_epoch": 2,
        "best_loss": 1.25,
        "cumulative_time_sec": 4.0,
        "gpu_peak_mb": None,
    }
    run = whole["run"]
    assert run["created"] == "2023-11-14T22:13:22.000+00:00" and run["attempts"] == 1
    assert run["updated"] == "2023-11-14T22:13:24.000+00:00"
    assert run["versions"]["jax"] == jax.__version__
    assert read_epochs(tracker.output_dir).epochs == list(tracker.epochs)


def test_what_is_not_known_is_empty_and_never_zero(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    epoch = tracker.end_epoch()  # no batch, in no time, on a device without memory
    assert epoch == EpochMetrics(0, epoch_time_sec=0.0, cumulative_time_sec=0.0)
    known = {k: v for k, v in table(tmp_path)[0].items() if v}
    assert known == {
        "epoch": "0",
        "epoch_time_sec": "0.0",
        "cumulative_time_sec": "0.0",
    }
    assert document(tmp_path)["epochs"][0]["loss_mean"] is None


def test_a_rate_needs_the_samples_of_every_batch(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    tracker.log_batch(loss=1.0, samples=32)
    tracker.log_batch(loss=1.0)
    clock.now += 1
    assert tracker.end_epoch().samples_per_sec is None


def test_losses_that_are_not_finite_are_seen(tmp_path, clock):
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
    again = EpochTracker(tmp_path, clock=clock)
    assert math.isnan(again.epochs[0].loss_max) and again.epochs[1].loss_max == math.inf


def test_a_folder_is_continued_from_the_epoch_that_is_started(tmp_path, clock):
    first = EpochTracker(tmp_path, config={"width": 8}, clock=clock)
    for epoch in range(5):
        run_epoch(first, clock, epoch, (5.0 - epoch,), seconds=10)
    clock.now += 1_000  # the time between two attempts is nobody's training
    second = EpochTracker(tmp_path, clock=clock)
    assert [e.epoch for e in second.epochs] == [0, 1, 2, 3, 4]
    run_epoch(second, clock, 3, (0.5,), seconds=7)
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "1", "2", "3"]
    assert [row["loss_mean"] for row in table(tmp_path)][2:] == ["3.0", "0.5"]
    times = [row["cumulative_time_sec"] for row in table(tmp_path)]
    assert times == ["10.0", "20.0", "30.0", "37.0"]
    whole = document(tmp_path)
    assert whole["config"] == {"width": 8} and whole["run"]["attempts"] == 2
    assert whole["run"]["created"] == "2023-11-14T22:13:30.000+00:00"


def test_what_was_recorded_stays_until_an_epoch_has_replaced_it(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    for epoch in range(3):
        run_epoch(tracker, clock, epoch)
    EpochTracker(tmp_path, clock=clock).start_epoch(1)  # and is killed
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "1", "2"]


def test_going_back_in_one_process_counts_no_time_twice(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    for epoch in (0, 1, 2):
        run_epoch(tracker, clock, epoch, seconds=10)
    assert run_epoch(tracker, clock, 1, seconds=5).cumulative_time_sec == 15.0


def test_time_between_epochs_is_training_and_belongs_to_no_epoch(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    run_epoch(tracker, clock, 0, seconds=10)
    clock.now += 3  # a validation
    epoch = run_epoch(tracker, clock, 1, seconds=10)
    assert (epoch.epoch_time_sec, epoch.cumulative_time_sec) == (10.0, 23.0)


def test_an_unfinished_epoch_is_begun_again_without_its_batches(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    tracker.log_batch(loss=100.0)
    assert run_epoch(tracker, clock, 0, (1.0,)).loss_max == 1.0


def test_a_wrong_order_is_refused(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    with pytest.raises(RuntimeError, match=r"log_batch\(\) before start_epoch\(\)"):
        tracker.log_batch(loss=1.0)
    with pytest.raises(RuntimeError, match=r"end_epoch\(\) before start_epoch\(\)"):
        tracker.end_epoch()
    tracker.start_epoch(0)
    with pytest.raises(RuntimeError, match=r"epoch 0 has not ended\. Call end_epoch"):
        tracker.start_epoch(1)
    with pytest.raises(TypeError):
        tracker.start_epoch(1.5)
    assert not list(tmp_path.iterdir())


def test_what_is_no_scalar_is_refused_by_its_name(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    with pytest.raises(TypeError, match=r"log_batch\(\) got 'loss': an array of shape"):
        tracker.log_batch(loss=jnp.ones(3))
    with pytest.raises(TypeError, match=r"'lr'"):
        tracker.log_batch(loss=1.0, lr="fast")
    with pytest.raises(ValueError, match=r"\['loss_mean'\], which end_epoch"):
        tracker.log_batch(loss=1.0, loss_mean=2.0)

    @jax.jit
    def step(x):
        tracker.log_batch(loss=x)

    with pytest.raises(TypeError, match="no number yet"):
        step(1.0)
    clock.now += 1
    assert tracker.end_epoch().batches_per_sec is None  # nothing of them was taken


def test_a_donated_scalar_is_an_error_that_names_it(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    loss = jnp.float32(1.0)
    tracker.log_batch(loss=loss)
    loss.delete()
    with pytest.raises(RuntimeError, match="'loss', which cannot be fetched"):
        tracker.log_batch(loss=loss)
    with pytest.raises(RuntimeError, match="'loss', which cannot be fetched"):
        tracker.end_epoch()


def test_cells_run_no_formula_and_keep_their_columns(tmp_path, clock):
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
def test_a_file_of_somebody_else_is_left_alone(tmp_path, text):
    (tmp_path / "training_metrics.json").write_text(text)
    with pytest.raises(ValueError, match="not what an EpochTracker writes"):
        EpochTracker(tmp_path)
    assert (tmp_path / "training_metrics.json").read_text() == text


def test_a_table_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "training_metrics.csv").write_text("a,b\n")
    with pytest.raises(FileExistsError, match="cannot be continued. Move it away"):
        EpochTracker(tmp_path)


def test_an_epoch_that_found_no_room_comes_with_the_next(tmp_path, clock, monkeypatch):
    tracker = EpochTracker(tmp_path, clock=clock)
    run_epoch(tracker, clock, 0)
    disk = FullDisk(monkeypatch)
    disk.room = 10
    with pytest.raises(OSError, match="No space left"):
        run_epoch(tracker, clock, 1)
    assert [row["epoch"] for row in table(tmp_path)] == ["0"]
    disk.room = None
    run_epoch(tracker, clock, 2)
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "1", "2"]
    assert len(list(tmp_path.iterdir())) == 2


def test_logging_does_not_wait_for_the_device(tmp_path):
    script = """
    import os, sys
    os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    import jax, jax.numpy as jnp
    from jaxmetrics import EpochTracker

    @jax.jit
    def slow(x, times):  # about a second, against milliseconds of logging
        return jax.lax.fori_loop(0, times, lambda i, x: jnp.sin(x @ x), x).mean()

    tracker = EpochTracker(sys.argv[1])
    tracker.start_epoch(0)
    x = jnp.zeros((64, 64))
    slow(x, 1).block_until_ready()
    loss = slow(x, 60_000)
    for _ in range(1000):  # several times as many as may wait when finished
        tracker.log_batch(loss=loss, lr=0.1)
    assert not loss.is_ready()
    assert tracker.end_epoch().loss_mean == 0.0
    tracker.start_epoch(1)
    for _ in range(1000):
        tracker.log_batch(loss=loss)
    assert len(tracker._values._waiting) < 512
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 0, done.stderr


def test_only_the_first_process_writes(tmp_path):
    script = """
    import os, sys
    os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    import jax, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    from jaxmetrics import EpochTracker

    rank, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    sharded = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), P("data"))
    one = jax.make_array_from_callback((2,), sharded, lambda i: np.ones(1, np.float32))
    loss = jax.jit(lambda x: x.sum())(one)
    tracker = EpochTracker(f"{folder}/{rank}")
    tracker.start_epoch(0)
    tracker.log_batch(loss=loss)
    epoch = tracker.end_epoch(params={"w": one}, ema_params={"w": 3 * one})
    assert epoch.loss_mean == 2.0 and epoch.epoch == 0
    assert abs(epoch.ema_delta_norm - 8**0.5) < 1e-5
    print("done")
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [start_python(script, rank, port, tmp_path) for rank in (0, 1)]
    try:
        said = [process.communicate(timeout=120)[0] for process in running]
        assert [text.splitlines()[-1:] for text in said] == [["done"]] * 2
    finally:
        for process in running:
            process.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    assert len(document(tmp_path / "0")["epochs"]) == 1


def test_the_distance_of_the_moving_average_is_recorded(tmp_path, clock):
    params = {"a": jnp.full((3,), 2.0), "b": jnp.zeros((2, 2))}
    average = {"a": jnp.zeros(3), "b": jnp.full((2, 2), -1.0)}
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    assert tracker.end_epoch(params, average).ema_delta_norm == pytest.approx(4.0)
    tracker.start_epoch(1)
    assert tracker.end_epoch(params).ema_delta_norm is None
