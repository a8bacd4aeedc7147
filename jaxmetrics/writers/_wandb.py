"""Weights & Biases."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from jaxmetrics.record import (
    MEDIA_KINDS,
    WANDB_JSON,
    Media,
    Record,
    atomic_write,
    dumps,
    hparams_of,
    loads,
    read_run_json,
    read_whole,
)
from jaxmetrics.writers import _wandb_run
from jaxmetrics.writers._settings import WriterSettings
from jaxmetrics.writers._upload_limits import Keys
from jaxmetrics.writers._wandb_rows import STEP, WandbRows
from jaxmetrics.writers._writer import Writer


class WandB(Writer):
    """Sends each record to Weights & Biases as one row.

    The axis is `trainer/step`, so that a resumed run may go back; `trainer/attempt`
    says which attempt wrote a row. The run's id, which is kept in `wandb.json`, goes on
    over restarts, with or without a checkpoint. Console, code, arguments, git and
    system statistics are not captured.

    `max_wandb_mb` limits an estimate of the bytes that are sent: those of each row as
    JSON, and 73 more, before compression. From 80 % on every second row is left out,
    at 100 % all are but alarms (values of `health/` that are not zero) and, when an
    attempt ends, a summary of at most 4 KiB, for which there is room once.
    At most 1,000 rows a minute are sent, and 10,000 different keys. What is left out is
    counted, and warned of once; the other writers have it.

    Args:
      mode: `"online"`, which becomes offline when there is no connection, or
        `"offline"`, to be sent later with `wandb sync`.
      max_wandb_mb: Millions of bytes for the whole run; None takes the logger's.
      project: Its project there; None is that of the run.
      entity: The user or team; None is the default one.
      group: The group of the run's relatives.
      every: As of `Writer`; None takes the logger's `log_every`.
      init_timeout: Seconds to wait for a connection.
      finish_timeout: Seconds to wait for uploads at the end.
      clock: Monotonic seconds, for the rate.
      options: Those of `Writer`.
    """

    shows: ClassVar[frozenset[str]] = MEDIA_KINDS

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
        self._takes_interval = every is None
        self._where = {"project": project, "entity": entity, "group": group}
        self._clock = clock
        self._rows = WandbRows()
        self._run: Any = None
        self._id = ""
        self._kept: dict[str, Any] = {}
        self._offline_file: Path | None = None

    def configure(self, settings: WriterSettings) -> None:
        """Take `log_every` and `max_wandb_mb`, where none was given."""
        if self._takes_interval:
            self.every = settings.log_every
        if self.max_wandb_mb is None:
            self.max_wandb_mb = settings.max_wandb_mb

    def open(self, run_dir: Path, resume_step: int | None) -> None:
        """Begin an attempt of the run, with the tags and configuration of `run.json`.

        Raises:
          ImportError: wandb is not installed.
        """
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "writers.WandB() needs wandb, which is not installed. Run pip install "
                "jaxmetrics[wandb]."
            ) from error
        self._run_dir = run_dir.absolute()
        self._described = read_run_json(run_dir) or {}
        self._attempt = max(len(self._described.get("attempts", ())), 1)
        self._kept = _read(self._run_dir / WANDB_JSON)
        used = self._kept.get("estimated_upload_bytes", 0)
        self._rows = WandbRows(self._attempt, self.max_wandb_mb, used, self._clock)
        new = self._described.get("run_id") or secrets.token_hex(8)
        self._begin(self._kept.get("id") or new)

    def write(self, record: Record) -> bool:
        """Send one row; False when a limit left it out, or all but its alarms."""
        if self._run is None:
            raise RuntimeError("W&B has no run to log to. Open the writer again.")
        if isinstance(record, Media) and record.kind == "hparams":
            return self._configure(dict(record.values))
        row, whole = self._rows.take(record)
        if row:
            self._run.log(row)
        return whole

    def flush(self) -> None:
        """Keep the run's id and what was charged; its package has the rows already."""
        if (state := self.state()) != self._kept:
            atomic_write(self._run_dir / WANDB_JSON, f"{dumps(state)}\n".encode())
            self._kept = state

    def close(self) -> None:
        """Send the summary and finish the run; a second call does nothing."""
        if self._run is None:
            return
        run, self._run = self._run, None
        summary = self._rows.summary()
        try:
            _wandb_run.end(run, summary, self.finish_timeout)
        finally:
            self.flush()

    @property
    def counters(self) -> dict[str, int]:
        """Rows and values that limits left out, and bytes."""
        counts = self._rows.counters
        if self._offline_file is not None and self._offline_file.exists():
            counts["offline_file_bytes"] = self._offline_file.stat().st_size
        return counts

    def state(self) -> dict[str, Any]:
        """The run's id, and what was charged."""
        return {"id": self._id, "estimated_upload_bytes": self._rows.budget.used}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the run that `state` names; what was charged since stays so."""
        budget = self._rows.budget
        budget.used = max(budget.used, state.get("estimated_upload_bytes", 0))
        if state.get("id", self._id) != self._id:
            self.close()
            self._begin(state["id"])

    def _begin(self, run_id: str) -> None:
        self._id = run_id
        self.flush()
        described = self._described
        self._run = _wandb_run.begin(
            self.mode,
            run_id,
            self._attempt,
            init_timeout=self.init_timeout,
            finish_timeout=self.finish_timeout,
            dir=str(self._run_dir),
            name=described.get("run_name", self._run_dir.name),
            tags=_clamped(described.get("tags", ())),
            config=hparams_of(described),
            **{"project": described.get("project")} | _given(self._where),
        )
        self._offline_file = None
        if self._run is not None:
            self._run.define_metric(STEP)
            self._run.define_metric("*", step_metric=STEP)
            if self._run.offline:
                self._offline_file = Path(self._run.settings.sync_file)

    def _configure(self, added: dict[str, Any]) -> bool:
        """Add to the configuration, unless there is no room for it."""
        known = hparams_of(self._described)
        if known | added == known:
            return True
        if not self._rows.charge(added):
            return False
        self._described |= {"hparams": known | added}
        self._run.config.update(added, allow_val_change=True)
        return True


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _clamped(tags: Iterable[Any]) -> list[str]:
    """Tags of 1 to 64 characters, as others would stop the run from beginning."""
    cut = [tag[:64] for tag in tags if isinstance(tag, str)]
    return list(dict.fromkeys(tag for tag in cut if tag))


def _read(file: Path) -> dict[str, Any]:
    """What an earlier attempt left in the run directory."""
    try:
        kept = loads(read_whole(file))
    except FileNotFoundError:
        return {}
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise ValueError(
            f"{file} does not name a run of W&B. Remove it to begin another one."
        )
    return kept
