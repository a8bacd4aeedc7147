"""What each epoch of a training came to, in a table and a JSON file."""

from jaxmetrics.loop.epochs._tracker import EpochTracker
from jaxmetrics.record import EpochMetrics

__all__ = ["EpochMetrics", "EpochTracker"]
