"""Find a run by its path, its name or its project."""

from __future__ import annotations

import difflib
import glob
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.record import (
    EPOCHS_JSON,
    METRICS_JSONL,
    PIECES_FOLDER,
    RUN_JSON,
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    attempt_of_piece,
    is_remote,
    open_storage,
)
from jaxmetrics.runs.reading._copy import at_home, is_in_mirror, is_stored_run
from jaxmetrics.runs.reading._errors import RunNotFoundError

_FILES = (
    *(METRICS_JSONL, RUN_JSON, EPOCHS_JSON),
    *(TELEMETRY_JSONL, f"{TELEMETRY_FOLDER}/{TELEMETRY_JSONL}"),
)
_REPLACED = re.compile(r"\.old-\d+\Z")
_MAX_CANDIDATES = 1000  # runs among which a similar name is searched


def find_run(
    name: str | os.PathLike[str], root: str | os.PathLike[str] = "runs"
) -> Path:
    """Return the path of a run.

    Args:
      name: Run directory or file of metrics; `project/run_name` below `root`; or a
        project, for the run of it that was written to last. Also its address in a
        bucket, or that of its copy in a mirror.
      root: Folder of all projects, or its address.

    Raises:
      FileNotFoundError: There is no such run; the error names the most similar one.
      OSError: A bucket cannot be reached.
    """
    for path in _places(name, root):
        if path.is_file() or is_run(path):
            return path
    for path in _places(name, root):
        if runs := list(runs_in(path)):
            return max(runs, key=_last_written)
    existing = [
        run for project in _folders(Path(at_home(root))) for run in runs_in(project)
    ]
    paths = {f"{run.parent.name}/{run.name}": run for run in existing[:_MAX_CANDIDATES]}
    full_names = {path.name: full_name for full_name, path in paths.items()}
    wanted = "/".join(Path(name).parts[-2:])
    similar = difflib.get_close_matches(wanted, paths, 1, 0.5)
    similar += [
        full_names[match]
        for match in difflib.get_close_matches(wanted, full_names, 1, 0.5)
    ]
    problem = f"There is no run at {name}, and no {name} in {root}."
    for path in _places(name, root):
        if not is_remote(path) and path.is_dir():
            problem = f"There is no run in the folder {path}."
    if similar:
        raise RunNotFoundError(problem, f"Did you mean {similar[0]}?")
    if paths:
        latest = max(paths, key=lambda name: _last_written(paths[name]))
        raise RunNotFoundError(problem, f"The latest run in {root} is {latest}.")
    raise RunNotFoundError(f"{problem} There are no runs in {root} either.")


def find_runs(
    name: str | os.PathLike[str], root: str | os.PathLike[str] = "runs"
) -> list[Path]:
    """Return the paths of all runs of a name, in the order of their names.

    Args:
      name: A project, for all of its runs; a pattern such as `"sweep/lr*"`; or
        anything that `find_run` takes, for one run.
      root: Folder of all projects.

    Raises:
      FileNotFoundError: There is no such run.
    """
    if names_run(name, root):
        return [find_run(name, root)]
    for place in _places(name, root):
        if found := list(runs_in(place)):
            return found
    return _matching(name, root) or [find_run(name, root)]


def names_run(
    name: str | os.PathLike[str], root: str | os.PathLike[str] = "runs"
) -> bool:
    """Return whether a name stands for one run, not for a project or a pattern."""
    return any(path.is_file() or is_run(path) for path in _places(name, root))


def _matching(name: str | os.PathLike[str], root: str | os.PathLike[str]) -> list[Path]:
    """Return the runs that match a pattern, without those that were replaced."""
    pattern = str(at_home(name))
    if not any(character in pattern for character in "*?["):
        return []
    below = os.path.join(glob.escape(str(at_home(root))), pattern)
    found = sorted(map(Path, glob.glob(pattern) or glob.glob(below)))
    return [path for path in found if not is_replaced(path.name) and is_run(path)]


def place_of(name: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return the path that a name stands for: itself, or below `runs`.

    The second only if there is a run or a project below, and no run of that name.
    """
    path, *below = _places(name, "runs")
    for place in below:
        if (place.is_file() or is_run(place) or any(runs_in(place))) and not (
            path.is_file() or is_run(path) or runs_below(path)
        ):
            return place
    return name


def is_replaced(name: str) -> bool:
    """Return whether a folder was set aside for a new run of its name.

    >>> is_replaced("a.old-1"), is_replaced("a.old-style")
    (True, False)
    """
    return _REPLACED.search(name) is not None


def is_run(path: Path) -> bool:
    """Return whether a folder holds a run, its copy, epochs or telemetry."""
    if is_remote(path):
        return is_stored_run(open_storage(path).names())
    folder = os.fspath(path)
    is_own = any(os.path.isfile(f"{folder}/{name}") for name in _FILES)
    return is_own or is_in_mirror(path)


def real_path(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a run, without links; an address as it is."""
    return Path(path) if is_remote(path) else Path(path).resolve()


def _places(
    name: str | os.PathLike[str], root: str | os.PathLike[str]
) -> tuple[Path, ...]:
    """Return the paths that a name may stand for."""
    path, root = Path(at_home(name)), Path(at_home(root))
    is_whole = is_remote(path) or path.is_absolute()
    return (path,) if is_whole else (path, root / path)


def runs_in(project: Path) -> Iterator[Path]:
    """Yield the run directories of a project, without those that were replaced."""
    for path in _folders(project):
        if not is_replaced(path.name) and is_run(path):
            yield path


def runs_below(root: Path) -> list[Path]:
    """Return the runs of a folder and of its folders, in the order of their names.

    A folder that cannot be read is left out, with a warning.

    Raises:
      OSError: `root` itself cannot be read, or a bucket cannot be reached.
    """
    found: list[Path] = []
    for folder in _folders(root):
        if is_replaced(folder.name):
            continue
        try:
            found += [folder] if is_run(folder) else runs_in(folder)
        except OSError as error:
            if is_remote(folder):
                raise
            warnings.warn(f"{error}; its runs are left out.", stacklevel=3)
    return found


def _folders(path: Path) -> list[Path]:
    if is_remote(path):
        return [path / name for name in sorted(open_storage(path).names())]
    if not path.is_dir():
        return []
    return [path / name for name in folder_names(path)]


def folder_names(path: Path) -> list[str]:
    """Return the names of the folders in a local folder, sorted; links are followed.

    Raises:
      OSError: The folder cannot be read.
    """
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _last_written(run: Path) -> tuple[float, str]:
    """Return when a run was last written to, then its name to break ties.

    For a copy in a mirror it is the start of its last attempt.
    """
    if is_remote(run) or is_in_mirror(run):
        names = open_storage(run).child(PIECES_FOLDER).names()
        attempts = filter(None, map(attempt_of_piece, names))
        return max((a.started / 1000 for a in attempts), default=0.0), run.name
    files = (run / name for name in _FILES)
    return max(file.stat().st_mtime for file in files if file.is_file()), run.name
