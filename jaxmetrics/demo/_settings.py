"""What a run of the demo is made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

PROJECT = "demo"
LEAST_STEPS = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """The choices of one run; equal ones give equal records.

    Attributes:
      root: The folder of all projects.
      run_name: The run's own folder.
      steps: Optimizer updates, at least 10.
      kill_at: The step at which the process kills itself; None never does.
      seed: Of the parameters and the batches.
      batch: Sequences a step, half of each dataset.
      length: Bytes a sequence.
      width: Of the model.
      layers: Of the model.
      learning_rate: The largest one.
      held_out: Sequences of each dataset that are validated on.
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
        """The directory of the run."""
        return Path(self.root) / PROJECT / self.run_name

    @property
    def save_every(self) -> int:
        """Steps between checkpoints, and between validations: an odd number."""
        return self.steps // 5 | 1

    @property
    def log_every(self) -> int:
        """Steps between records; most checkpoints lie between two of them."""
        return 5 if self.steps >= 40 else 3

    def saves_at(self, step: int) -> bool:
        """Whether a checkpoint is saved at a step, and the model validated."""
        return step % self.save_every == 0 or step == self.steps

    def logs_at(self, step: int) -> bool:
        """Whether a step is recorded."""
        return step % self.log_every == 0 or step == self.steps

    @property
    def tokens_per_step(self) -> int:
        """Bytes that a step trains on."""
        return self.batch * self.length

    @property
    def middle(self) -> int:
        """A step past a checkpoint, with records that a restart has to cut."""
        return 2 * self.save_every + min(self.save_every - 1, 30)

    def killed(self, step: int) -> Settings:
        """The same run, killed at a step."""
        return dataclasses.replace(self, kill_at=step)

    def hparams(self) -> dict[str, Any]:
        """What decides the numbers, for the record."""
        places = ("root", "run_name", "kill_at")
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if name not in places}
