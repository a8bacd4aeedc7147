"""Turn what a training loop measures into records; own the writers of the run."""

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.logger._logger import TrainingLogger

__all__ = ["LogConfig", "TrainingLogger"]
