"""Export the records of runs as CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from jaxmetrics.record import atomic_write, dumps, text_cell
from jaxmetrics.runs.reading._comparison import named_runs
from jaxmetrics.runs.reading._config import unique_name
from jaxmetrics.runs.reading._copy import at_home
from jaxmetrics.runs.reading._errors import ExistingFileError
from jaxmetrics.runs.reading._find import find_runs, names_run
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._table import FIELDS, Column, Table

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

_COUNTS = ("tokens", "samples")
_CHUNK_ROWS = 4096  # rows that are in memory as text at once


class _Records(NamedTuple):
    """Records of one run, or of several, one after the other.

    Attributes:
      table: The records.
      names: Names of several runs; empty for one, which has no column of them.
      runs: Run of each record, as an index into `names`.
    """

    table: Table
    names: Sequence[str]
    runs: np.ndarray


def export(
    source: Run | Sequence[Run] | str | os.PathLike[str],
    path: str | os.PathLike[str],
    format: Format,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the records of runs to a file: one row for each (step, split).

    The columns are step, split, time, tokens, samples, and the keys in the order first
    logged. Several runs have their names before, in the column run, and one key for a
    quantity, as in `compare`. Where a record has no value, CSV has an empty cell, JSON
    (an array of objects) no member, and Parquet a null; nan stays nan, in JSON as
    `"NaN"`. Arrays are lists in JSON and Parquet; CSV has none, and a warning names
    their keys.

    Args:
      source: Run, or path of a run; or several runs, or what `find_runs` takes for
        them: a project or a pattern.
      path: File to write.
      format: `"csv"`, `"json"` or `"parquet"`.
      overwrite: Replace an existing file.

    Returns:
      Path of the file.

    Raises:
      FileExistsError: The file exists and `overwrite` is False.
      FileNotFoundError: There is no run at a path.
      ImportError: Parquet needs pyarrow, which is not installed.
      ValueError: The format is unknown.
    """
    path = Path(at_home(path))
    if isinstance(source, str | os.PathLike):
        one = names_run(source)
        source = Run.load(source) if one else [*map(Run.load, find_runs(source))]
    chunks = export_chunks(source, format)
    if path.is_dir():
        raise IsADirectoryError(
            f"export() got {path}, which is a folder; expected a file. Give the path "
            f"of a file, such as {path / f'metrics.{format}'}."
        )
    if path.exists() and not overwrite:
        raise ExistingFileError(path, f"{path} exists.")
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, chunks)
    if left_out := export_left_out(source, format):
        warnings.warn(f"{path}: {left_out}", stacklevel=2)
    return path


def export_left_out(source: Run | Sequence[Run], format: Format) -> str:
    """Return a sentence about values that a format cannot hold; empty without any."""
    table = _records(source).table
    keys = list(table.arrays)
    if format == "csv":
        reason = "CSV has no arrays"
    else:
        reason = "a Parquet column has numbers, or arrays of one rank"
        kept = keys if format == "json" else _typed_arrays(table)
        keys = [key for key in keys if key not in kept]
    if not keys:
        return ""
    more = f" and {len(keys) - 8:,} more" if len(keys) > 8 else ""
    return (
        f"{reason}, so that the arrays of {', '.join(keys[:8])}{more} are left out. "
        f"Export json to have all of them."
    )


def export_chunks(source: Run | Sequence[Run], format: Format) -> Iterator[bytes]:
    """Return the bytes that `export` writes, in chunks.

    Raises:
      ImportError: Parquet needs pyarrow, which is not installed.
      ValueError: The format is unknown.
    """
    if format == "csv":
        return _csv(_records(source))
    if format == "json":
        return _json(_records(source))
    if format == "parquet":
        return _parquet(_records(source))
    raise ValueError(
        f"export() got format={format!r}; expected one of {FORMATS}. Choose one."
    )


def _records(source: Run | Sequence[Run]) -> _Records:
    """Return the records of one run, or of several, one after the other."""
    if isinstance(source, Run):
        return _Records(source._table, (), np.zeros(0, np.int64))
    by_name = named_runs(source)
    tables = [run._table for run in by_name.values()]
    starts = np.cumsum([0, *(len(table.steps) for table in tables)])
    splits = list(dict.fromkeys(name for table in tables for name in table.names))
    columns: dict[str, list[Column]] = {}
    arrays: dict[str, list[Column]] = {}
    for table, start in zip(tables, starts.tolist()):
        for parts, part in ((columns, table.columns), (arrays, table.arrays)):
            for key, (records, values, _) in part.items():
                parts.setdefault(key, []).append(Column(records + start, values))
    used = {"run", *columns, *arrays}
    names = {key: unique_name(key, used) if key == "run" else key for key in used}
    none = np.zeros(0, np.int64)
    table = Table(
        steps=np.concatenate([none, *(table.steps for table in tables)]),
        splits=np.concatenate(
            [none]
            + [
                np.array([splits.index(n) for n in t.names], np.int64)[t.splits]
                for t in tables
            ]
        ),
        names=tuple(splits),
        columns={
            names[key]: Column(
                np.concatenate([part.records for part in parts]),
                np.concatenate([part.values for part in parts]),
            )
            for key, parts in columns.items()
        },
        arrays={
            names[key]: Column(
                np.concatenate([part.records for part in parts]),
                [values for part in parts for values in part.values],
            )
            for key, parts in arrays.items()
        },
        left_out={},
        conflicts={},
        seconds=math.nan,
    )
    runs = np.repeat(np.arange(len(tables)), np.diff(starts))
    return _Records(table, list(by_name), runs)


