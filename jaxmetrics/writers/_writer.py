"""What every writer shares: the steps it takes, the keys it takes, their names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, Literal

from jaxmetrics.record import Media, Record
from jaxmetrics.writers._settings import WriterSettings


class Writer(ABC):
    """Consumes the records of a run, one at a time, on one thread.

    Args:
      every: A train record is written when its step is a multiple of this; records
        of other splits, and what is no scalar, always are.
      keys: A glob, or a tuple of globs, of the keys to write; None writes all.
      rename: New names by key, applied after `keys`.
    """

    when_full: ClassVar[Literal["block", "drop_oldest"]] = "drop_oldest"
    """What the queue before this writer does when it is full."""

    shows: ClassVar[frozenset[str]] = frozenset()
    """The kinds of `Media` that it takes beside scalars."""

    def __init__(
        self,
        *,
        every: int = 1,
        keys: str | tuple[str, ...] | None = None,
        rename: Mapping[str, str] | None = None,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(
                f"{type(self).__name__} got every={every!r}, expected a positive "
                f"integer. Leave it out to write every record."
            )
        self.every = every
        self.keys = (keys,) if isinstance(keys, str) else keys
        self.rename = dict(rename or {})

    @property
    def name(self) -> str:
        """What reports, warnings and checkpoints call this writer."""
        return type(self).__name__.lower()

    def accepts(self, step: int, split: str) -> bool:
        """Whether a record of this step and split is for this writer."""
        return split != "train" or step % self.every == 0

    def select(self, record: Record) -> Record | None:
        """The part of a record that is for this writer, under its own names.

        Returns:
          The record with the keys that are left, or None when none is, or when its
          media are of a kind that this writer cannot show.
        """
        if isinstance(record, Media) and record.kind not in self.shows:
            return None
        named = isinstance(record, Media) and record.kind == "hparams"  # without keys
        if named or (self.keys is None and not self.rename):
            return record
        values = {
            self.rename.get(key, key): value
            for key, value in record.values.items()
            if self.keys is None or any(fnmatchcase(key, glob) for glob in self.keys)
        }
        return replace(record, values=values) if values else None

    @abstractmethod
    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Start writing below `run_dir`.

        Args:
          run_dir: The directory of the run, which exists and holds `run.json`.
          resume_step: Records after this step are set aside; None keeps all.
        """

    @abstractmethod
    def write(self, record: Record) -> bool | None:
        """Write one record; an error means that it was not written.

        Returns:
          False when the writer left it out on purpose, which `counters` explains.
        """

    @abstractmethod
    def flush(self) -> None:
        """Make what was written survive the death of the process."""

    @abstractmethod
    def close(self) -> None:
        """Flush, and let go of everything that is held."""

    @property
    def counters(self) -> dict[str, int]:
        """What else this writer counts, beside the rows of the queue before it."""
        return {}

    def configure(self, settings: WriterSettings) -> None:
        """Take defaults from a logger's settings; the logger calls it before `open`.

        Override it in a writer whose `every` or other options default to those of the
        logger. An option that the user gave to the writer wins.

        Args:
          settings: The logger's settings, a `LogConfig`.
        """
        del settings

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, in plain values, to come back to this point."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to an earlier point.

        Args:
          state: What `state()` returned there, and its `step`; the step alone where
            nothing was kept, and then records after it are set aside.
        """
        del state
