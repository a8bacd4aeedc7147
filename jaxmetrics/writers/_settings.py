"""Settings that writers take from a logger."""

from __future__ import annotations

from typing import Protocol


class WriterSettings(Protocol):
    """Settings of a logger that are defaults of its writers; `LogConfig` has them."""

    @property
    def print_every(self) -> int:
        """Train steps between lines on the console."""

    @property
    def log_every(self) -> int:
        """Train steps between rows sent to Weights & Biases."""

    @property
    def use_colors(self) -> bool:
        """Colours on a terminal."""

    @property
    def compact_format(self) -> bool:
        """Short form of the lines on the console."""

    @property
    def max_wandb_mb(self) -> float:
        """Maximum of megabytes (10**6 bytes) sent to Weights & Biases."""
