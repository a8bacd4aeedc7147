"""Export the records of a run as CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from jaxmetrics.record import atomic_write, dumps, text_cell
from jaxmetrics.runs.reading._errors import ExistingFileError
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._table import FIELDS, Table

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

_COUNTS = ("tokens", "samples")
_CHUNK_ROWS = 4096  # rows that are in memory as text at once


def export(
    source: Run | str | os.PathLike[str],
    path: str | os.PathLike[str],
    format: Format,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the records of a run to a file: one row for each (step, split).

    The columns are step, split, time, tokens, samples, and the keys in the order first
    logged. Where a record has no value, CSV has an empty cell, JSON (an array of
    objects) no member, and Parquet a null; nan stays nan, in JSON as `"NaN"`. Arrays
    are lists in JSON and Parquet; CSV has none, and a warning names their keys.

    Args:
      source: Run, or path of a run.
      path: File to write.
      format: `"csv"`, `"json"` or `"parquet"`.
      overwrite: Replace an existing file.

    Returns:
      Path of the file.

    Raises:
      FileExistsError: The file exists and `overwrite` is False.
      ImportError: Parquet needs pyarrow, which is not installed.
      ValueError: The format is unknown.
    """
    path = Path(path)
    run = source if isinstance(source, Run) else Run.load(source)
    chunks = export_chunks(run, format)
    if path.exists() and not overwrite:
        raise ExistingFileError(path, f"{path} exists.")
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, chunks)
    if left_out := export_left_out(run, format):
        warnings.warn(f"{path}: {left_out}", stacklevel=2)
    return path


def export_left_out(run: Run, format: Format) -> str:
    """Return a sentence about values that a format cannot hold; empty without any."""
    keys = list(run._table.arrays)
    if format == "csv":
        reason = "CSV has no arrays"
    else:
        reason = "a Parquet column has numbers, or arrays of one rank"
        kept = keys if format == "json" else _typed_arrays(run._table)
        keys = [key for key in keys if key not in kept]
    if not keys:
        return ""
    more = f" and {len(keys) - 8:,} more" if len(keys) > 8 else ""
    return (
        f"{reason}, so that the arrays of {', '.join(keys[:8])}{more} are left out. "
        f"Export json to have all of them."
    )


def export_chunks(run: Run, format: Format) -> Iterator[bytes]:
    """Return the bytes that `export` writes, in chunks.

    Raises:
      ImportError: Parquet needs pyarrow, which is not installed.
      ValueError: The format is unknown.
    """
    if format == "csv":
        return _csv(run)
    if format == "json":
        return _json(run)
    if format == "parquet":
        return _parquet(run)
    raise ValueError(
        f"export() got format={format!r}; expected one of {FORMATS}. Choose one."
    )


def _csv(run: Run) -> Iterator[bytes]:
    table, names = run._table, _column_names(run)
    split_cells = [text_cell(name) for name in table.names]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["step", "split", *map(text_cell, names)])
    for start, stop in _chunks(table):
        columns = [[""] * (stop - start) for _ in names]
        for name, column in zip(names, columns):
            for index, value in zip(*_values(table, name, start, stop)):
                column[index] = repr(_as_count(name, value))
        steps = table.steps[start:stop].tolist()
        splits = [split_cells[i] for i in table.splits[start:stop].tolist()]
        writer.writerows(zip(steps, splits, *columns))
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def _json(run: Run) -> Iterator[bytes]:
    table, names = run._table, _column_names(run)
    separator = "[\n"
    for start, stop in _chunks(table):
        steps = table.steps[start:stop].tolist()
        splits = table.splits[start:stop].tolist()
        rows: list[dict[str, object]] = [
            {"step": step, "split": table.names[i]} for step, i in zip(steps, splits)
        ]
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
    yield b"\n]\n" if len(run) else b"[]\n"


def _parquet(run: Run) -> Iterator[bytes]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "Parquet needs pyarrow, which is not installed. Run `pip install "
            "jaxmetrics[pandas]`, or export csv or json."
        ) from error
    table = run._table
    splits = pyarrow.array(table.splits, pyarrow.int32())
    names = pyarrow.array(table.names, pyarrow.string())
    columns = {
        "step": pyarrow.array(table.steps),
        "split": pyarrow.DictionaryArray.from_arrays(splits, names),
    }
    for name in _column_names(run):
        records, values, _ = table.columns[name]
        missing = np.ones(len(run), bool)
        missing[records] = False
        columns[name] = pyarrow.array(table.dense(name), mask=missing)
        if name in _COUNTS and all(value.is_integer() for value in values.tolist()):
            columns[name] = columns[name].cast(pyarrow.int64())
    for name in _typed_arrays(table):
        column, lists = table.arrays[name], [None] * len(run)
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


def _column_names(run: Run) -> list[str]:
    return [*(field for field in FIELDS if field in run), *run.keys()]


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
