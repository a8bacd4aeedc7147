"""Base class of writers: which records and keys they take, and under which names."""

from __future__ import annotations

import difflib
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Literal

from jaxmetrics.record import Media, Record, check_rename, one_or_many, rename_keys
from jaxmetrics.writers._settings import WriterSettings

_LOG = logging.getLogger("jaxmetrics")


class Writer(ABC):
    """Base class of a destination for the records of a run.

    A subclass writes `open`, `write`, `flush` and `close`; `state` and `load_state` if
    it can go back to a checkpoint; and sets `shows` if it takes media. `write` gets a
    `jaxmetrics.record.Record`, or a `jaxmetrics.record.Media`, already filtered and
    renamed.

    Threads: the logger calls `open` on the thread that creates the logger, and
    `write`, `flush`, `load_state` and `close` on a thread of the writer. A resource
    that is bound to the thread that created it, such as an sqlite3 connection, has to
    allow others. `state` is called on the thread of the training loop, after a flush.
    None of these calls overlap, so no lock is needed. `counters` may be read at any
    time. After a fork the child process does not call the writer.

    An error of `write` is counted and logged, and never reaches the training loop; when
    errors repeat, writes pause for a while. If `when_full` is `"block"`, a record whose
    write raises an OSError of a full or failing disk (by its errno) is passed again.

    Args:
      every: Train records are thinned: written are the first one, each one whose step
        crosses a multiple of `every`, and the last one when the logger closes. Records
        of other splits, and media, are always written. Default 1.
      keys: Glob, or tuple of globs, of the keys to write. Default: all keys.
      rename: New names by key or by glob, applied after `keys`: a `*` in the new name
        stands for what the `*` of the glob matched.
    """

    when_full: ClassVar[Literal["block", "drop_oldest"]] = "drop_oldest"
    """Policy of the queue in front of the writer when it is full: wait, or drop."""

    shows: frozenset[str] = frozenset()
    """Kinds of `Media` that the writer takes in addition to scalars."""

    needs_run_dir: ClassVar[bool] = True
    """True if `open` needs a run directory. If False, `run_dir` may be None."""

    is_display: ClassVar[bool] = False
    """True if what is written is only looked at: rows that were dropped, for example
    because they come too fast to read, do not make `flush()` and `close()` False."""

    # Defaults at the class serve a writer whose `__init__` does not call this one.
    every: int = 1
    keys: tuple[str, ...] | None = None
    rename: Mapping[str, str] = {}
    _kept: bool = False

    def __init__(
        self,
        *,
        every: int = 1,
        keys: str | tuple[str, ...] | None = None,
        rename: Mapping[str, str] | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(_unknown_options(type(self), unknown))
        if isinstance(every, bool) or not isinstance(every, Integral) or every < 1:
            raise ValueError(
                f"{type(self).__name__} got every={every!r}, expected a positive "
                f"integer. Leave it out to write every record."
            )
        self.every = int(every)
        self.keys = None if keys is None else one_or_many(keys)
        self.rename = check_rename(rename or {}, type(self).__name__)

    in_use: bool = False
    """True while a logger has the writer open; the logger sets it."""

    missing: Mapping[str, Any] = {}
    """Rows that the logger could not pass to the writer, as `{"rows": 3, "steps":
    {"train": [[10, 30]]}}`; set before each `flush`."""

    @property
    def name(self) -> str:
        """Name of the writer in counters, warnings and checkpoints."""
        return type(self).__name__.lower()

    def select(self, record: Record) -> Record | None:
        """Return a record with the keys that the writer takes, renamed.

        Returns:
          The record with the selected keys; None if no key is selected, or if its media
          are of a kind that is not in `shows`.
        """
        if isinstance(record, Media) and record.kind not in self.shows:
            return None
        # Hyperparameters have names of their own, to which globs of keys do not apply.
        has_no_keys = isinstance(record, Media) and record.kind == "hparams"
        if has_no_keys or (self.keys is None and not self.rename):
            return record
        selected = {
            key: None for key in (*record.values, *record.arrays) if self._wants(key)
        }
        if not selected:
            return None
        renamed, kept = rename_keys(selected, self.rename)
        if kept and not self._kept:
            _LOG.warning(
                "Writer %s keeps the name of %s, because rename= gives it a name that "
                "another key has.",
                self.name,
                kept[0],
            )
        self._kept = self._kept or bool(kept)
        names = dict(zip(selected, renamed))
        return replace(
            record,
            values={names[k]: v for k, v in record.values.items() if k in names},
            arrays={names[k]: v for k, v in record.arrays.items() if k in names},
        )

    def _wants(self, key: str) -> bool:
        return self.keys is None or any(fnmatchcase(key, glob) for glob in self.keys)

    @abstractmethod
    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Open the destination in `run_dir`.

        Args:
          run_dir: Directory of the run, which exists and contains `run.json`. For a
            writer whose `needs_run_dir` is False it is None if the run has none.
          resume_step: Step after which earlier records are to be removed or moved
            away; None keeps all.
        """

    @abstractmethod
    def write(self, record: Record) -> bool | None:
        """Write one record, or raise an error and write nothing.

        Args:
          record: The record of one call. Values of a `Record` are Python ints and
            floats, and may be NaN, infinite, or integers beyond 64 bits. Records may
            come in any order of steps, and several for one step and split.

        Returns:
          False if the writer skipped the record (see `counters`).
        """

    def idle(self) -> None:  # noqa: B027
        """Write what waits to be joined with later records, if it is time.

        A writer that joins records overrides it. It is called several times a second
        while no record comes, on the thread that calls `write`.
        """

    @abstractmethod
    def flush(self) -> None:
        """Make everything written durable, so that it survives a kill."""

    @abstractmethod
    def close(self) -> None:
        """Flush and release all resources; a second call does nothing."""

    def complete(self, records: Callable[[], Iterator[Record]]) -> bool:
        """Write anew what was written since `open` or the last `load_state`.

        It is called before `close` if rows were lost, on the thread that calls `write`.
        A writer that can replace what it wrote overrides it.

        Args:
          records: Returns, each time, all records of that time that the writer takes,
            as the complete record of the run has them.

        Returns:
          Whether no row is missing any more.
        """
        del records
        return False

    @property
    def counters(self) -> dict[str, int]:
        """Counts of the writer, in addition to those of the queue in front of it."""
        return {}

    @property
    def pending(self) -> Sequence[tuple[int, str]]:
        """Step and split of each row that `write` took and that is not written yet.

        A writer that joins records overrides it: what it could not write until the end
        is named as missing.
        """
        return ()

    def configure(self, settings: WriterSettings) -> None:
        """Take defaults from a logger's settings; the logger calls it before `open`.

        Override it in a writer whose `every` or other options default to those of the
        logger. An option that the user gave to the writer wins.

        Args:
          settings: The logger's settings, a `LogConfig`.
        """
        del settings

    def state(self) -> dict[str, Any]:
        """Return the position to store in a checkpoint, as plain values.

        It is called after a flush.
        """
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to the position of a checkpoint.

        Args:
          state: Result of `state()` with the `step` of the checkpoint added. If the
            checkpoint has no state of this writer, it is the step alone, and records
            after that step are to be removed or moved away; all of them for step -1.
        """
        del state


def _unknown_options(kind: type[Writer], unknown: Mapping[str, Any]) -> str:
    """Return the error of options that no class of a writer takes."""
    known = [
        name
        for cls in kind.__mro__
        if issubclass(cls, Writer)
        for name, p in inspect.signature(cls.__init__).parameters.items()
        if name != "self" and p.kind is not p.VAR_KEYWORD
    ]
    known = list(dict.fromkeys(known))
    name = next(iter(unknown))
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known)}."
    return f"{kind.__name__} got an unknown {name!r}. {advice}"
