"""Turn what a training loop measures into records; own the writers of the run."""

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.logger._logger import TrainingLogger
from jaxmetrics.logger._open_loggers import close_all

__all__ = ["LogConfig", "TrainingLogger", "close_all"]
