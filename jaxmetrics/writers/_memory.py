"""Keep records in a list, for tests and notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from jaxmetrics.record import MEDIA_KINDS, Record
from jaxmetrics.writers._writer import Writer


class Memory(Writer):
    """Appends the records to the list `records`.

    Args:
      options: Options of `Writer`.

    Attributes:
      records: Records and media in the order written.
    """

    shows = MEDIA_KINDS
    needs_run_dir: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.records: list[Record] = []

    def open(self, run_dir: Path | None, resume_step: int | None) -> None:
        """Remove the records after `resume_step`."""
        if resume_step is not None:
            self.load_state({"step": resume_step})

    def write(self, record: Record) -> None:
        """Append the record."""
        self.records.append(record)

    def flush(self) -> None:
        """Do nothing: no record is buffered."""

    def close(self) -> None:
        """Do nothing: the records stay readable."""

    def state(self) -> dict[str, Any]:
        """Return the number of records."""
        return {"records": len(self.records)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Remove the records written later."""
        if "records" in state:
            del self.records[state["records"] :]
        else:
            self.records[:] = [r for r in self.records if r.step <= state["step"]]
