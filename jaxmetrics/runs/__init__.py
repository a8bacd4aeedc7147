"""Runs, read back without jax."""

from jaxmetrics.runs._run import Run

__all__ = ["Run"]
