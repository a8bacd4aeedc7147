"""The directory of a run: its name, its description, its attempts."""

from __future__ import annotations

import importlib.metadata
import itertools
import platform
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.processes import devices
from jaxmetrics.record import (
    EVENTS_JSONL,
    METRICS_JSONL,
    AppendFile,
    Ledger,
    hparams_of,
    iso,
    make_folder,
    read_run_json,
    redact,
    scan_lines,
    write_run_json,
)

_PACKAGES = ("jaxmetrics", "jax", "jaxlib", "flax", "optax", "numpy")
_MOST = 2**63 - 1
_KEPT = frozenset(
    {"schema", "run_id", "project", "run_name", "created", "hparams", "tags"}
    | {"versions", "devices", "attempts"}
)
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass
class RunDirectory:
    """An open run directory.

    Attributes:
      path: Where it is.
      run_id: The run's name for life, kept over attempts.
      attempt: Which attempt this is, from 1.
      last: The last recorded step, by split.
      elapsed: Training seconds at the end of the record.
      ledger: The run's events; silent on processes other than the first.
      first: Whether this process is the first, which writes `run.json`.
    """

    path: Path
    run_id: str
    attempt: int
    last: dict[str, int]
    elapsed: float
    ledger: Ledger = field(default_factory=lambda: Ledger(None))
    first: bool = True

    def told(self) -> dict[str, Any]:
        """What the other processes need to know, in plain values."""
        names = ("run_id", "attempt", "last", "elapsed")
        return {"run_name": self.path.name} | {n: getattr(self, n) for n in names}

    def describe(self, **fields: Any) -> None:
        """Replace fields of `run.json`, all at once; the first process does."""
        if self.first:
            write_run_json(self.path, (_read(self.path) or {}) | fields)

    def add_hparams(self, hparams: dict[str, Any]) -> None:
        """Add to the configuration in `run.json`, or replace what has the same name."""
        if self.first:
            known = hparams_of(_read(self.path) or {})
            self.describe(hparams=known | hparams)

    def restored(self, step: int) -> None:
        """Note that this attempt continues from a step."""
        if self.first:
            run = _read(self.path) or {}
            run["attempts"][-1]["restored_step"] = step
            write_run_json(self.path, run)
            self.ledger.event("restore", step=step)


def open_directory(
    root: str | Path,
    config: LogConfig,
    *,
    hparams: object,
    overwrite: bool,
    resume_step: int | None,
    clock: Callable[[], float],
) -> RunDirectory:
    """Make a run directory, or continue one as its next attempt; first process only.

    Args:
      root: The folder of all projects.
      config: The project, the run's name or None, its tags.
      hparams: The user's configuration, written without its secrets.
      overwrite: Set an existing directory aside, as `<run_name>.old-1`.
      resume_step: The step that is continued from; later rows do not count.
      clock: Seconds since the epoch.

    Raises:
      WriterLockedError: Another process writes this run.
      OSError: The directory cannot be written.
    """
    project = local(root) / config.project
    if config.run_name is None:
        path = _new_directory(project, clock())
    else:
        path = project / config.run_name
        if overwrite:
            if (events := path / EVENTS_JSONL).exists():
                AppendFile(events).close()  # refused while somebody writes this run
            set_aside(path)
        make_folder(path)
    ledger = Ledger(path / EVENTS_JSONL, clock=clock)
    try:
        now = iso(clock())
        run = _read(path) or {
            "schema": 1,
            "run_id": secrets.token_hex(8),
            "project": config.project,
            "run_name": path.name,
            "created": now,
            "hparams": {},
        }
        if hparams is not None:
            run["hparams"] = redact(hparams)
        run["tags"] = redact(config.tags)
        run["versions"] = _versions()
        run["devices"] = devices()
        attempts = run.pop("attempts", [])
        attempt = {"attempt": len(attempts) + 1, "time": now}
        attempts.append(attempt | {"restored_step": resume_step})
        last, elapsed = _record_end(path / METRICS_JSONL, resume_step)
        ledger.attempt = len(attempts)
        opened = RunDirectory(path, run["run_id"], len(attempts), last, elapsed, ledger)
        write_run_json(path, run | {"attempts": attempts})
    except BaseException:
        ledger.close()
        raise
    return opened


def join_directory(
    root: str | Path, config: LogConfig, told: dict[str, Any]
) -> RunDirectory:
    """The run directory that the first process opened, on another one."""
    path = local(root) / config.project / told.pop("run_name")
    run = RunDirectory(path, **told, first=False)
    if not config.master_only:
        make_folder(path)
        if _read(path) is None:  # a disk of this host's own
            names = {"project": config.project, "run_name": path.name}
            write_run_json(path, {"schema": 1, "run_id": run.run_id} | names)
    return run


def described(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for `run.json` in plain values; a mesh becomes the sizes of its axes.

    Raises:
      ValueError: A field is one that the logger keeps.
    """
    if kept := _KEPT & fields.keys():
        raise ValueError(
            f"describe() got {sorted(kept)}, which the logger keeps; expected others. "
            f"Give these another name, or log_hparams() for the configuration."
        )
    plain = dict(fields)
    if hasattr(plain.get("mesh"), "axis_names"):
        plain["mesh"] = {name: int(n) for name, n in plain["mesh"].shape.items()}
    return {name: redact(value) for name, value in plain.items()}


def local(folder: str | Path, what: str = "root") -> Path:
    """A folder that files can be written to.

    Args:
      folder: Where it is.
      what: The argument of `TrainingLogger`, for the error.

    Raises:
      ValueError: It is an address.
    """
    if _REMOTE.match(str(folder)):
        raise ValueError(
            f"TrainingLogger got {what}={str(folder)!r}, where no file can be appended "
            f"to; expected a folder. Log to a local disk, and mount the bucket and "
            f"give its folder as mirror=, which gets copies at each checkpoint."
        )
    return Path(folder)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the description of a run that can be continued, which has a `run_id`."""
    return read_run_json(path, required=("run_id",))


def _new_directory(project: Path, now: float) -> Path:
    """A directory named by the time; two runs of one second get two."""
    name = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d_%H%M%S")
    path, number = project / name, 1
    while True:
        try:
            make_folder(path, new=True)
            return path
        except FileExistsError:
            number += 1
            path = project / f"{name}-{number}"


def set_aside(path: Path) -> None:
    """Rename a folder, if there is one, to `<name>.old-1` or a later number."""
    if not path.exists():
        return
    numbers = itertools.count(1)
    path.rename(
        next(
            old
            for n in numbers
            if not (old := path.with_name(f"{path.name}.old-{n}")).exists()
        )
    )


def _record_end(file: Path, step: int | None) -> tuple[dict[str, int], float]:
    """The last step by split, and the training seconds, of rows up to `step`."""
    last: dict[str, int] = {}
    elapsed = 0.0
    if file.exists():
        for line in scan_lines(file):
            row = line.row or {}
            at, split, time = (row.get(name) for name in ("step", "split", "time"))
            if isinstance(at, int) and at <= (_MOST if step is None else step):
                # Texts and tables keep no order of steps.
                if isinstance(split, str) and "kind" not in row:
                    last[split] = max(at, last.get(split, 0))
                if isinstance(time, int | float) and elapsed < time <= _MOST:
                    elapsed = float(time)
    return last, elapsed


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
