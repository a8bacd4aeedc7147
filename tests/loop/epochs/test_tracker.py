"""Epochs have the statistics of their batches, and are continued after a restart."""

import socket

import jax.numpy as jnp
import numpy as np
import pytest
from support.clock import Clock
from support.epochs import document, run_epoch, table
from support.processes import start_python

from jaxmetrics import EpochMetrics, EpochTracker


@pytest.fixture
def clock():
    return Clock(1_700_000_000.0)


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


def test_a_rate_needs_the_samples_of_every_batch(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    tracker.log_batch(loss=1.0, samples=32)
    tracker.log_batch(loss=1.0)
    clock.now += 1
    assert tracker.end_epoch().samples_per_sec is None


def test_files_are_continued_from_the_epoch_that_is_started(tmp_path, clock):
    first = EpochTracker(tmp_path, config={"width": 8}, clock=clock)
    for epoch in range(5):
        run_epoch(first, clock, epoch, (5.0 - epoch,), seconds=10)
    clock.now += 1_000  # time between two attempts does not count
    second = EpochTracker(tmp_path, clock=clock)
    assert [e.epoch for e in second.epochs] == [0, 1, 2, 3, 4]
    run_epoch(second, clock, 3, (0.5,), seconds=7)
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "1", "2", "3"]
    assert [row["loss_mean"] for row in table(tmp_path)][2:] == ["3.0", "0.5"]
    times = [row["cumulative_time_sec"] for row in table(tmp_path)]
    assert times == ["10.0", "20.0", "30.0", "37.0"]
    content = document(tmp_path)
    assert content["config"] == {"width": 8} and content["run"]["attempts"] == 2
    assert content["run"]["created"] == "2023-11-14T22:13:30.000+00:00"


def test_recorded_epochs_stay_until_a_new_one_ends(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    for epoch in range(3):
        run_epoch(tracker, clock, epoch)
    EpochTracker(tmp_path, clock=clock).start_epoch(1)  # killed before it ends
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "1", "2"]


def test_restarting_an_epoch_in_one_process_counts_no_time_twice(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    for epoch in (0, 1, 2):
        run_epoch(tracker, clock, epoch, seconds=10)
    assert run_epoch(tracker, clock, 1, seconds=5).cumulative_time_sec == 15.0


def test_time_between_epochs_counts_in_the_total_only(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    run_epoch(tracker, clock, 0, seconds=10)
    clock.now += 3  # validation
    epoch = run_epoch(tracker, clock, 1, seconds=10)
    assert (epoch.epoch_time_sec, epoch.cumulative_time_sec) == (10.0, 23.0)


def test_an_unfinished_epoch_starts_again_without_batches(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    tracker.start_epoch(0)
    tracker.log_batch(loss=100.0)
    assert run_epoch(tracker, clock, 0, (1.0,)).loss_max == 1.0


def test_calls_in_the_wrong_order_are_refused(tmp_path, clock):
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
    with pytest.raises(ValueError, match=r"start_epoch\(\) got epoch -1; expected 0"):
        tracker.start_epoch(-1)
    assert not list(tmp_path.iterdir())


def test_a_restored_epoch_without_more_batches_ends_when_the_next_starts(
    tmp_path, clock
):
    first = EpochTracker(tmp_path, clock=clock)
    first.start_epoch(0)
    for loss in (1.0, 3.0):  # saved after the last batch, before end_epoch()
        first.log_batch(loss=loss)
        clock.now += 1
    second = EpochTracker(tmp_path, clock=clock)
    second.load_state(first.state())
    run_epoch(second, clock, 1)
    assert [(e.epoch, e.loss_mean) for e in second.epochs] == [(0, 2.0), (1, 1.0)]
    assert second.epochs[0].epoch_time_sec == 2.0


def test_a_restored_epoch_is_begun_again_by_a_second_start(tmp_path, clock):
    first = EpochTracker(tmp_path, clock=clock)
    first.start_epoch(0)
    first.log_batch(loss=9.0)
    second = EpochTracker(tmp_path, clock=clock)
    second.load_state(first.state())
    second.start_epoch(0)
    assert run_epoch(second, clock, 0, (1.0,)).loss_max == 1.0


def test_a_restore_takes_the_files_back_and_keeps_copies(tmp_path, clock):
    tracker = EpochTracker(tmp_path, clock=clock)
    run_epoch(tracker, clock, 0)
    state = tracker.state()
    tracker.load_state(state)
    assert len(list(tmp_path.iterdir())) == 2, "nothing was recorded since"
    for label in ("restore", "restore-2"):
        run_epoch(tracker, clock, 1)
        content = (tmp_path / "training_metrics.json").read_bytes()
        tracker.load_state(state)
        assert [row["epoch"] for row in table(tmp_path)] == ["0"]
        copy = tmp_path / f"training_metrics.json.after-{label}"
        assert copy.read_bytes() == content
    elsewhere = EpochTracker(tmp_path / "other", clock=clock)
    elsewhere.load_state(state)
    assert [row["epoch"] for row in table(tmp_path / "other")] == ["0"]


def test_only_process_0_writes(tmp_path):
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
        outputs = [process.communicate(timeout=120)[0] for process in running]
        assert [text.splitlines()[-1:] for text in outputs] == [["done"]] * 2
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
