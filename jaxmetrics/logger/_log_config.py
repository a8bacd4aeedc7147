"""Settings of a logger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from jaxmetrics._other_names import LOGGER_ARGUMENTS, advice
from jaxmetrics.record import check_name, one_or_many, require_integers

ARGUMENTS = (
    *("project", "run_name", "root", "hparams", "config", "writers", "console"),
    *("overwrite", "resume_step", "mirror", "clock", "monotonic", "install_sigterm"),
)
"""Arguments of `TrainingLogger` beside the fields of `LogConfig`."""


@dataclass(frozen=True)
class LogConfig:
    """Settings of `TrainingLogger`, which also takes each of them directly.

    Attributes:
      project: Folder of the runs that belong together.
      run_name: Folder of the run. None takes the time of its start.
      tags: Words by which to find the run.
      log_every: Train steps between rows sent to Weights & Biases.
      print_every: Train steps between lines on the console.
      max_wandb_mb: Maximum megabytes to send to Weights & Biases, estimated.
      enable_histograms: Whether histograms are written.
      use_colors: Whether a terminal gets colours.
      compact_format: Whether the console prints the short form.
      master_only: Whether only the first process writes. If False, every other process
        writes a JSONL file of its own.
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
        """Check the names of folders and the intervals."""
        check_name(self.project, "project")
        if self.run_name is not None:
            check_name(self.run_name, "run_name")
        object.__setattr__(self, "tags", one_or_many(self.tags))
        for name in ("log_every", "print_every"):
            steps = getattr(self, name)
            require_integers("LogConfig", **{name: steps})
            if steps < 1:
                raise ValueError(
                    f"LogConfig got {name}={steps!r}, expected at least 1. Pass 1 for "
                    f"every step."
                )
            object.__setattr__(self, name, int(steps))


def merged(config: LogConfig | None, options: Mapping[str, Any]) -> LogConfig:
    """Return `config` with the fields that were passed to the logger directly.

    Args:
      config: Settings; None takes the defaults.
      options: Fields of `LogConfig`, which take precedence.

    Raises:
      TypeError: A name is not a field, and the error suggests another one; or the
        settings are no `LogConfig`.
    """
    names = [field.name for field in fields(LogConfig)]
    for name in options:
        if name not in names:
            known = [*ARGUMENTS, *names]
            hint = advice(name, LOGGER_ARGUMENTS, known, "Pass", "It takes")
            raise TypeError(f"TrainingLogger got an unknown {name!r}. {hint}")
    if not isinstance(config, LogConfig | None):
        raise TypeError(
            f"TrainingLogger got config= of type {type(config).__name__}, expected a "
            f"LogConfig. Pass the configuration of the training as hparams=."
        )
    return replace(config or LogConfig(), **options)
