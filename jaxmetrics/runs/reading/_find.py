"""Which run is meant."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.record import EPOCHS_JSON, METRICS_JSONL, RUN_JSON

_FILES = (METRICS_JSONL, RUN_JSON, EPOCHS_JSON)
_MOST_LISTED = 1000


def find_run(
    given: str | os.PathLike[str], root: str | os.PathLike[str] = "runs"
) -> Path:
    """The path of a run: as it is given, or below the folder of all projects.

    Args:
      given: A run directory or a file of metrics; `project/run_name`; or a project,
        which means the one of its runs that was written to last.
      root: The folder of all projects.

    Raises:
      FileNotFoundError: There is none; the error names the run that is nearest.
    """
    for path in (Path(given), Path(root) / given):
        if path.is_file() or is_run(path):
            return path
    for path in (Path(given), Path(root) / given):
        if runs := list(runs_in(path)):
            return max(runs, key=_written)
    known = [run for project in _folders(Path(root)) for run in runs_in(project)]
    names = {f"{run.parent.name}/{run.name}": run for run in known[:_MOST_LISTED]}
    by_name = {run.name: name for name, run in names.items()}
    wanted = "/".join(Path(given).parts[-2:])
    near = difflib.get_close_matches(wanted, names, 1, 0.5)
    near += [by_name[n] for n in difflib.get_close_matches(wanted, by_name, 1, 0.5)]
    if near:
        advice = f"Did you mean {near[0]}?"
    elif names:
        latest = max(names, key=lambda name: _written(names[name]))
        advice = f"The latest run in {root} is {latest}."
    else:
        advice = (
            f"There are no runs in {root} either. Give a run directory, such as "
            f"runs/<project>/<run_name>, or the folder of all projects with --root."
        )
    raise FileNotFoundError(
        f"There is no run at {given}, and no {given} in {root}. {advice}"
    )


def is_run(path: Path) -> bool:
    """Whether a folder holds the files of a run, or of an `EpochTracker`."""
    return any((path / name).is_file() for name in _FILES)


def runs_in(project: Path) -> Iterator[Path]:
    """The runs of a project, but those that others have replaced."""
    for path in _folders(project):
        if ".old-" not in path.name and is_run(path):
            yield path


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(inside for inside in path.iterdir() if inside.is_dir())


def _written(run: Path) -> tuple[float, str]:
    """When a run was last written to; of two at once the later name."""
    files = (run / name for name in _FILES)
    return max(file.stat().st_mtime for file in files if file.is_file()), run.name
