"""Send records to Weights & Biases."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from jaxmetrics.record import (
    MEDIA_KINDS,
    WANDB_JSON,
    Better,
    Media,
    Record,
    atomic_write,
    direction,
    dumps,
    hparams_of,
    read_run_json,
)
from jaxmetrics.writers import _wandb_run
from jaxmetrics.writers._settings import WriterSettings
from jaxmetrics.writers._upload_limits import Keys
from jaxmetrics.writers._wandb_file import checked_state, is_run_id, read_state
from jaxmetrics.writers._wandb_rows import STEP, WandbRows
from jaxmetrics.writers._writer import Writer

_PATTERN = frozenset("*.\\")  # characters of names that wandb does not take as they are


class WandB(Writer):
    """Sends records to Weights & Biases as rows.

    Consecutive records of one step and split are one row, which is sent when a record
    of another step or split comes, after a second, or at `flush`.

    The summary of the run has the best and the last value of keys whose name,
    such as `val/loss`, or metric says whether lower or higher is better, and the last
    one of others.

    The x axis is `trainer/step`, so that a resumed run may go back to an earlier step;
    `trainer/attempt` is the attempt that wrote a row. The id of the run is kept in
    `wandb.json` and used by later attempts, with or without a checkpoint. Console
    output, code, arguments, git and system statistics are not captured.

    `max_wandb_mb` limits an estimate of the bytes sent: the size of each row as JSON
    before compression, and 73 bytes more. From 80 % on, every second row is left out.
    At 100 % all rows are left out except alarms (values of `health/` that are not
    zero) and, when an attempt ends, a summary of at most 4 KiB, for which there is room
    once. At most 1,000 rows per minute and 10,000 different keys are sent. What is left
    out is counted, with one warning; the other writers receive it.

    Needs the extra `jaxmetrics[wandb]`.

    Args:
      mode: `"online"`, which falls back to offline without a connection, or
        `"offline"`, to be sent later with `wandb sync`. Default `"online"`.
      max_wandb_mb: Budget of the whole run in units of 10**6 bytes. Default: the
        setting of the logger.
      project: Project at Weights & Biases. Default: the project of the run.
      entity: User or team. Default: the one of the account.
      group: Group of related runs. Default None.
      every: As in `Writer`. Default: the `log_every` of the logger.
      init_timeout: Seconds to wait for a connection, and 15 more for the process that
        wandb starts. After that the attempt goes on offline, or without W&B if it is
        offline already, with a warning. Default 60.
      finish_timeout: Seconds to wait for uploads at the end, and 15 more. Default 60.
      clock: Returns monotonic seconds, for the rate. Default `time.monotonic`.
      options: Options of `Writer`.
    """

    shows = MEDIA_KINDS

    def __init__(
        self,
        mode: Literal["online", "offline"] = "online",
        max_wandb_mb: float | None = None,
        *,
        project: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        every: int | None = None,
        init_timeout: float = 60.0,
        finish_timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        super().__init__(every=1 if every is None else every, **options)
        if mode not in ("online", "offline"):
            raise ValueError(
                f"WandB got mode={mode!r}, expected 'online' or 'offline'. Leave the "
                f"writer out to send nothing."
            )
        for name in self.rename.values():
            if fault := Keys(1).fault(name):
                raise ValueError(
                    f"WandB got {name!r} in rename=, but {fault}. Choose another name."
                )
        self.mode: Literal["online", "offline"] = mode
        self.max_wandb_mb = max_wandb_mb
        self.init_timeout = init_timeout
        self.finish_timeout = finish_timeout
        self._default_every = every is None
        self._destination = {"project": project, "entity": entity, "group": group}
        self._clock = clock
        self._rows = WandbRows()
        self._run: Any = None
        self._defined: set[str] = set()
        self._joining: Record | None = None
        self._joined_at = 0.0
        self._id = ""
        self._saved_state: dict[str, Any] = {}
        self._offline_file: Path | None = None

    def configure(self, settings: WriterSettings) -> None:
        """Use `log_every` and `max_wandb_mb` as defaults.

        Raises:
          ImportError: wandb is not installed.
        """
        _require_wandb()
        if self._default_every:
            self.every: int = settings.log_every
        if self.max_wandb_mb is None:
            self.max_wandb_mb = settings.max_wandb_mb

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Start an attempt of the run, with the tags and configuration of `run.json`.

        Raises:
          ImportError: wandb is not installed.
          ValueError: `run.json` is damaged.
          Exception: `mode` is `"offline"` and wandb refused the run.
        """
        _require_wandb()
        self._run_dir = run_dir.absolute()
        self._run_json = read_run_json(run_dir) or {}
        self._attempt = max(len(self._run_json.get("attempts", ())), 1)
        self._saved_state = read_state(self._run_dir / WANDB_JSON)
        used = self._saved_state.get("estimated_upload_bytes", 0)
        self._rows = WandbRows(self._attempt, self.max_wandb_mb, used, self._clock)
        run_id = self._run_json.get("run_id")
        new_id = run_id if is_run_id(run_id) else secrets.token_hex(8)
        self._start(self._saved_state.get("id", new_id))

    def write(self, record: Record) -> bool:
        """Send one row; return False if a limit left out all or part of it."""
        if self._run is None:
            raise RuntimeError("W&B did not start, so there is no run to log to")
        if isinstance(record, Media) and record.kind == "hparams":
            return self._add_hparams(dict(record.values))
        if isinstance(record, Media):
            return self._send(record)
        joining, complete = self._joining, True
        if joining is None:
            self._joining, self._joined_at = record, self._clock()
        elif (joining.step, joining.split) == (record.step, record.split):
            self._joining = joining.joined(record)
        else:
            self._joining, self._joined_at = record, self._clock()
            complete = self._send(joining)
        self.idle()
        return complete

    def idle(self) -> None:
        """Send the row that has waited for a second."""
        if self._joining is not None and self._clock() - self._joined_at >= 1.0:
            self._send_joining()

    def _send_joining(self) -> None:
        joining, self._joining = self._joining, None
        if joining is not None:
            self._send(joining)

    def _send(self, record: Record) -> bool:
        if isinstance(record, Media) and record.kind == "audio":
            with tempfile.TemporaryDirectory() as folder:  # wandb copies what it logs
                return self._log(record, Path(folder))
        return self._log(record)

    def _log(self, record: Record, folder: Path | None = None) -> bool:
        assert self._run is not None
        row, complete = self._rows.take(record, folder)
        if row:
            self._define(row, record.better)
            self._run.log(row)
        return complete

    def _define(self, row: Mapping[str, Any], known: Mapping[str, Better]) -> None:
        """Have the summary of the run hold the best value of new keys, and the last."""
        for key in row.keys() - self._defined:
            self._defined.add(key)
            better = direction(key, known)
            if better is not None and not set(key) & _PATTERN:
                self._run.define_metric(key, step_metric=STEP, summary=f"{better},last")

    def flush(self) -> None:
        """Send the row that waits, and save the id of the run and the bytes charged."""
        self._send_joining()
        if (state := self.state()) != self._saved_state:
            atomic_write(self._run_dir / WANDB_JSON, f"{dumps(state)}\n".encode())
            self._saved_state = state

    def close(self) -> None:
        """Send the summary and finish the run; a second call does nothing."""
        if self._run is None:
            return
        self._send_joining()
        run, self._run = self._run, None
        summary = self._rows.summary()
        try:
            _wandb_run.end(run, summary, self.finish_timeout)
        finally:
            self.flush()

    @property
    def counters(self) -> dict[str, int]:
        """Rows and values that limits left out, and bytes charged."""
        counts = self._rows.counters
        if self._offline_file is not None and self._offline_file.exists():
            counts["offline_file_bytes"] = self._offline_file.stat().st_size
        return counts

    def state(self) -> dict[str, Any]:
        """Return the id of the run and the bytes charged."""
        return {"id": self._id, "estimated_upload_bytes": self._rows.budget.used}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue the run that `state` names; bytes charged since remain charged.

        Raises:
          ValueError: It is not a state of this writer; nothing is changed.
        """
        saved = checked_state({"id": self._id, **state})
        budget = self._rows.budget
        budget.used = max(budget.used, saved["estimated_upload_bytes"])
        if saved["id"] != self._id:
            self.close()
            self._start(saved["id"])

    def _start(self, run_id: str) -> None:
        self._id = run_id
        self.flush()
        run_json = self._run_json
        self._run = _wandb_run.begin(
            self.mode,
            run_id,
            self._attempt,
            init_timeout=self.init_timeout,
            finish_timeout=self.finish_timeout,
            dir=str(self._run_dir),
            name=run_json.get("run_name", self._run_dir.name),
            tags=_valid_tags(run_json.get("tags", ())),
            config=hparams_of(run_json),
            **{"project": run_json.get("project")} | _without_none(self._destination),
        )
        self._offline_file = None
        if self._run is not None:
            self._defined = set()
            self._run.define_metric(STEP)
            self._run.define_metric("*", step_metric=STEP)
            if self._run.offline:
                self._offline_file = Path(self._run.settings.sync_file)

    def _add_hparams(self, added: dict[str, Any]) -> bool:
        """Add to the configuration; return False if the budget has no room for it."""
        hparams = hparams_of(self._run_json)
        if hparams | added == hparams:
            return True
        if not self._rows.charge(added):
            return False
        self._run_json |= {"hparams": hparams | added}
        self._run.config.update(added, allow_val_change=True)
        return True


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _valid_tags(tags: Iterable[Any]) -> list[str]:
    """Return tags of 1 to 64 characters; wandb refuses a run with other tags."""
    shortened = [tag[:64] for tag in tags if isinstance(tag, str)]
    return list(dict.fromkeys(tag for tag in shortened if tag))


def _require_wandb() -> None:
    try:
        import wandb  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "writers.WandB() needs wandb, which is not installed. Run pip install "
            "jaxmetrics[wandb]."
        ) from error
