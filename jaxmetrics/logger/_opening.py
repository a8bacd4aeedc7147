"""Opens a run: its directory, and the writers that this process runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxmetrics.logger._log_config import LogConfig
from jaxmetrics.logger._mirror import Mirror, bring_back
from jaxmetrics.logger._rundir import (
    RunDirectory,
    join_directory,
    local,
    open_directory,
    set_aside,
)
from jaxmetrics.pipeline import Sinks
from jaxmetrics.processes import first_tells, place
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
    """The run directory, sinks and mirror of this process; called by all of them.

    The arguments are those of `TrainingLogger`.
    """

    copies = None if mirror is None else local(mirror, "mirror") / config.project

    def begin() -> tuple[tuple[RunDirectory, Sinks, Mirror], dict[str, Any]]:
        name = config.run_name
        if copies is not None and name is not None and not overwrite:
            bring_back(local(root) / config.project / name, copies / name, 0)
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
            mirrored = Mirror(run, copies, 0)
            sinks = Sinks(writers_of(0, config, writers), run.path, resume_step)
        except BaseException:
            run.ledger.close()
            raise
        return (run, sinks, mirrored), run.told()

    opened, told = first_tells(begin)
    if opened is not None:
        return opened
    run, process = join_directory(root, config, told), place()[0]
    own = writers_of(process, config, writers)
    if own and copies is not None:
        bring_back(run.path, copies / run.path.name, process)
    mirrored = Mirror(run, copies if own else None, process)
    return run, Sinks(own, run.path, resume_step), mirrored


def writers_of(
    process: int, config: LogConfig, writers: Sequence[Writer] | None = None
) -> list[Writer]:
    """The writers that a process runs.

    The first runs all; the others none, or without `master_only` a JSONL file each,
    `metrics.p3.jsonl`. Writers that the user chose take the settings that they were
    not given.

    Args:
      process: The index of the process.
      config: The logger's settings.
      writers: Those the user chose; None is a console and JSONL.
    """
    if process != 0:
        return [] if config.master_only else [JSONL(process_metrics(process))]
    chosen = [Console(), JSONL()] if writers is None else list(writers)
    for writer in chosen:
        writer.configure(config)
    return chosen
