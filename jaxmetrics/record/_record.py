"""Records: the scalars logged for a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COUNT_FIELDS = ("tokens", "samples")
"""Names whose values are fields of a record, not keyed values."""

RECORD_FIELDS = frozenset({"kind", "step", "split", "time", *COUNT_FIELDS})
"""Fields of a line of `metrics.jsonl`; every other name in a line is a key."""


@dataclass(frozen=True)
class Record:
    """Scalars logged for one step and split, as writers receive them.

    A value is a Python int or float; it may be NaN, infinite, or an integer of any
    size.

    Attributes:
      step: Number of completed optimizer updates.
      split: `"train"`, `"val"`, or another name.
      values: Values by full key (`"train/loss"`), in the order first logged.
      time: Training seconds, cumulative over attempts.
      tokens: Tokens seen, cumulative; None if not logged.
      samples: Samples seen, cumulative; None if not logged.

    Raises:
      ValueError: A key has the name of a field.
    """

    step: int
    split: str
    values: Mapping[str, float | int]
    time: float
    tokens: int | None = None
    samples: int | None = None

    def __post_init__(self) -> None:
        """Refuse keys that would overwrite a field of the row."""
        reserved = RECORD_FIELDS & self.values.keys()
        if reserved:
            raise ValueError(
                f"Record at step {self.step} has values named {sorted(reserved)}, "
                "which are fields of the row. Build keys with key(name, split)."
            )

    def line(self) -> dict[str, object]:
        """Return the row to write: fields first, then the values in their order.

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
    """Record that was logged without a step and got the next one."""
