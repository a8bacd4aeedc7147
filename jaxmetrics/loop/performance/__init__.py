"""Performance of a training loop: MFU, tokens per second, step times, recent losses."""

from jaxmetrics.loop.performance._host_times import HostTimes
from jaxmetrics.loop.performance._loss_tracker import LossTracker
from jaxmetrics.loop.performance._tracker import PerformanceTracker

__all__ = ["HostTimes", "LossTracker", "PerformanceTracker"]
