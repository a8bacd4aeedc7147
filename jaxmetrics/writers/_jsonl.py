"""Write records as JSON lines, the complete record of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from jaxmetrics.record import (
    MEDIA_KINDS,
    METRICS_JSONL,
    AppendFile,
    Media,
    Record,
    RunSummary,
    check_file,
    crc_before,
    dumps,
    read_run_json,
)
from jaxmetrics.writers._media_files import MediaFiles
from jaxmetrics.writers._writer import Writer


class JSONL(Writer):
    """Appends each record to a file of the run directory, a line of JSON each.

    Every run has `metrics.jsonl`, its complete record, without this writer being given.
    Its images and audio are files in `media/`, named by content, and `summary.json`
    tells how far it goes. A further file has the scalars, texts and tables that `every`
    and `keys` select.

    The file begins with a header line that names the run. If the queue of this writer
    is full, `log_step` waits up to 5 seconds before it drops a record.

    Args:
      file: Name of the file. Default `metrics.jsonl`.
      options: Options of `Writer`.
    """

    when_full: ClassVar[Literal["block", "drop_oldest"]] = "block"
    shows = frozenset({"text", "table"})

    def __init__(self, file: str = METRICS_JSONL, **options: Any) -> None:
        super().__init__(**options)
        self.file: str = check_file(file, METRICS_JSONL)
        if self.file == METRICS_JSONL:
            self.shows: frozenset[str] = MEDIA_KINDS - {
                "hparams"
            }  # these are in run.json
        self._lines: AppendFile | None = None
        self._media: MediaFiles | None = None
        self._summary: RunSummary | None = None

    @property
    def name(self) -> str:
        """Name of the file, such as `metrics.jsonl`."""
        return self.file

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Open the file and remove the rows after `resume_step`; start with a header.

        Raises:
          WriterLockedError: Another writer has the file open.
          CorruptLineError: A line of the file, or `run.json`, is damaged.
        """
        self._lines = AppendFile(run_dir / self.file)
        self._media = MediaFiles(run_dir)
        try:
            if self.file == METRICS_JSONL:
                self._summary = RunSummary(run_dir)
            if resume_step is not None:
                self.load_state({"step": resume_step})
            if self._lines.position == 0:
                run_id = (read_run_json(run_dir) or {}).get("run_id")
                header = {"kind": "header", "schema": 2, "run_id": run_id}
                self._lines.write_line(dumps(header))
            if self._summary is not None:  # the one before may say that it was closed
                self._summary.write(self.missing)
        except BaseException:
            self._lines.close()
            raise

    def write(self, record: Record) -> None:
        """Append one line: all of it, or nothing and an error."""
        file = self._open_file()
        if isinstance(record, Media) and self._media is not None:
            row = self._media.line(record)
        else:
            row = record.line()
        file.write_line(dumps(row))
        if self._summary is not None:
            if record.better:
                self._summary.note_directions(record.better)
            self._summary.add(row, file.position)

    def flush(self) -> None:
        """Sync every line to disk."""
        try:
            self._open_file().flush()
        finally:
            if self._summary is not None:
                self._summary.write(self.missing)

    def close(self) -> None:
        """Flush and close the file; a second call does nothing."""
        if self._lines is None:
            return
        lines, self._lines = self._lines, None
        try:
            lines.flush()
        finally:
            lines.close()
            if self._summary is not None:
                self._summary.write(self.missing, state="closed")

    def state(self) -> dict[str, Any]:
        """Return the size of the file, a CRC of its end, and last and best values."""
        lines = self._open_file()
        state: dict[str, Any] = {
            "position": lines.position,
            "crc": crc_before(lines.path, lines.position),
        }
        if self._summary is not None and (values := self._summary.state()):
            state["values"] = values
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Cut the file back, and save the removed rows in `<file>.after-<step>`.

        Raises:
          ValueError: The file has other rows there than when the state was taken.
        """
        lines, step = self._open_file(), state["step"]
        label, summary = str(max(step, 0)), self._summary
        if "position" in state:
            position, crc = state["position"], state.get("crc")
            is_there = crc is not None and position <= lines.position
            if is_there and crc != crc_before(lines.path, position):
                raise ValueError(
                    f"{lines.path} has other rows before byte {position} than when "
                    f"this state was taken. Restore the file of that run"
                )
            lines.cut(position, label)
            if summary is not None:
                values = state.get("values") if is_there else None
                summary.note_cut(position, values)
        elif summary is None:
            lines.cut_after_step(step, label)
        else:
            lines.cut_after_step(step, label, summary.index.line_steps(step))
            summary.note_cut_after(step)

    def _open_file(self) -> AppendFile:
        if self._lines is None:
            raise ValueError(f"JSONL file {self.file} is not open. Call open() first.")
        return self._lines
