"""Texts, images, tables, histograms and other media that a run recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxmetrics.record import RECORD_FIELDS, Bins, binned, number

if TYPE_CHECKING:
    import pandas


class MediaTable(NamedTuple):
    """A recorded table.

    Attributes:
      columns: Names of the columns.
      rows: Cells of each row, as plain values.
    """

    columns: list[str]
    rows: list[list[Any]]

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a data frame.

        Raises:
          ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "MediaTable.to_pandas() needs pandas, which is not installed. Run "
                "`pip install jaxmetrics[pandas]`, or use columns and rows."
            ) from error
        return pandas.DataFrame(self.rows, columns=self.columns)


@dataclass(frozen=True)
class MediaEntry:
    """Media recorded under one key at one step.

    Attributes:
      kind: `"text"`, `"image"`, `"audio"`, `"table"`, `"histogram"`, or the kind of
        another writer.
      step: Number of completed optimizer updates.
      split: Split that it belongs to.
      key: Full key, such as `"val/samples"`.
      time: Training seconds; None if unknown.
      value: A text is a str, a table a `MediaTable`, a histogram `Bins`; images,
        figures and audio are a tuple of the absolute paths of their files.
      missing: Names of files that are not there, relative to the run directory.
    """

    kind: str
    step: int
    split: str
    key: str
    time: float | None
    value: str | MediaTable | Bins | tuple[Path, ...]
    missing: tuple[str, ...] = ()


def media_entries(row: Mapping[str, object], folder: Path) -> Iterator[MediaEntry]:
    """Yield the entries of a line of media.

    Args:
      row: The line, which has a kind.
      folder: Run directory.

    Raises:
      TypeError: The line has no step, split or kind, or a value has no known form.
      ValueError: A histogram does not have one edge more than counts.
    """
    kind, step, split = row["kind"], row.get("step"), row.get("split", "train")
    if type(step) is not int or not isinstance(split, str) or not isinstance(kind, str):
        raise TypeError(f"a line of kind {kind!r} without a step and a split")
    seconds = number(row.get("time"))
    time = float(seconds) if isinstance(seconds, int | float) else None
    for key, content in row.items():
        if key not in RECORD_FIELDS:
            value, missing = _value(key, content, folder.resolve())
            yield MediaEntry(kind, step, split, key, time, value, missing)


def _value(key: str, content: Any, folder: Path) -> tuple[Any, tuple[str, ...]]:
    match content:
        case str():
            return content, ()
        case {"files": [*names]} if all(isinstance(name, str) for name in names):
            paths = [_path(folder, name) for name in names]  # equal ones share a file
            existing = tuple(path for path in paths if path is not None)
            return existing, tuple(n for n, path in zip(names, paths) if path is None)
        case {"columns": [*columns], "rows": [*rows]} if all(
            isinstance(row, list) for row in rows
        ):
            return MediaTable([str(column) for column in columns], rows), ()
        case {"counts": [*counts], "edges": [*edges]}:
            return _bins(counts, edges, content.get("nonfinite")), ()
    raise TypeError(f"a value of {key!r} that is no text, table, histogram or file")


def _bins(counts: list[Any], edges: list[Any], nonfinite: object) -> Bins:
    bins = binned([])
    if counts or edges:
        bins = binned(([number(x) for x in counts], [number(x) for x in edges]))
    return bins._replace(nonfinite=nonfinite if isinstance(nonfinite, int) else 0)


def _path(folder: Path, name: str) -> Path | None:
    """Return the path of a file in the run directory; None if it is not there."""
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None
