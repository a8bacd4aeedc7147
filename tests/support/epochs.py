"""Run epochs of an EpochTracker, and read the files back."""

import csv
import json


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
