"""Evaluation over batches of uneven sizes, on one or several processes."""

from jaxmetrics.loop.evaluation._loop import evaluate_loop
from jaxmetrics.loop.evaluation._padding import pad_batch

__all__ = ["evaluate_loop", "pad_batch"]
