"""One step's host scalars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COUNT_FIELDS = ("tokens", "samples")
"""Names whose values are fields of a record instead of keys."""

RECORD_FIELDS = frozenset({"kind", "step", "split", "time", *COUNT_FIELDS})
"""Fields of a line of `metrics.jsonl`; every other name in it is a key."""


@dataclass(frozen=True)
class Record:
    """What was logged for one (step, split).

    Attributes:
      step: Optimizer updates completed.
      split: `"train"`, `"val"`, or a name of the user's.
      values: Value by full key (`"train/loss"`), in the order first logged.
      time: Training seconds, cumulative over attempts.
      tokens: Tokens seen, cumulative.
      samples: Samples seen, cumulative.

    Raises:
      ValueError: A key has the name of a field of the row.
    """

    step: int
    split: str
    values: Mapping[str, float | int]
    time: float
    tokens: int | None = None
    samples: int | None = None

    def __post_init__(self) -> None:
        """Refuse keys that would hide a field of the row."""
        hidden = RECORD_FIELDS & self.values.keys()
        if hidden:
            raise ValueError(
                f"Record at step {self.step} has values named {sorted(hidden)}, which "
                "are fields of the row. Build keys with key(name, split)."
            )

    def line(self) -> dict[str, object]:
        """The row as it is written: fields first, then the values in their order.

        >>> Record(100, "train", {"train/loss": 2.31}, 1763.21, tokens=819200).line()
        {'step': 100, 'split': 'train', 'time': 1763.21, 'tokens': 819200,
         'train/loss': 2.31}
        """
        row: dict[str, object] = {
            "step": self.step,
            "split": self.split,
            "time": self.time,
        }
        if self.tokens is not None:
            row["tokens"] = self.tokens
        if self.samples is not None:
            row["samples"] = self.samples
        row.update(self.values)
        return row


@dataclass(frozen=True)
class UnnumberedRecord(Record):
    """A record that was logged without a step, and took the next one."""
