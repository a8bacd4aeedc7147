"""The stateful objects of the package, each with a history that depends on the step."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.aggregator import COUNT, DISTRIBUTION, MAX, MEAN, SUM
from support.clock import Clock

import jaxmetrics as jm
from jaxmetrics import telemetry


@dataclass
class Subject:
    """An object with `state()` and `load_state()`, and what a step does to it.

    Attributes:
      item: The object.
      advance: Function of a step that updates the object as the step would.
      files: Names of the files that the object writes.
    """

    item: Any
    advance: Any
    files: tuple[str, ...] = ()

    def end(self):
        """Give up the locks of files, as the end of the process does."""
        getattr(self.item, "close", int)()


def performance(folder, step=0):
    clock = Clock(0.0)
    tracker = jm.PerformanceTracker(
        flops_per_step=1e9,
        peak_flops_per_second=1e12,
        sequence_length=8,
        world_size=1,
        warmup_steps=0,
        clock=clock,
    )

    def advance(step):
        with tracker.data_wait():
            clock.now += 0.25
        clock.now += 1.0 + step
        tracker.update(local_batch_size=4, tokens=20 + step)

    return Subject(tracker, advance)


def losses(folder, step=0):
    tracker = jm.LossTracker(window=4)

    def advance(step):
        tracker.update(ce=math.nan if step == 2 else 1 / step, z=float(step))

    return Subject(tracker, advance)


def spikes(folder, step=0):
    detector = telemetry.SpikeDetector(patience=3)

    def advance(step):
        for value in (2 + 0.1 * (n % 5) + step / 64 for n in range(20)):
            detector.update(value)
        if step % 3 == 0:
            detector.update(50.0 + step)

    return Subject(detector, advance)


def alarms(folder, step=0):
    item = telemetry.Alarms(
        spikes=["loss"],
        limits={"ratio*": (None, 0.1)},
        plateaus={"val/loss": telemetry.PlateauDetector(window=4)},
        overfitting=[("loss", "val/loss")],
    )

    def advance(step):
        item.check(step, {"loss": 2.0, "val/loss": 1.0 + step % 2})
        for _ in range(20):
            item.check(step, {"loss": 2.0, "ratio/w": 0.2 if step % 3 == 0 else 0.0})
        item.check(step, {"loss": math.nan if step % 3 == 0 else 2.0})

    return Subject(item, advance)


def aggregator(folder, step=0):
    item = jm.MetricsAggregator(max_categories=2)

    def advance(step):
        numbers = np.arange(-5.0 * step, 600)
        item.update("d", SUM, tokens=[2**62, step], cost=[0.1 * step])
        item.update("d", MEAN, loss=[1.0, step], weights=[0.5, 1.0])
        item.update("d", MAX, longest=[step, math.nan])
        item.update("d", DISTRIBUTION, few=[0.5 * step], none=[math.inf])
        item.update("d", DISTRIBUTION, many=numbers, above=np.arange(1.0, 900.0))
        item.update("d", COUNT, language=["en", "sv", f"l{step}"])

    return Subject(item, advance)


def epochs(folder, step=0):
    clock = Clock(1000.0 + step)
    tracker = jm.EpochTracker(folder, clock=clock)
    first = step + 1

    def advance(step):
        # Three steps are an epoch; the loop starts it, or continues within it.
        if step % 3 == 1 or step == first:
            tracker.start_epoch((step - 1) // 3)
        clock.now = 1000.0 + step
        loss = math.nan if step == 2 else 1 / step
        tracker.log_batch(loss=loss, lr=0.1, samples=8, z=step, a=1)
        if step % 3 == 0:
            tracker.end_epoch()

    return Subject(tracker, advance, ("training_metrics.csv", "training_metrics.json"))


def metrics_log(folder, step=0):
    log = jm.MetricsLog.open(folder / "log.jsonl")

    def advance(step):
        log.record(jm.MetricsEntry(step, 10.0 * step, math.nan, 1.0, 8.0, {"z": step}))

    return Subject(log, advance, ("log.jsonl",))


def training_telemetry(folder, step=0):
    options = jm.TelemetryConfig(collect_every_n=2, output_dir=folder)
    item = jm.TrainingTelemetry(options, clock=lambda: 0.0)

    def advance(step):
        weights = {"w": np.full(4, float(step) ** 2, np.float32)}
        stats = {"grad/norm": np.float32(0.1 * step), "lr/lr": math.nan}
        item.on_batch_end(stats, step=step, batch_idx=step, epoch=0, params=weights)
        item.flush()

    return Subject(item, advance, ("telemetry.jsonl",))


SUBJECTS = [  # each makes an object in a folder, in a process that begins after a step
    performance,
    losses,
    spikes,
    alarms,
    aggregator,
    epochs,
    metrics_log,
    training_telemetry,
]
