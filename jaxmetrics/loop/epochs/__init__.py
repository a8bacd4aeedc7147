"""Statistics of each epoch of a training, in a CSV and a JSON file."""

from jaxmetrics.loop.epochs._tracker import EpochTracker
from jaxmetrics.record import EpochMetrics

__all__ = ["EpochMetrics", "EpochTracker"]
