"""Write TensorBoard event files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
from jaxmetrics.writers._arrays import ArraysShown
from jaxmetrics.writers._cards import Cards
from jaxmetrics.writers._event_file import EventFile
from jaxmetrics.writers._settings import WriterSettings
from jaxmetrics.writers._summaries import Summaries, hparam_values
from jaxmetrics.writers._writer import Writer


class TensorBoard(Writer):
    """Writes each record as one event, for `tensorboard --logdir`.

    Tags are the unchanged keys; values are rounded to float32. Texts, images,
    histograms and tables are written too, and the configuration of the run as its
    hyperparameters. Histograms leave out values that are not finite and count them
    under the key with `_nonfinite`. Arrays of rank 1 with at most 32 numbers are
    written as scalars `<key>/<index>`, larger ones as a heatmap of every tenth record.
    The tab "Custom scalars" has one card for a metric of all splits, such as
    `train/loss` and `val/loss`, and one for the gradient norms of all layers.

    Needs the extra `jaxmetrics[tensorboard]`.

    Args:
      folder: Name of the folder in the run directory. Default `tensorboard`.
      clock: Returns seconds since the epoch. Default `time.time`.
      options: Options of `Writer`.
    """

    shows = MEDIA_KINDS

    def __init__(
        self,
        folder: str = TENSORBOARD_FOLDER,
        *,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.folder: str = check_name(folder, "folder")
        self._clock = clock
        self._file: EventFile | None = None

    def configure(self, settings: WriterSettings) -> None:
        """Refuse to start a run without the packages."""
        _imported()

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Start a new file, which hides the events of others after `resume_step`.

        Raises:
          ImportError: A package of `jaxmetrics[tensorboard]` is not installed.
          OSError: The folder cannot be written.
        """
        checksum, self._summaries = _imported()
        folder = run_dir / self.folder
        make_folder(folder)
        now = self._clock()
        self._hparams: dict[str, Any] = hparams_of(read_run_json(run_dir) or {})
        self._session_end: bytes | None = None
        self._last_step = resume_step or 0
        self._arrays, self._cards = ArraysShown(), Cards()
        self._are_cards_written = True
        self._file = EventFile(folder, now, checksum)
        try:
            self._file.write(self._summaries.version(now))
            if resume_step is not None:
                self._file.write(self._summaries.restart(now, resume_step + 1))
            self._start_session(self._file, now, self._hparams)
        except BaseException:
            self._file.close()
            raise

    def write(self, record: Record) -> None:
        """Append one event: all of it, or nothing and an error."""
        file, now = self._open_file(), self._clock()
        if isinstance(record, Media) and record.kind == "hparams":
            self._add_hparams(file, now, record)
            return
        if isinstance(record, Media):
            event = self._summaries.media(now, record)
        else:
            values = {**record.counts, **record.values, **self._arrays.scalars(record)}
            heatmaps = self._arrays.heatmaps(record)
            event = self._summaries.scalars(now, record.step, values, heatmaps)
            if self._cards.add(record.values):
                self._are_cards_written = False
            self._write_cards(file, now)
        file.write(event)
        self._last_step = max(self._last_step, record.step)

    def flush(self) -> None:
        """Sync every event to disk."""
        self._open_file().flush()

    def close(self) -> None:
        """Flush and close the file; a second call does nothing."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if self._session_end is not None:
                file.write(self._session_end)
            file.flush()
        finally:
            file.close()

    def state(self) -> dict[str, Any]:
        """Return the name and size of the file, its last step, and a count."""
        file = self._open_file()
        position = {"file": file.path.name, "position": file.position}
        counts = {"last_step": self._last_step, "heatmaps": self._arrays.count}
        return position | counts

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Hide later events, and move them to files that TensorBoard does not read."""
        file, step = self._open_file(), state["step"]
        if "file" in state:
            file.rewind(state["file"], state["position"], str(step))
        # A checkpoint may be named by a lower step than the last one it contains.
        self._last_step = max(step, state.get("last_step", step))
        self._arrays.count = state.get("heatmaps", 0)
        now = self._clock()
        file.write(self._summaries.restart(now, self._last_step + 1))
        # What was written before may have been moved.
        self._start_session(file, now, self._hparams)
        self._are_cards_written = not self._cards.layout()
        self._write_cards(file, now)

    def _write_cards(self, file: EventFile, now: float) -> None:
        """Write the cards unless the last ones are in the file."""
        if not self._are_cards_written:
            file.write(self._summaries.cards(now, self._cards.layout()))
            self._are_cards_written = True

    def _start_session(
        self, file: EventFile, now: float, hparams: dict[str, Any]
    ) -> None:
        """Start a session with a configuration, if there is one."""
        if hparams:
            start, self._session_end = self._summaries.hparams(now, hparams)
            file.write(start)

    def _add_hparams(self, file: EventFile, now: float, added: Media) -> None:
        """Add to the configuration.

        TensorBoard shows only the first configuration of a run; changes are shown as a
        table.
        """
        merged = self._hparams | dict(added.values)
        if self._hparams and merged != self._hparams:
            table = {"hparams": (["name", "value"], list(hparam_values(merged)))}
            media = Media(added.step, added.split, table, added.time, kind="table")
            file.write(self._summaries.media(now, media))
        elif not self._hparams:
            self._start_session(file, now, merged)
        self._hparams = merged

    def _open_file(self) -> EventFile:
        if self._file is None:
            raise ValueError(
                f"TensorBoard folder {self.folder} is not open. Call open() first."
            )
        return self._file


def _imported() -> tuple[Callable[[bytes], int], Summaries]:
    """Return the checksum and the messages of event files."""
    try:
        import google_crc32c

        return google_crc32c.value, Summaries()
    except ImportError as error:
        raise ImportError(
            f"writers.TensorBoard() needs tensorboardX and google-crc32c, and "
            f"{error.name} is not installed. Run pip install jaxmetrics[tensorboard]."
        ) from error
