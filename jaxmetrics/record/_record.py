"""Records: the values logged for a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jaxmetrics.record._better import Better
from jaxmetrics.record._json import number

COUNT_FIELDS = ("tokens", "samples")
"""Names whose values are fields of a record, not keyed values."""

RECORD_FIELDS = frozenset({"kind", "step", "split", "time", *COUNT_FIELDS})
"""Fields of a line of `metrics.jsonl`; every other name in a line is a key."""


@dataclass(frozen=True)
class Record:
    """Values of one `log_step` call, as writers receive them.

    A value is a Python int or float; it may be NaN, infinite, or an integer of any
    size.

    Attributes:
      step: Number of completed optimizer updates.
      split: `"train"`, `"val"`, or another name.
      values: Values by full key (`"train/loss"`), in the order first logged.
      time: Training seconds, cumulative over attempts.
      tokens: Tokens seen, cumulative; None if not logged.
      samples: Samples seen, cumulative; None if not logged.
      arrays: Values of rank 1 or 2 that a metric computed, such as one per class, by
        full key, as lists of numbers or of rows; up to 10,000 numbers each.
      better: `"min"` or `"max"` by full key, of metrics that declare a direction which
        the key does not tell. It is no part of the line.

    Raises:
      ValueError: A key has the name of a field.
    """

    step: int
    split: str
    values: Mapping[str, float | int]
    time: float
    tokens: int | None = None
    samples: int | None = None
    arrays: Mapping[str, list[Any]] = field(default_factory=dict)
    better: Mapping[str, Better] = field(
        default_factory=dict, compare=False, kw_only=True
    )

    def __post_init__(self) -> None:
        """Refuse keys that would overwrite a field of the row."""
        reserved = RECORD_FIELDS & (self.values.keys() | self.arrays.keys())
        if reserved:
            raise ValueError(
                f"Record at step {self.step} has values named {sorted(reserved)}, "
                "which are fields of the row. Build keys with key(name, split)."
            )

    @property
    def counts(self) -> dict[str, int]:
        """The counts that were logged, by name: `tokens`, then `samples`."""
        counts = {name: getattr(self, name) for name in COUNT_FIELDS}
        return {name: count for name, count in counts.items() if count is not None}

    def line(self) -> dict[str, object]:
        """Return the row to write: fields, values in their order, then arrays.

        >>> Record(100, "train", {"train/loss": 2.31}, 1763.21, tokens=819200).line()
        {'step': 100, 'split': 'train', 'time': 1763.21, 'tokens': 819200,
         'train/loss': 2.31}
        """
        row: dict[str, object] = {
            "step": self.step,
            "split": self.split,
            "time": self.time,
        }
        row.update(self.counts)
        row.update(self.values)
        row.update(self.arrays)
        return row

    @classmethod
    def from_line(cls, row: Mapping[str, Any]) -> Record:
        """Return the record of a row that `line` has returned, also once it is read.

        >>> row = {"step": 1, "split": "val", "time": 2.5, "val/loss": "NaN"}
        >>> Record.from_line(row).values
        {'val/loss': nan}
        """
        values: dict[str, Any] = {
            name: value if isinstance(value, list) else number(value)
            for name, value in row.items()
            if name not in RECORD_FIELDS
        }
        arrays = {n: value for n, value in values.items() if isinstance(value, list)}
        scalars = {n: value for n, value in values.items() if n not in arrays}
        counts: dict[str, Any] = {name: row.get(name) for name in COUNT_FIELDS}
        place = row["step"], row["split"], scalars, row["time"]
        return cls(*place, **counts, arrays=arrays)

    def joined(self, later: Record) -> Record:
        """Return one record with the values of this one and of a later call.

        The time is that of this record. A later value replaces an earlier one.
        """
        return replace(
            self,
            values={**self.values, **later.values},
            arrays={**self.arrays, **later.arrays},
            better={**self.better, **later.better},
            **later.counts,
        )


@dataclass(frozen=True)
class UnnumberedRecord(Record):
    """Record that was logged without a step and got the next one."""
