"""Settings of a run of the demo."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

PROJECT = "demo"
MIN_STEPS = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one run; equal settings give equal records.

    Attributes:
      root: Folder of all projects.
      run_name: Name of the run's folder.
      steps: Number of optimizer steps, at least 10.
      kill_at: Step at which the process kills itself; None for never.
      seed: Seed of the parameters and the batches.
      batch: Sequences per step, half of them of each dataset.
      length: Bytes per sequence.
      width: Width of the model.
      layers: Number of layers of the model.
      learning_rate: Peak of the learning rate.
      held_out: Sequences of each dataset for validation.
    """

    root: str
    run_name: str
    steps: int
    kill_at: int | None = None
    seed: int = 0
    batch: int = 32
    length: int = 64
    width: int = 96
    layers: int = 2
    learning_rate: float = 3e-3
    held_out: int = 64

    @property
    def run_dir(self) -> Path:
        """Directory of the run."""
        return Path(self.root) / PROJECT / self.run_name

    @property
    def save_every(self) -> int:
        """Number of steps between checkpoints and between validations; odd."""
        return self.steps // 5 | 1

    @property
    def log_every(self) -> int:
        """Number of steps between records; most checkpoints lie between records."""
        return 5 if self.steps >= 40 else 3

    def saves_at(self, step: int) -> bool:
        """Return whether a step is followed by a checkpoint and a validation."""
        return step % self.save_every == 0 or step == self.steps

    def logs_at(self, step: int) -> bool:
        """Return whether a step is recorded."""
        return step % self.log_every == 0 or step == self.steps

    @property
    def tokens_per_step(self) -> int:
        """Number of bytes in the batch of a step."""
        return self.batch * self.length

    @property
    def middle(self) -> int:
        """Step after a checkpoint, with records that a restart must remove."""
        return 2 * self.save_every + min(self.save_every - 1, 30)

    def killed(self, step: int) -> Settings:
        """Return the same settings with a step at which the process is killed."""
        return dataclasses.replace(self, kill_at=step)

    def hparams(self) -> dict[str, Any]:
        """Return the settings that determine the recorded values."""
        excluded = ("root", "run_name", "kill_at")
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if name not in excluded}
