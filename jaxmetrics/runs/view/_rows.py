"""One row for each run of a root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxmetrics.runs.reading import list_entries
from jaxmetrics.runs.view._root import OutsideRootError, Root


def all_rows(
    root: Root, where: str | None = None, sort: str | None = None
) -> dict[str, Any]:
    """Return a row for each run, and the names of their values.

    Args:
      root: Folder of the runs.
      where: Condition that the runs meet, as for `runs.list`. Default all runs.
      sort: Name of the value by which they are sorted, likewise.

    Raises:
      ValueError: `where` is not a condition.
      KeyError: A name is unknown.
    """
    places: list[tuple[tuple[str, str], Path]] = []
    problems = []
    for id, path in root.runs():
        try:
            root.check(path)
            places.append((_names(id), path))
        except OutsideRootError as error:
            problems.append({"path": id, "text": str(error)})
    listed = list_entries(str(root.path), places)
    problems += [{"path": e.id, "text": e.problem} for e in listed if e.problem]
    shown = listed.where(where) if where else listed
    shown = shown.sorted(sort) if sort else shown
    return {
        "root": listed.root,
        "runs": [entry.to_dict() for entry in shown],
        "hparams": list(listed.names.hparams),
        "keys": list(listed.names.keys),
        "better": listed.better,
        "problems": problems,
    }


def row(id: str, path: Path) -> dict[str, Any]:
    """Return the row of a run."""
    return list_entries("", [(_names(id), path)])[0].to_dict()


def _names(id: str) -> tuple[str, str]:
    project, _, name = id.partition("/")
    return project, name
