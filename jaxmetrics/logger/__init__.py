"""Turns what a training loop measures into records, and owns the writers."""

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.logger._logger import TrainingLogger

__all__ = ["LogConfig", "TrainingLogger"]
