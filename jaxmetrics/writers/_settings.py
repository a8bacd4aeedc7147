"""Settings that writers take from a logger."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol


class WriterSettings(Protocol):
    """Settings of a logger that are defaults of its writers; `LogConfig` has them."""

    @property
    @abstractmethod
    def print_every(self) -> int:
        """Train steps between lines on the console."""

    @property
    @abstractmethod
    def log_every(self) -> int:
        """Train steps between rows sent to Weights & Biases."""

    @property
    @abstractmethod
    def use_colors(self) -> bool:
        """Colours on a terminal."""

    @property
    @abstractmethod
    def compact_format(self) -> bool:
        """Short form of the lines on the console."""

    @property
    @abstractmethod
    def max_wandb_mb(self) -> float:
        """Maximum of megabytes (10**6 bytes) sent to Weights & Biases."""
