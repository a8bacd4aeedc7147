"""Open a run: its directory, its mirror, and the writers of this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.logger._mirror import Mirror, restore_from_copy
from jaxmetrics.logger._run_directory import (
    RunDirectory,
    join_directory,
    local_folder,
    open_directory,
    set_aside,
)
from jaxmetrics.pipeline import Sinks
from jaxmetrics.processes import process_index, run_on_first
from jaxmetrics.record import process_metrics
from jaxmetrics.writers import JSONL, Console, Writer


def open_run(
    root: str | Path,
    config: LogConfig,
    writers: Sequence[Writer] | None,
    *,
    hparams: object,
    overwrite: bool,
    resume_step: int | None,
    mirror: str | Path | None,
    clock: Callable[[], float],
) -> tuple[RunDirectory, Sinks, Mirror]:
    """Open the run directory, sinks and mirror of this process.

    Every process calls it, with the arguments of `TrainingLogger`. The first process
    opens the run and sends its name and its last steps to the others.
    """
    copies = None if mirror is None else local_folder(mirror, "mirror") / config.project

    def open_first() -> tuple[tuple[RunDirectory, Sinks, Mirror], dict[str, Any]]:
        name = config.run_name
        if copies is not None and name is not None and not overwrite:
            run_dir = local_folder(root) / config.project / name
            restore_from_copy(run_dir, copies / name, process=0)
        run = open_directory(
            root,
            config,
            hparams=hparams,
            overwrite=overwrite,
            resume_step=resume_step,
            clock=clock,
        )
        try:
            if copies is not None and overwrite:
                set_aside(copies / run.path.name)
            run_mirror = Mirror(run, copies, process=0)
            sinks = Sinks(process_writers(0, config, writers), run.path, resume_step)
        except BaseException:
            run.ledger.close()
            raise
        return (run, sinks, run_mirror), run.shared()

    opened, shared = run_on_first(open_first)
    if opened is not None:
        return opened
    run, process = join_directory(root, config, shared), process_index()
    own_writers = process_writers(process, config, writers)
    if own_writers and copies is not None:
        restore_from_copy(run.path, copies / run.path.name, process)
    run_mirror = Mirror(run, copies if own_writers else None, process)
    return run, Sinks(own_writers, run.path, resume_step), run_mirror


def process_writers(
    process: int, config: LogConfig, writers: Sequence[Writer] | None = None
) -> list[Writer]:
    """Return the writers that a process runs.

    The first process runs all of them, and takes the settings that they lack from the
    logger. The others run none, or without `master_only` one JSONL file each, such as
    `metrics.p3.jsonl`.

    Args:
      process: Index of the process.
      config: Settings of the logger.
      writers: Writers chosen by the user; None takes a console and JSONL.
    """
    if process != 0:
        return [] if config.master_only else [JSONL(process_metrics(process))]
    chosen = [Console(), JSONL()] if writers is None else list(writers)
    for writer in chosen:
        writer.configure(config)
    return chosen
