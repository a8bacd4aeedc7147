"""What a process has opened by a relative path stays there when it goes elsewhere."""

import os

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.writers import CSV, JSONL, TensorBoard


def log_run(folder):
    """Log to a run with a mirror; return a function that logs more and closes."""
    writers = [CSV(), JSONL("other.jsonl"), TensorBoard()]
    options = {"writers": writers, "mirror": f"{folder}/mirror", "console": False}
    logger = jm.TrainingLogger("p", "r", folder, **options)
    logger.log_step(1, loss=1.0)
    assert logger.flush()

    def go_on():
        logger.log_step(2, loss=0.5)
        logger.log_images(2, image=np.zeros((4, 4), np.uint8))
        logger.log_hparams({"lr": 0.1})
        logger.state()
        assert logger.wait_for_mirror()
        assert logger.close()
        assert len(jm.Run.load(logger.run_dir)) == 2

    return go_on


def count_epochs(folder):
    """Record an epoch; return a function that records the next one."""
    tracker = jm.EpochTracker(folder)

    def epoch(number):
        tracker.start_epoch(number)
        tracker.log_batch(loss=1.0)
        tracker.end_epoch()

    epoch(0)
    return lambda: epoch(1)


def keep_log(folder):
    """Record an entry of a `MetricsLog`; return a function that records the next."""
    log = jm.MetricsLog.open(f"{folder}/log.jsonl")
    log.record(jm.MetricsEntry(1, 1.0, 1.0, 1.0, 1.0))

    def go_on():
        log.record(jm.MetricsEntry(2, 2.0, 1.0, 1.0, 1.0))
        assert log.flush()

    return go_on


def collect(folder):
    """Record telemetry; return a function that records more and closes."""
    config = jm.TelemetryConfig(output_dir=folder, collect_every_n=1)
    collected = jm.TrainingTelemetry(config)
    params = {"w": jnp.ones(2)}

    def batch(step):
        stats = jm.telemetry.collect(step, params=params, every=1)
        collected.on_batch_end(stats, step=step, batch_idx=0, epoch=0, params=params)

    def go_on():
        batch(2)
        assert collected.flush()
        collected.close()

    batch(1)
    return go_on


def profile(folder):
    """Begin to profile; return a function that profiles two steps."""
    profile = jm.Profile(folder, first_profile=1, num_profile_steps=2)

    def go_on():
        with profile:
            for step in range(1, 5):
                jnp.ones(2).block_until_ready()
                profile(step)

    return go_on


@pytest.mark.parametrize("begin", [log_run, count_epochs, keep_log, collect, profile])
@pytest.mark.parametrize("place", ["files", "~/files"])
def test_files_stay_where_they_are_when_the_process_goes_elsewhere(
    tmp_path, monkeypatch, begin, place
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    go_on = begin(place)
    (tmp_path / "elsewhere").mkdir()
    os.chdir("elsewhere")  # monkeypatch goes back
    go_on()
    assert not list((tmp_path / "elsewhere").iterdir())
    assert not (tmp_path / "~").exists()
    files = tmp_path / place.replace("~", "home")
    assert [path for path in files.rglob("*") if path.is_file()]
