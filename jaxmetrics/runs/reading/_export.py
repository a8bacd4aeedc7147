"""The records of a run in other formats."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from jaxmetrics.record import atomic_write, dumps, text_cell
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._table import FIELDS, Table

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

_COUNTS = ("tokens", "samples")
_ROWS = 4096  # that are in memory as text at once


def export(
    source: Run | str | os.PathLike[str],
    path: str | os.PathLike[str],
    format: Format,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the records of a run: a row for each (step, split).

    The columns are step, split, time, tokens, samples, and the keys in the order first
    logged. CSV has an empty cell where a record has no value, JSON, an array of
    objects, has no member, and Parquet a null; nan stays nan, in JSON as `"NaN"`.

    Args:
      source: A run, or its path.
      path: The file.
      format: Which.
      overwrite: Replace a file that is there.

    Returns:
      The path of the file.

    Raises:
      FileExistsError: There is such a file.
      ImportError: Parquet needs pyarrow, which is not installed.
      ValueError: There is no such format.
    """
    path = Path(path)
    run = source if isinstance(source, Run) else Run.load(source)
    pieces = exported(run, format)
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} is there. Move it away, choose another path, or give "
            f"overwrite=True to replace it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, pieces)
    return path


def exported(run: Run, format: Format) -> Iterator[bytes]:
    """The bytes of `export`, piece by piece.

    Raises:
      ImportError: Parquet needs pyarrow, which is not installed.
      ValueError: There is no such format.
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
    table, names = run._table, _names(run)
    splits = [text_cell(name) for name in table.names]
    texts = io.StringIO()
    writer = csv.writer(texts, lineterminator="\n")
    writer.writerow(["step", "split", *map(text_cell, names)])
    for start, stop in _stretches(table):
        columns = [[""] * (stop - start) for _ in names]
        for name, column in zip(names, columns):
            for at, value in zip(*_values(table, name, start, stop)):
                column[at] = repr(_whole(name, value))
        steps = table.steps[start:stop].tolist()
        which = [splits[i] for i in table.splits[start:stop].tolist()]
        writer.writerows(zip(steps, which, *columns))
        yield texts.getvalue().encode()
        texts.seek(0)
        texts.truncate()
    yield texts.getvalue().encode()


def _json(run: Run) -> Iterator[bytes]:
    table, names = run._table, _names(run)
    before = "[\n"
    for start, stop in _stretches(table):
        steps = table.steps[start:stop].tolist()
        which = table.splits[start:stop].tolist()
        rows: list[dict[str, object]] = [
            {"step": step, "split": table.names[i]} for step, i in zip(steps, which)
        ]
        for name in names:
            for at, value in zip(*_values(table, name, start, stop)):
                rows[at][name] = _whole(name, value)
        yield (before + ",\n".join(map(dumps, rows))).encode()
        before = ",\n"
    yield b"\n]\n" if len(run) else b"[]\n"


def _parquet(run: Run) -> Iterator[bytes]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "Parquet needs pyarrow, which is not installed. Run `pip install pyarrow`, "
            "or export csv or json."
        ) from error
    table = run._table
    splits = pyarrow.array(table.splits, pyarrow.int32())
    names = pyarrow.array(table.names, pyarrow.string())
    columns = {
        "step": pyarrow.array(table.steps),
        "split": pyarrow.DictionaryArray.from_arrays(splits, names),
    }
    for name in _names(run):
        records, values = table.columns[name]
        missing = np.ones(len(run), bool)
        missing[records] = False
        columns[name] = pyarrow.array(table.dense(name), mask=missing)
        if name in _COUNTS and all(value.is_integer() for value in values.tolist()):
            columns[name] = columns[name].cast(pyarrow.int64())
    file = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), file)
    return iter([file.getvalue().to_pybytes()])


def _names(run: Run) -> list[str]:
    return [*(field for field in FIELDS if field in run), *run.keys()]


def _stretches(table: Table) -> Iterator[tuple[int, int]]:
    for start in range(0, len(table.steps), _ROWS):
        yield start, min(start + _ROWS, len(table.steps))


def _values(
    table: Table, name: str, start: int, stop: int
) -> tuple[list[int], list[float]]:
    """Where in a stretch of records a key has values, and these."""
    records, values = table.columns[name]
    low, high = np.searchsorted(records, (start, stop))
    return (records[low:high] - start).tolist(), values[low:high].tolist()


def _whole(name: str, value: float) -> float | int:
    """A count as the integer that it is."""
    if name in _COUNTS and math.isfinite(value) and value.is_integer():
        return int(value)
    return value
