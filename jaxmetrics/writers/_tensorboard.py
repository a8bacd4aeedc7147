"""TensorBoard's event files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from jaxmetrics.record import (
    MEDIA_KINDS,
    TENSORBOARD_FOLDER,
    Media,
    Record,
    check_name,
    hparams_of,
    make_folder,
    read_run_json,
)
from jaxmetrics.writers._event_file import EventFile
from jaxmetrics.writers._summaries import Summaries, flat
from jaxmetrics.writers._writer import Writer


class TensorBoard(Writer):
    """Writes each record as one event, for `tensorboard --logdir`.

    Tags are the keys as they are, since TensorBoard takes any; values are float32
    there. Texts, images, histograms and tables are shown too, and the configuration of
    the run as its hyperparameters. Values that are not finite are left out of a
    histogram, and counted under its key with `_nonfinite`.

    Args:
      folder: The folder within the run directory.
      clock: Seconds since the epoch.
      options: Those of `Writer`.
    """

    shows: ClassVar[frozenset[str]] = MEDIA_KINDS

    def __init__(
        self,
        folder: str = TENSORBOARD_FOLDER,
        *,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.folder = check_name(folder, "folder")
        self._clock = clock
        self._file: EventFile | None = None
        self._hparams: dict[str, Any] = {}
        self._end: bytes | None = None
        self._last = 0

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Begin a file of its own, which hides what others have after `resume_step`.

        Raises:
          ImportError: A package of `jaxmetrics[tensorboard]` is not installed.
          OSError: The folder cannot be written.
        """
        try:
            import google_crc32c

            self._summaries = Summaries()
        except ImportError as error:
            raise ImportError(
                f"writers.TensorBoard() needs tensorboardX and google-crc32c, and "
                f"{error.name} is not installed. Run pip install "
                f"jaxmetrics[tensorboard]."
            ) from error
        folder = run_dir / self.folder
        make_folder(folder)
        now = self._clock()
        self._hparams = hparams_of(read_run_json(run_dir) or {})
        self._last = resume_step or 0
        self._file = EventFile(folder, now, google_crc32c.value)
        try:
            self._file.write(self._summaries.version(now))
            if resume_step is not None:
                self._file.write(self._summaries.restart(now, resume_step + 1))
            self._configure(self._file, now, self._hparams)
        except BaseException:
            self._file.close()
            raise

    def write(self, record: Record) -> None:
        """Append one event: all of it, or nothing and an error."""
        file, now = self._open_file(), self._clock()
        if isinstance(record, Media) and record.kind == "hparams":
            self._reconfigure(file, now, record)
            return
        if isinstance(record, Media):
            event = self._summaries.media(now, record)
        else:
            fields = {"tokens": record.tokens, "samples": record.samples}
            known = {name: v for name, v in fields.items() if v is not None}
            values = {**known, **record.values}
            event = self._summaries.scalars(now, record.step, values)
        file.write(event)
        self._last = max(self._last, record.step)

    def flush(self) -> None:
        """Return once every event is on the disk."""
        self._open_file().flush()

    def close(self) -> None:
        """Flush, and let the file go; a second call does nothing."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if self._end is not None:
                file.write(self._end)
            file.flush()
        finally:
            file.close()

    def state(self) -> dict[str, Any]:
        """The file, its size in bytes, and the last step in it."""
        file = self._open_file()
        position = {"file": file.path.name, "position": file.position}
        return position | {"last_step": self._last}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Hide what followed, and move it to files that TensorBoard does not read."""
        file, step = self._open_file(), state["step"]
        if "file" in state:
            file.rewind(state["file"], state["position"], str(step))
        # A checkpoint may be called by a lower step than the last that it has.
        self._last = max(step, state.get("last_step", 0))
        now = self._clock()
        file.write(self._summaries.restart(now, self._last + 1))
        self._configure(file, now, self._hparams)  # which may be in what was moved

    def _configure(self, file: EventFile, now: float, hparams: dict[str, Any]) -> None:
        """Begin a session with a configuration, if there is one."""
        if hparams:
            start, self._end = self._summaries.hparams(now, hparams)
            file.write(start)

    def _reconfigure(self, file: EventFile, now: float, added: Media) -> None:
        """Add to the configuration: TensorBoard shows the first one as such."""
        merged = self._hparams | dict(added.values)
        if self._hparams and merged != self._hparams:
            table = {"hparams": (["name", "value"], list(flat(merged)))}
            shown = Media(added.step, added.split, table, added.time, kind="table")
            file.write(self._summaries.media(now, shown))
        elif not self._hparams:
            self._configure(file, now, merged)
        self._hparams = merged

    def _open_file(self) -> EventFile:
        if self._file is None:
            raise ValueError(f"{self.folder} is not open. Call open() first.")
        return self._file
