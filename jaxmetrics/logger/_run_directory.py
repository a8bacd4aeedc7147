"""Directory of a run: its name, its `run.json`, its attempts."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import logging
import os
import platform
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.processes import device_summary, process_index
from jaxmetrics.record import (
    EVENTS_JSONL,
    RUN_JSON,
    AppendFile,
    Attempt,
    ConfigChange,
    Ledger,
    RecordIndex,
    RunJsonError,
    absolute_path,
    changes_text,
    config_changes,
    dumps,
    edit_run_json,
    hparams_of,
    is_remote,
    iso_time,
    last_attempt,
    loads,
    lock_scope,
    make_folder,
    note_ending,
    plain_config,
    read_run_json,
    redact,
    write_run_json,
)

_LOG = logging.getLogger("jaxmetrics")
_PACKAGES = ("jaxmetrics", "jax", "jaxlib", "flax", "optax", "numpy")
_SCHEMA = 2
_REQUIRED = ("run_id",)
_MAX_EDITS = 100  # that wait for a disk
_OWN_FIELDS = frozenset(
    {"schema", "run_id", "project", "run_name", "created", "hparams", "tags"}
    | {"versions", "devices", "attempts"}
)


Edit = Callable[[dict[str, Any]], None]
"""Function that changes the contents of `run.json`."""


@dataclass
class RunDirectory:
    """An open run directory.

    Once it is superseded, the run belongs to a later attempt: nothing more is written.

    Attributes:
      path: Path of the directory.
      run_id: Identifier of the run, the same in all attempts.
      attempt: Number of this attempt, from 1.
      last: Last recorded step, by split.
      elapsed: Training seconds at the end of the record.
      ledger: Events of the run; silent on processes other than the first.
      is_first: Whether this is the first process, which writes `run.json`.
      identity: Identity of this attempt among all; None without a directory.
      left_out: Lowest step to which attempts went back without a writer, by its name,
        since it was there last.
      superseded: Description of the later attempt that has taken the run over; None
        while there is none.
    """

    path: Path
    run_id: str
    attempt: int
    last: dict[str, int]
    elapsed: float
    ledger: Ledger = field(default_factory=lambda: Ledger(None))
    is_first: bool = True
    identity: Attempt | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    superseded: str | None = None
    _version: tuple[int, int, int] | None = None
    _edits: list[Edit] = field(default_factory=list)  # of run.json, still to be made
    _has_warned: bool = False

    def shared(self) -> dict[str, Any]:
        """Return the plain values that the other processes need."""
        names = ("run_id", "attempt", "last", "elapsed")
        values: dict[str, Any] = {n: getattr(self, n) for n in names}
        identity = None if self.identity is None else list(self.identity)
        return {"run_name": self.path.name, "identity": identity} | values

    def name_of_attempt(self) -> str | None:
        """Return a name of this attempt that no other has; None without a directory."""
        if self.identity is None:
            return None
        return f"{self.run_id}/{self.attempt}-{self.identity.token}"

    def is_superseded(self) -> bool:
        """Return whether a later attempt has taken the run over.

        `run.json` is read again if it has changed: on a disk of several hosts it names
        the last attempt.
        """
        if self.superseded is None and self.identity is not None:
            with contextlib.suppress(OSError, RunJsonError):
                status = os.stat(self.path / RUN_JSON)
                version = status.st_ino, status.st_size, status.st_mtime_ns
                if version == self._version:
                    return False
                self._version = version
                last = last_attempt(_read(self.path) or {})
                if last is not None and last > self.identity:
                    self.supersede(last, str(self.path))
        return self.superseded is not None

    def supersede(self, attempt: Attempt, place: str) -> None:
        """Note, with a warning, that a later attempt has taken the run over.

        Args:
          attempt: The later attempt.
          place: Where it was seen.
        """
        if self.superseded is not None:
            return
        self.superseded = f"attempt {attempt}"
        _LOG.warning(
            "Another process has taken over the run %s: attempt %s in %s is later than "
            "this one, %s. This one records nothing more, and training goes on. End it "
            "if it was replaced; if both are wanted, give them different names.",
            *(self.path, attempt, place, self.identity),
        )
        self.ledger.close()

    def describe(self, **fields: Any) -> None:
        """Replace fields of `run.json`, on the first process.

        If the file cannot be written, there is one warning, and `flush` tries again.
        """
        self._edit(lambda run: run.update(fields))

    def flush(self) -> bool:
        """Write what `run.json` still lacks; return whether it lacks nothing."""
        if not self._edits:
            return True
        return not self.is_superseded() and self._write_edits()

    def add_hparams(self, hparams: object) -> dict[str, Any]:
        """Add to the configuration of this attempt in `run.json`, and return it plain.

        Existing names are replaced. There is one warning about values that cannot be
        recorded, and one about values that differ from those of earlier attempts. If
        the file cannot be written, it is as in `describe`.

        Args:
          hparams: A mapping, or an object with fields or attributes.

        Raises:
          TypeError: `hparams` has no values by name.
        """
        plain, problem = plain_config(hparams)
        if not isinstance(plain, dict):
            raise TypeError(
                f"log_hparams() got a {type(hparams).__name__}, of which no values can "
                f"be read by name; expected a mapping, a dataclass, a namespace or "
                f"another object with attributes. Name the value: {{'value': ...}}."
            )
        plain = _as_read(plain)
        if problem and process_index() == 0:
            _LOG.warning(problem)
        self._edit(lambda run: self._add_to_attempt(run, plain))
        return plain

    def note_restore(self, step: int) -> None:
        """Note in `run.json` and in the ledger that this attempt starts at a step."""
        if self.is_first and not self.is_superseded():
            self._edit(lambda run: self._attempt_of(run).update(restored_step=step))
            self.ledger.renew()
            self.ledger.event("restore", step=step)

    def note_ending(self) -> None:
        """Note in `summary.json` how this attempt ended, after its last event."""
        if self.is_first and self.superseded is None:
            note_ending(self.path)

    def _edit(self, edit: Edit) -> None:
        """Change `run.json` on the first process, after the changes that wait."""
        if self.is_first and not self.is_superseded():
            self._edits = [*self._edits[-_MAX_EDITS:], edit]
            self._write_edits()

    def _write_edits(self) -> bool:
        changes: list[ConfigChange] = []

        def edit(run: dict[str, Any]) -> None:
            if not run:
                run.update(schema=_SCHEMA, run_id=self.run_id)
            known = set(config_changes(run))
            for one in self._edits:
                one(run)
            count = len(run.get("attempts", []))
            changed = (c for c in config_changes(run) if c not in known)
            changes.extend(c for c in changed if c.attempt == count)

        try:
            edit_run_json(self.path, edit, _REQUIRED)
        except (OSError, RunJsonError) as error:
            if not self._has_warned:
                self._has_warned = True
                _LOG.warning(
                    "run.json of %s cannot be written (%s). Training goes on; flush() "
                    "tries again, and is False until then.",
                    *(self.path, error),
                )
            return False
        except ValueError as error:  # too large with the last one
            self._edits = self._edits[:-1]
            _LOG.warning("The last addition to run.json is left out: %s", error)
            if self._edits:
                self._write_edits()
            return False
        self._edits = []
        _warn_of_changes(self.path, changes)
        return True

    def _attempt_of(self, run: dict[str, Any]) -> dict[str, Any]:
        """Return the last attempt of `run.json`, which is this one."""
        attempts = run.setdefault("attempts", [])
        if not attempts:
            attempts.append({"attempt": self.attempt})
        last: dict[str, Any] = attempts[-1]
        return last

    def _add_to_attempt(self, run: dict[str, Any], hparams: dict[str, Any]) -> None:
        attempt = self._attempt_of(run)
        attempt["hparams"] = attempt.get("hparams", {}) | hparams


def open_directory(
    root: str | Path,
    config: LogConfig,
    *,
    hparams: object,
    overwrite: bool,
    resume_step: int | None,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
    writers: Sequence[str] = (),
    known_order: int = 0,
) -> RunDirectory:
    """Create a run directory, or continue one as its next attempt; first process only.

    Args:
      root: Folder of all projects.
      config: Settings, with the project, the name of the run or None, and its tags.
      hparams: Configuration of the training, written without secrets.
      overwrite: Set an existing directory aside, as `<run_name>.old-1`.
      resume_step: Step to continue from; later rows are not counted.
      clock: Seconds since the epoch, for timestamps.
      monotonic: Seconds of any origin, for durations.
      writers: Names of the writers whose files this attempt writes.
      known_order: Highest order of the attempts that the mirror has.

    Raises:
      WriterLockedError: Another process writes this run.
      OSError: The directory cannot be written.
    """
    project = local_folder(root) / config.project
    if config.run_name is None:
        path = _new_directory(project, clock())
    else:
        path = project / config.run_name
        known_order = max(known_order, _last_order(path))
        if overwrite:
            if (events := path / EVENTS_JSONL).exists():
                AppendFile(
                    events
                ).close()  # raises while another process writes this run
            set_aside(path)
        make_folder(path)
    ledger_path = path / EVENTS_JSONL
    ledger = Ledger(ledger_path, clock=clock, monotonic=monotonic)
    try:
        started = clock()
        now = iso_time(started)
        run = _read(path) or {
            "schema": _SCHEMA,
            "run_id": secrets.token_hex(8),
            "project": config.project,
            "run_name": path.name,
            "created": now,
        }
        run = _with_hparams_by_attempt(run)
        run["schema"] = _SCHEMA
        run["tags"] = redact(config.tags)
        run["versions"] = _versions()
        run["devices"] = device_summary()
        attempts = run.pop("attempts", [])
        left_out = _left_out(attempts)
        attempt = {"attempt": len(attempts) + 1, "time": now}
        identity = Attempt.new(max(known_order, len(attempts)) + 1, started)
        attempt |= identity.to_dict()
        attempt |= {"host": socket.gethostname(), "lock_scope": lock_scope(ledger_path)}
        attempt |= {"restored_step": resume_step, "hparams": _initial(hparams)}
        attempt["writers"] = list(writers)
        attempts.append(attempt)
        last, elapsed = RecordIndex.of(path).last(resume_step)
        ledger.attempt = len(attempts)
        opened = RunDirectory(path, run["run_id"], len(attempts), last, elapsed, ledger)
        opened.identity, opened.left_out = identity, left_out
        run["attempts"] = attempts
        try:
            write_run_json(path, run)
        except ValueError as error:  # too large, after many attempts
            attempt["hparams"] = {}
            write_run_json(path, run)
            _LOG.warning("The configuration of this attempt is left out: %s", error)
        changes = config_changes(run)
        _warn_of_changes(path, [c for c in changes if c.attempt == len(attempts)])
    except BaseException:
        ledger.close()
        raise
    return opened


def join_directory(
    root: str | Path, config: LogConfig, shared: Mapping[str, Any]
) -> RunDirectory:
    """Open, on another process, the run directory that the first process opened.

    Args:
      root: Folder of all projects.
      config: Settings.
      shared: `RunDirectory.shared` of the first process.
    """
    fields = dict(shared)
    path = local_folder(root) / config.project / fields.pop("run_name")
    identity = Attempt(*fields.pop("identity"))
    run = RunDirectory(path, **fields, is_first=False, identity=identity)
    if not config.master_only:
        make_folder(path)
        if _read(path) is None:  # this host has its own disk
            names = {"project": config.project, "run_name": path.name}
            write_run_json(path, {"schema": _SCHEMA, "run_id": run.run_id} | names)
    return run


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert fields for `run.json` to plain values; a mesh becomes its axis sizes.

    Raises:
      ValueError: A field is one that the logger writes itself.
    """
    if own := _OWN_FIELDS & fields.keys():
        raise ValueError(
            f"describe() got {sorted(own)}, which the logger writes itself; expected "
            f"other names. Rename these, or call log_hparams() for the configuration."
        )
    return {name: redact(value) for name, value in fields.items()}


