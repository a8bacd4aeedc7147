"""The report of a training in Markdown, which serves as a model card too."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxmetrics.figures import is_ours
from jaxmetrics.record import (
    EPOCH_FIELDS,
    EPOCHS_CSV,
    EPOCHS_JSON,
    EVENTS_JSONL,
    METRICS_JSONL,
    REPORT_MD,
    RUN_JSON,
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    atomic_write,
    redact,
)
from jaxmetrics.runs.pages._markdown import code, escape, front_matter, image, table
from jaxmetrics.runs.plots import PLOTS
from jaxmetrics.runs.plots import TELEMETRY_PLOTS as ADDED
from jaxmetrics.runs.reading import History, facts, history

__all__ = ["generate_report"]

_MOST_ROWS, _MOST_KEYS = 200, 200
_FILES = (
    RUN_JSON,
    METRICS_JSONL,
    EVENTS_JSONL,
    f"{TELEMETRY_FOLDER}/{TELEMETRY_JSONL}",
    EPOCHS_CSV,
    EPOCHS_JSON,
)
_SEAL = re.compile(rb"\n<!-- jaxmetrics ([0-9a-f]{64}) -->\n\Z")


def generate_report(
    source: object,
    config: Mapping[str, object] | object | None = None,
    save_dir: str | os.PathLike[str] | None = None,
    plot_paths: Iterable[str | os.PathLike[str]] | None = None,
    *,
    card: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write `training_report.md`: summary, configuration, tables, plots, files.

    It begins with the fields of a Hugging Face model card: copied as `README.md` beside
    a model, it is one. Whatever a run has recorded
    is shown as text: no tag, link or cell comes of it.

    Args:
      source: An `EpochTracker`, whose files are read; a run directory or its path; or a
        `Run`.
      config: The hyperparameters; those of the source if not given. Secrets are left
        out.
      save_dir: Where the report goes; the folder of the source if not given.
      plot_paths: The plots to show; those of ours in `save_dir` if not given.
      card: More fields of the model card, such as `{"license": "mit"}`.
      overwrite: Replace a report that somebody has edited, or a file of that name.

    Returns:
      The path of the report.

    Raises:
      FileNotFoundError: There is no run, or a plot is missing.
      FileExistsError: The report was edited since it was written.
    """
    read = history(source)
    folder = Path(save_dir) if save_dir is not None else read.folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_MD
    if not overwrite:
        _refuse_edited(path)
    plots = _plots(folder, plot_paths)
    given = redact(read.config if config is None else config)
    parts = [
        front_matter(_card(read) | redact(dict(card or {}))),
        f"\n# Training report: {escape(read.name)}\n",
        "\n## Summary\n\n" + table(("What", "Value"), facts(read), right=2),
        "\n## Hyperparameters\n\n" + code(given),
        *_progress(read),
        *_metrics(read),
        *_pictures(folder, plots),
        *_manifest(folder, read, plots),
    ]
    text = "".join(parts).encode()
    atomic_write(path, text + _seal(text))
    return path


def _refuse_edited(path: Path) -> None:
    if not path.exists():
        return
    text = path.read_bytes()
    found = _SEAL.search(text)
    if found is None or _seal(text[: found.start()]) != found[0]:
        raise FileExistsError(
            f"{path} is there, and is not as generate_report() left it. Move it away, "
            f"choose another save_dir, or give overwrite=True to replace it."
        )


def _seal(text: bytes) -> bytes:
    """A comment by which a report is known as nobody has edited it."""
    return f"\n<!-- jaxmetrics {hashlib.sha256(text).hexdigest()} -->\n".encode()


def _card(read: History) -> dict[str, object]:
    return {
        "library_name": "jax",
        "model_name": read.name,
        "tags": ["jax", "jaxmetrics", "training-report"],
    }


def _plots(
    folder: Path, given: Iterable[str | os.PathLike[str]] | None
) -> Sequence[Path]:
    if given is None:
        names = [*PLOTS, *ADDED, "goodput_breakdown"]
        paths = [folder / f"{name}.png" for name in names]
        return [path for path in paths if is_ours(path)]
    paths = [Path(path) for path in given]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(
                f"generate_report() got the plot {path}, which is not there. Give the "
                f"paths that generate_all_plots() returned."
            )
    return paths


def _progress(read: History) -> Iterator[str]:
    """The table of epochs, or of steps: all of them, or some, evenly taken."""
    fields = [name for name in (*EPOCH_FIELDS, "tokens_per_sec") if name in read.series]
    names = [name.replace("epoch_time", f"{read.unit}_time") for name in fields]
    series = [read.series[name] for name in fields] + list(read.more.values())
    places = np.unique(np.concatenate([[], *(x for x, _ in series)]))
    if read.unit == "step" and "loss_mean" in fields:  # others join the loss's rows
        places = read.get("loss_mean")[0]
    if not len(places):
        return
    yield f"\n## {read.unit.capitalize()}s\n\n"
    kept = places
    if len(places) > _MOST_ROWS:
        at = np.linspace(0, len(places) - 1, _MOST_ROWS).round().astype(int)
        kept = places[at]
        yield f"{len(kept):,} of {len(places):,}, evenly taken.\n\n"
    columns = [_cells(x, y, kept) for x, y in series]
    rows = zip([f"{int(place)}" for place in kept], *columns)
    yield table((read.unit, *names, *read.more), rows, right=0)


def _cells(x: np.ndarray, y: np.ndarray, places: np.ndarray) -> list[str]:
    """The values at some places, empty where there is none."""
    at = np.clip(np.searchsorted(x, places), 0, len(x) - 1)
    return [number(float(y[i])) if x[i] == p else "" for i, p in zip(at, places)]


def _metrics(read: History) -> Iterator[str]:
    """What each key of a run came to."""
    if read.run is None or not read.run.keys():
        return
    summary, keys = read.run.summary(), read.run.keys()
    yield "\n## Metrics\n\n"
    if len(keys) > _MOST_KEYS:
        yield f"The first {_MOST_KEYS:,} of {len(keys):,}.\n\n"
    names = ("last", "min", "max", "mean")
    rows = []
    for key in keys[:_MOST_KEYS]:
        of = summary[key]
        assert isinstance(of, dict)
        values = [number(of[name]) for name in names]
        rows.append((key, *values, f"{of['count']:,}", f"{of['nonfinite']:,}"))
    yield table(("key", *names, "count", "not finite"), rows)


def _pictures(folder: Path, plots: Sequence[Path]) -> Iterator[str]:
    if plots:
        yield "\n## Plots\n"
    for path in plots:
        name = path.stem.replace("_", " ").capitalize()
        yield f"\n### {escape(name)}\n\n{image(name, _relative(path, folder))}"


def _manifest(folder: Path, read: History, plots: Sequence[Path]) -> Iterator[str]:
    """The files of the run with their sizes and sums."""
    files = [read.folder / name for name in _FILES]
    if read.run is not None and read.run.path.is_file():
        files.append(read.run.path)
    rows = []
    for path in dict.fromkeys([*files, *plots]):
        if path.is_file():
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                rows.append((_relative(path, folder), f"{file.tell():,}", digest))
    if rows:
        yield "\n## Artifacts\n\n" + table(("file", "bytes", "sha256"), rows)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def number(value: float) -> str:
    """A value of a table; nan and infinity are words.

    >>> number(0.123456789), number(123456.7), number(3e-4), number(float("nan"))
    ('0.123457', '123,457', '0.0003', 'nan')
    """
    if not math.isfinite(value) or abs(value) < 1e5 or abs(value) >= 1e15:
        return f"{value:.6g}"
    return f"{value:,.0f}"
