"""Fixtures that create loggers."""

from support.loggers import clock, make_logger

__all__ = ["clock", "make_logger"]
