"""Records kept in a list, for tests and notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from jaxmetrics.record import MEDIA_KINDS, Record
from jaxmetrics.writers._writer import Writer


class Memory(Writer):
    """Keeps the records in `records`, oldest first; takes the options of `Writer`."""

    shows: ClassVar[frozenset[str]] = MEDIA_KINDS

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.records: list[Record] = []

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Keep the records up to `resume_step`, or all."""
        if resume_step is not None:
            self.load_state({"step": resume_step})

    def write(self, record: Record) -> None:
        """Append the record."""
        self.records.append(record)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """The records stay readable."""

    def state(self) -> dict[str, Any]:
        """How many records there are."""
        return {"records": len(self.records)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Drop the records that came later."""
        if "records" in state:
            del self.records[state["records"] :]
        else:
            self.records[:] = [r for r in self.records if r.step <= state["step"]]
