"""Open a run: its directory, its mirror, and the writers of this process."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.logger._mirror import Mirror, restore_from_copy
from jaxmetrics.logger._run_directory import (
    RunDirectory,
    join_directory,
    local_folder,
    open_directory,
)
from jaxmetrics.pipeline import Sinks
from jaxmetrics.processes import process_index, run_on_first
from jaxmetrics.record import (
    METRICS_JSONL,
    Record,
    RunCopies,
    Storage,
    attempt_of_piece,
    open_storage,
    process_metrics,
)
from jaxmetrics.writers import JSONL, Console, WandB, Writer

_LOG = logging.getLogger("jaxmetrics")


def open_run(
    root: str | Path | None,
    config: LogConfig,
    writers: Sequence[Writer],
    *,
    console: bool,
    hparams: object,
    overwrite: bool,
    resume_step: int | None,
    mirror: str | Path | None,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
) -> tuple[RunDirectory, Sinks, Mirror]:
    """Open the run directory, sinks and mirror of this process.

    Every process calls it, with the arguments of `TrainingLogger`. The first process
    opens the run and sends its name and its last steps to the others.
    """
    if root is None and mirror is not None:
        raise ValueError(
            f"TrainingLogger got root=None and mirror={str(mirror)!r}; without a run "
            f"directory there is nothing to copy. Pass a root, or leave out mirror=."
        )
    copies = None if mirror is None else open_storage(mirror).child(config.project)

    def open_first() -> tuple[tuple[RunDirectory, Sinks, Mirror], dict[str, Any]]:
        own = process_writers(0, config, writers, console, has_folder=root is not None)
        if root is None:
            run = absent_run(config)
            return (run, Sinks(own, None, resume_step), Mirror(run, None)), {}
        name = config.run_name
        parent, known_order = None, 0
        if copies is not None and name is not None:
            run_copies = RunCopies(copies.child(name))
            names = run_copies.pieces.names()
            attempts = filter(None, map(attempt_of_piece, names))
            known_order = max((attempt.order for attempt in attempts), default=0)
            if not overwrite:
                run_dir = local_folder(root) / config.project / name
                parent = restore_from_copy(run_dir, run_copies, names)
        run = open_directory(
            root,
            config,
            hparams=hparams,
            overwrite=overwrite,
            resume_step=resume_step,
            clock=clock,
            monotonic=monotonic,
            writers=[writer.name for writer in own if not writer.is_display],
            known_order=known_order,
        )
        try:
            run_copies = None if copies is None else _copies_of(run, copies, 0)
            run_mirror = Mirror(run, run_copies, parent)
            sinks = Sinks(own, run.path, resume_step, left_out=run.left_out)
        except BaseException:
            run.ledger.close()
            raise
        return (run, sinks, run_mirror), run.shared()

    opened, shared = run_on_first(open_first)
    if opened is not None:
        return opened
    process = process_index()
    if root is None:
        run = absent_run(config)
        return run, Sinks([], None, resume_step), Mirror(run, None)
    run = join_directory(root, config, shared)
    own_writers = process_writers(process, config, writers, console)
    run_mirror = Mirror(run, None)
    if own_writers and copies is not None:
        run_copies = _copies_of(run, copies, process)
        names = run_copies.pieces.names()
        parent = restore_from_copy(run.path, run_copies, names, process)
        run_mirror = Mirror(run, run_copies, parent)
    return run, Sinks(own_writers, run.path, resume_step), run_mirror


def _copies_of(run: RunDirectory, project: Storage, process: int) -> RunCopies:
    """Return the copy of a run in the mirror, whose folder is created."""
    folder = project.child(run.path.name)
    if Path(folder.address).resolve() == run.path.resolve():
        raise ValueError(
            f"TrainingLogger got mirror= and root= of the same folder: the copy of "
            f"{run.path} would be the run itself. Choose another folder."
        )
    folder.create()
    return RunCopies(folder, process)


def absent_run(config: LogConfig) -> RunDirectory:
    """Return the description of a run without a directory."""
    name = Path(config.run_name or "run")
    return RunDirectory(name, secrets.token_hex(8), 1, {}, 0.0, is_first=False)


def process_writers(
    process: int,
    config: LogConfig,
    writers: Sequence[Writer] = (),
    console: bool = True,
    has_folder: bool = True,
) -> list[Writer]:
    """Return the writers that a process runs, that of `metrics.jsonl` first.

    The first process runs all of them, and takes the settings that they lack from the
    logger. The others run none, or without `master_only` one JSONL file each, such as
    `metrics.p3.jsonl`.

    Args:
      process: Index of the process.
      config: Settings of the logger.
      writers: Writers that the user adds. A JSONL for `metrics.jsonl` and a Console
        take the place of the built-in ones.
      console: Whether there is a console without the user adding one.
      has_folder: Whether the run has a directory.

    Raises:
      TypeError: An object is not a writer.
      ValueError: The run has no directory, and a writer needs one; or a writer is open
        already.
    """
    if process != 0:
        return [] if config.master_only else [JSONL(process_metrics(process))]
    if isinstance(writers, str) or not isinstance(writers, Iterable):
        raise TypeError(
            f"TrainingLogger got writers={writers!r}, expected a list of writers. Pass "
            f"writers=[writers.CSV()]."
        )
    chosen = list(writers)
    for place, writer in enumerate(chosen):
        if not isinstance(writer, Writer):
            raise TypeError(
                f"TrainingLogger got {writer!r} among its writers, expected objects of "
                f"writers.Writer, such as writers.CSV(). Call the class."
            )
        if writer.needs_run_dir and not has_folder:
            raise ValueError(
                f"TrainingLogger got root=None and {type(writer).__name__}(), which "
                f"writes to the run directory. Pass a root, leave the writer out, or "
                f"set needs_run_dir = False in a writer of your own."
            )
        if writer.in_use or any(writer is other for other in chosen[:place]):
            raise ValueError(
                f"TrainingLogger got the writer {writer.name!r}, which is open "
                f"already, in this logger or in another one; expected one for each. "
                f"Close the other logger first, or create another "
                f"{type(writer).__name__}."
            )
    records = [writer for writer in chosen if _is_the_record(writer)]
    if has_folder and not records:
        chosen.insert(0, JSONL())
    if console and not any(isinstance(writer, Console) for writer in chosen):
        chosen.insert(int(has_folder and not records), Console())
    for writer in chosen:
        writer.configure(config)
    for writer in records[:1]:
        _write_all(writer)
    return chosen or [_Discard()]


def warn_of_unused(
    config: LogConfig, given: Collection[str], writers: Sequence[Writer], console: bool
) -> None:
    """Warn about settings of writers that the run does not have.

    Args:
      config: Settings of the logger.
      given: Names of the fields that were passed directly.
      writers: Writers that the user added.
      console: Whether there is a console without the user adding one.
    """
    if any(type(writer).configure not in _CONFIGURED for writer in writers):
        return  # a writer of the user's own may take any setting
    unused = set(given) | {
        field.name
        for field in fields(LogConfig)
        if getattr(config, field.name) != field.default
    }
    for kind, names in _SETTINGS.items():
        is_there = any(isinstance(writer, kind) for writer in writers)
        if is_there or (kind is Console and console):
            unused -= set(names)
    unused &= {name for names in _SETTINGS.values() for name in names}
    if unused:
        kinds = [k.__name__ for k, names in _SETTINGS.items() if unused & set(names)]
        _LOG.warning(
            "TrainingLogger got %s, which no writer of the run uses. Add %s to "
            "writers=, or leave the setting out.",
            ", ".join(sorted(unused)),
            " and ".join(f"writers.{kind}()" for kind in kinds),
        )


class _Discard(Writer):
    """Writes nothing; without another writer, it is for whom values are fetched."""

    needs_run_dir: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "none"

    def open(self, run_dir: Path | None, resume_step: int | None) -> None:
        pass

    def write(self, record: Record) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


_SETTINGS: dict[type[Writer], tuple[str, ...]] = {
    WandB: ("log_every", "max_wandb_mb"),
    Console: ("print_every", "use_colors", "compact_format"),
}
_CONFIGURED = (Writer.configure, WandB.configure, Console.configure)


def _is_the_record(writer: Writer) -> bool:
    return isinstance(writer, JSONL) and writer.file == METRICS_JSONL


def _write_all(writer: Writer) -> None:
    """Have the writer of the complete record take everything."""
    if writer.every > 1 or writer.keys is not None:
        _LOG.warning(
            "%s is the complete record of the run; every= and keys= of its writer are "
            "ignored. Give JSONL(file=...) another name to write a selection.",
            METRICS_JSONL,
        )
        writer.every, writer.keys = 1, None
