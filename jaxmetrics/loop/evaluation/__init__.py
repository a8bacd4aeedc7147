"""Evaluation of data that no number of devices divides."""

from jaxmetrics.loop.evaluation._loop import evaluate_loop, pad_batch

__all__ = ["evaluate_loop", "pad_batch"]