def _csv(source: _Records) -> Iterator[bytes]:
    table, names = source.table, _column_names(source.table)
    run_cells = [text_cell(name) for name in source.names]
    split_cells = [text_cell(name) for name in table.names]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ["run"] if run_cells else []
    writer.writerow([*head, "step", "split", *map(text_cell, names)])
    for start, stop in _chunks(table):
        columns = [[""] * (stop - start) for _ in names]
        for name, column in zip(names, columns):
            for index, value in zip(*_values(table, name, start, stop)):
                column[index] = repr(_as_count(name, value))
        steps = table.steps[start:stop].tolist()
        splits = [split_cells[i] for i in table.splits[start:stop].tolist()]
        runs = [run_cells[i] for i in source.runs[start:stop].tolist()]
        writer.writerows(zip(*([runs] if run_cells else []), steps, splits, *columns))
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def _json(source: _Records) -> Iterator[bytes]:
    table, names = source.table, _column_names(source.table)
    separator = "[\n"
    for start, stop in _chunks(table):
        steps = table.steps[start:stop].tolist()
        splits = table.splits[start:stop].tolist()
        rows: list[dict[str, object]] = [
            {"step": step, "split": table.names[i]} for step, i in zip(steps, splits)
        ]
        if source.names:
            runs = source.runs[start:stop].tolist()
            rows = [{"run": source.names[i], **row} for i, row in zip(runs, rows)]
        for name in names:
            for index, value in zip(*_values(table, name, start, stop)):
                rows[index][name] = _as_count(name, value)
        for name, column in table.arrays.items():
            low, high = np.searchsorted(column.records, (start, stop)).tolist()
            for index in range(low, high):
                values = column.values[index].tolist()
                rows[int(column.records[index]) - start].setdefault(name, values)
        yield (separator + ",\n".join(map(dumps, rows))).encode()
        separator = ",\n"
    yield b"\n]\n" if len(table.steps) else b"[]\n"


def _parquet(source: _Records) -> Iterator[bytes]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "Parquet needs pyarrow, which is not installed. Run `pip install "
            "jaxmetrics[pandas]`, or export csv or json."
        ) from error
    table = source.table

    def texts(names: Sequence[str], indices: np.ndarray) -> pyarrow.DictionaryArray:
        return pyarrow.DictionaryArray.from_arrays(
            pyarrow.array(indices, pyarrow.int32()),
            pyarrow.array(names, pyarrow.string()),
        )

    columns = {"run": texts(source.names, source.runs)} if source.names else {}
    columns["step"] = pyarrow.array(table.steps)
    columns["split"] = texts(table.names, table.splits)
    for name in _column_names(table):
        records, values, _ = table.columns[name]
        missing = np.ones(len(table.steps), bool)
        missing[records] = False
        columns[name] = pyarrow.array(table.dense(name), mask=missing)
        if name in _COUNTS and all(value.is_integer() for value in values.tolist()):
            columns[name] = columns[name].cast(pyarrow.int64())
    for name in _typed_arrays(table):
        column, lists = table.arrays[name], [None] * len(table.steps)
        for record, values in zip(column.records.tolist(), column.values):
            lists[record] = values.tolist()
        is_whole = all(values.dtype.kind == "i" for values in column.values)
        kind = pyarrow.int64() if is_whole else pyarrow.float64()
        for _ in range(column.values[0].ndim):
            kind = pyarrow.list_(kind)
        columns[name] = pyarrow.array(lists, kind)
    file = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), file)
    return iter([file.getvalue().to_pybytes()])


def _column_names(table: Table) -> list[str]:
    fields = [field for field in FIELDS if field in table.columns]
    return [*fields, *(key for key in table.columns if key not in FIELDS)]


def _typed_arrays(table: Table) -> list[str]:
    """Return the keys whose arrays have one rank, and that have no numbers beside."""
    return [
        key
        for key, column in table.arrays.items()
        if key not in table.columns and len({a.ndim for a in column.values}) == 1
    ]


def _chunks(table: Table) -> Iterator[tuple[int, int]]:
    for start in range(0, len(table.steps), _CHUNK_ROWS):
        yield start, min(start + _CHUNK_ROWS, len(table.steps))


def _values(
    table: Table, name: str, start: int, stop: int
) -> tuple[list[int], list[float]]:
    """Return the values of a column in a range of records, and their indices in it."""
    records, values, _ = table.columns[name]
    low, high = np.searchsorted(records, (start, stop))
    return (records[low:high] - start).tolist(), values[low:high].tolist()


def _as_count(name: str, value: float) -> float | int:
    """Return the value of a count as an integer, of other columns as it is."""
    if name in _COUNTS and math.isfinite(value) and value.is_integer():
        return int(value)
    return value