def local_folder(folder: str | Path, argument: str = "root") -> Path:
    """Return a folder as an absolute path; refuse addresses of remote storage.

    Args:
      folder: The folder; `~` is the home directory.
      argument: Argument of `TrainingLogger`, for the error.

    Raises:
      ValueError: The folder is a remote address.
    """
    if is_remote(folder):
        raise ValueError(
            f"TrainingLogger got {argument}={str(folder)!r}, where files cannot be "
            f"appended to; expected a local folder. Log to a local disk, and pass the "
            f"address as mirror=, which gets copies at each checkpoint."
        )
    return absolute_path(folder)


def _read(path: Path) -> dict[str, Any] | None:
    """Read `run.json`; a run that can be continued has a `run_id` in it."""
    return read_run_json(path, _REQUIRED)


def _last_order(path: Path) -> int:
    """Return the order of the last attempt in a directory; 0 if it is not known."""
    with contextlib.suppress(OSError, RunJsonError):
        last = last_attempt(_read(path) or {})
        return 0 if last is None else last.order
    return 0


def _left_out(attempts: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the lowest steps to which attempts went back without a writer, by name.

    The files of the writer still have what those attempts set aside elsewhere.

    >>> _left_out([
    ...     {"writers": ["csv"], "restored_step": None},
    ...     {"writers": [], "restored_step": 5},
    ...     {"writers": [], "restored_step": 8},
    ... ])
    {'csv': 5}
    """
    known: set[str] = set()
    steps: dict[str, int] = {}
    for attempt in attempts:
        names, restored = attempt.get("writers"), attempt.get("restored_step")
        if not isinstance(names, list):  # of a version that did not note them
            known, steps = set(), {}
            continue
        present = set(map(str, names))
        known |= present
        for name in present:
            steps.pop(name, None)
        if isinstance(restored, int):
            for name in known - present:
                steps[name] = min(steps.get(name, restored), restored)
    return steps


def _initial(hparams: object) -> dict[str, Any]:
    """Return the configuration that the constructor was given as a plain mapping."""
    if hparams is None:
        return {}
    plain, problem = plain_config(hparams)
    if not isinstance(plain, dict):
        plain = {"hparams": plain}
        problem = (
            f"TrainingLogger got hparams= of type {type(hparams).__name__}, of which "
            f"no values can be read by name; it is recorded as {{'hparams': ...}}. "
            f"Pass a mapping. {problem}"
        )
    if problem:
        _LOG.warning(problem.strip())
    return _as_read(plain)


def _as_read(plain: dict[str, Any]) -> Any:
    """Return plain values as they will be read from `run.json`, such as "NaN"."""
    return loads(dumps(plain))


def _with_hparams_by_attempt(run: dict[str, Any]) -> dict[str, Any]:
    """Move the configuration of schema 1 to the last attempt, which was given it."""
    run, hparams = dict(run), hparams_of(run)
    if run.pop("hparams", None):
        attempts = run.get("attempts") or [{"attempt": 1, "time": run.get("created")}]
        run["attempts"] = [*attempts[:-1], attempts[-1] | {"hparams": hparams}]
    return run


def _warn_of_changes(path: Path, changes: list[ConfigChange]) -> None:
    if changes:
        _LOG.warning(
            "Attempt %d of %s has another configuration than those before: %s. "
            "run.json keeps both.",
            changes[0].attempt,
            path,
            changes_text(changes),
        )


def _new_directory(project: Path, now: float) -> Path:
    """Create a directory named by the time, with a number if it exists already."""
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
    """Rename a folder, if it exists, to `<name>.old-1` or the next free number."""
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


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
