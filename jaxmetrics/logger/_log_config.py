"""The settings of a logger."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from jaxmetrics.record import check_name


@dataclass(frozen=True)
class LogConfig:
    """Settings of `TrainingLogger`, which takes each of them directly too.

    Attributes:
      project: The folder of the run's relatives.
      run_name: The run's own folder; None names it by the time of its start.
      tags: Words to find the run by.
      log_every: Train steps between rows sent to Weights & Biases.
      print_every: Train steps between lines on the console.
      max_wandb_mb: Most megabytes to send to Weights & Biases, as estimated.
      enable_histograms: Whether histograms are written.
      use_colors: Whether a terminal gets colours.
      compact_format: The short console form.
      master_only: Whether the first process alone writes; if not, every process has
        a JSONL file of its own.
    """

    project: str = "jaxmetrics"
    run_name: str | None = None
    tags: tuple[str, ...] = ()
    log_every: int = 50
    print_every: int = 25
    max_wandb_mb: float = 100.0
    enable_histograms: bool = False
    use_colors: bool = True
    compact_format: bool = False
    master_only: bool = True

    def __post_init__(self) -> None:
        """Refuse names that are no folders, and intervals that are none."""
        check_name(self.project, "project")
        if self.run_name is not None:
            check_name(self.run_name, "run_name")
        object.__setattr__(self, "tags", tuple(self.tags))
        for name in ("log_every", "print_every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"LogConfig got {name}={getattr(self, name)!r}, expected at least "
                    f"1. Pass 1 for every step."
                )


def merged(config: LogConfig | None, given: Mapping[str, Any]) -> LogConfig:
    """`config` with the fields that were given directly.

    Raises:
      TypeError: A name is no field of `LogConfig`; the error has the nearest one.
    """
    names = [field.name for field in fields(LogConfig)]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            advice = f"Did you mean {near[0]!r}?" if near else f"It takes {names}."
            raise TypeError(f"TrainingLogger got an unknown {name!r}. {advice}")
    return replace(config or LogConfig(), **given)
