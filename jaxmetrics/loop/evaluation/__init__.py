"""Evaluation over batches of uneven sizes, and when it no longer improves."""

from jaxmetrics.loop.evaluation._early_stopping import EarlyStopping
from jaxmetrics.loop.evaluation._loop import evaluate_loop
from jaxmetrics.loop.evaluation._padding import pad_batch

__all__ = ["EarlyStopping", "evaluate_loop", "pad_batch"]
