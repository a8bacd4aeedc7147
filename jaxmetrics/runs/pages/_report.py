"""Report of a training in Markdown, which is also a model card."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from jaxmetrics.record import (
    EPOCHS_CSV,
    EPOCHS_JSON,
    EVENTS_JSONL,
    METRICS_JSONL,
    REPORT_MD,
    RUN_JSON,
    TELEMETRY_FOLDER,
    TELEMETRY_JSONL,
    alarm_count,
    atomic_write,
    changes_by_attempt,
    encodable,
    one_or_many,
    open_read,
    plain_config,
    read_whole,
    redact,
)
from jaxmetrics.runs.pages._events import (
    alarms_of,
    cell,
    important_note,
    unready_note,
)
from jaxmetrics.runs.pages._markdown import (
    escape_markdown,
    front_matter,
    image,
    json_block,
    table,
)
from jaxmetrics.runs.plots import PLOT_NAMES, is_own_plot
from jaxmetrics.runs.reading import (
    ExistingFileError,
    History,
    Run,
    at_home,
    format_number,
    load_history,
    merged_x,
    most_important,
    own_key,
    summary_facts,
    writes_files,
)

_MAX_ROWS, _MAX_KEYS = 200, 200
_MAX_UNFOLDED = 30  # lines of a section that are not folded
_FIRST_PLOT = "training_dashboard"
_HEADINGS = {"gpu_memory": "Device memory"}  # the file name is older than other devices
_MAX_REPORT_BYTES = 2**26
_FILES = (
    RUN_JSON,
    METRICS_JSONL,
    EVENTS_JSONL,
    f"{TELEMETRY_FOLDER}/{TELEMETRY_JSONL}",
    EPOCHS_CSV,
    EPOCHS_JSON,
)
_ALARM_NAMES = ("step", "kind", "message", "time")
_SEAL = re.compile(rb"\n<!-- jaxmetrics ([0-9a-f]{64}) -->\n\Z")


@overload
def generate_report(
    source: str | os.PathLike[str] | Run | History,
    config: Mapping[str, object] | object | None = None,
    save_dir: str | os.PathLike[str] | None = None,
    plot_paths: Iterable[str | os.PathLike[str]] | None = None,
    *,
    card: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Path: ...
@overload
def generate_report(
    source: object,
    config: Mapping[str, object] | object | None = None,
    save_dir: str | os.PathLike[str] | None = None,
    plot_paths: Iterable[str | os.PathLike[str]] | None = None,
    *,
    card: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Path | list[Path]: ...
def generate_report(
    source: object,
    config: Mapping[str, object] | object | None = None,
    save_dir: str | os.PathLike[str] | None = None,
    plot_paths: Iterable[str | os.PathLike[str]] | None = None,
    *,
    card: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Path | list[Path]:
    """Write `training_report.md`: summary, configuration, tables, plots, files.

    The report begins with the fields of a Hugging Face model card: copied as
    `README.md` next to a model, it is one. Recorded texts are escaped: they cannot add
    a tag, a link or a cell.

    On processes of a run other than the one that writes the files, which an
    `EpochTracker` knows, nothing is written.

    Args:
      source: `EpochTracker`, whose files are read; run directory or its path; or `Run`.
      config: Hyperparameters, of any kind that `TrainingLogger` takes. Default those
        of the source. Secrets are redacted.
      save_dir: Folder of the report. Default the folder of the source.
      plot_paths: Plots to show. Default the plots of jaxmetrics in `save_dir`.
      card: Further fields of the model card, such as `{"license": "mit"}`.
      overwrite: Replace an existing file that is edited, or not a report.

    Returns:
      Path of the report; an empty list where nothing is written.

    Raises:
      FileNotFoundError: There is no run, or a plot is missing.
      FileExistsError: The report was edited since it was written.
    """
    if not writes_files(source):
        return []
    history = load_history(source)
    folder = Path(at_home(save_dir)) if save_dir is not None else history.output
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_MD
    if not overwrite:
        _refuse_edited(path)
    plots = _plots(folder, plot_paths)
    hyperparameters, problem = plain_config(
        history.config if config is None else config
    )
    if problem:
        warnings.warn(problem, stacklevel=2)
    facts = table(("Quantity", "Value"), summary_facts(history), right=2)
    parts = [
        front_matter(_card(history) | redact(dict(card or {}))),
        f"\n# Training report: {escape_markdown(history.name)}\n",
        f"\n## Summary\n\n{facts}",
        *_plot_section(folder, plots),
        f"\n## Hyperparameters\n\n{json_block(hyperparameters)}",
        *_changes(history),
        *_alarm_section(history),
        *_folded(_progress_table(history)),
        *_folded(_key_table(history)),
        *_file_table(folder, history, plots),
    ]
    text = encodable("".join(parts)).encode()
    atomic_write(path, text + _seal(text))
    return path


def _refuse_edited(path: Path) -> None:
    try:
        text = read_whole(path, _MAX_REPORT_BYTES, follow_links=True)
    except FileNotFoundError:
        return
    except ValueError:  # larger than any report
        text = b""
    match = _SEAL.search(text)
    if match is None or _seal(text[: match.start()]) != match[0]:
        problem = f"{path} exists and was edited, or is not a report of jaxmetrics."
        raise ExistingFileError(path, problem)


def _seal(text: bytes) -> bytes:
    """Return a comment with the hash of the report, by which edits are detected."""
    return f"\n<!-- jaxmetrics {hashlib.sha256(text).hexdigest()} -->\n".encode()


def _card(history: History) -> dict[str, object]:
    return {
        "library_name": "jax",
        "model_name": history.name,
        "tags": ["jax", "jaxmetrics", "training-report"],
    }


def _plots(
    folder: Path, paths: Iterable[str | os.PathLike[str]] | None
) -> Sequence[Path]:
    if paths is None:
        own = [folder / f"{name}.png" for name in PLOT_NAMES]
        return [path for path in own if is_own_plot(path)]
    plots = [Path(at_home(path)) for path in one_or_many(paths)]
    for path in plots:
        if not path.is_file():
            raise FileNotFoundError(
                f"generate_report() got the plot {path}, which does not exist. Pass "
                f"the paths that generate_all_plots() returned."
            )
    return plots


def _alarm_section(history: History) -> Iterator[str]:
    """Yield the alarms, and those that could not be raised; or nothing."""
    events = history.run.events if history.run is not None else []
    alarms, unready = alarms_of(events), unready_note(events)
    if alarms or unready:
        yield "\n## Alarms\n"
    if unready:
        yield f"\n{escape_markdown(unready)}\n"
    if not alarms:
        return
    rows = [
        [*(cell(alarm.get(name)) for name in _ALARM_NAMES), alarm_count(alarm)]
        for alarm in alarms
    ]
    more = f"\nAnd {len(rows) - _MAX_ROWS:,} more.\n" if len(rows) > _MAX_ROWS else ""
    shown = [["–" if x is None else str(x) for x in row] for row in rows[:_MAX_ROWS]]
    names = (*_ALARM_NAMES, "times")
    yield f"\n{table(names, shown)}{more}"


def _changes(history: History) -> Iterator[str]:
    """Yield a list of the attempts that changed the configuration."""
    changes = list(changes_by_attempt(history.header).items())
    if changes:
        yield "\n"
    for number, text in changes[-_MAX_ROWS:]:
        yield f"- Attempt {number} changed {escape_markdown(text)}.\n"


def _progress_table(history: History) -> Iterator[str]:
    """Yield the table of epochs or steps; of more than 200 rows an even selection.

    Its columns are those of the epoch files, so that both can be compared, but those of
    the memory of steps, which do not name a kind of device.
    """
    columns = {**history.columns(), **history.extra}
    loss, evaluated = history.evaluation_loss, np.zeros(0, np.int64)
    if loss is not None and history.unit == "step":
        columns[own_key(loss.key)[0]] = (loss.x, loss.y)
        evaluated = _selection(loss.x, _MAX_ROWS // 2)
    series = list(columns.values())
    if history.unit == "step" and "loss_mean" in columns:  # one row for each loss
        all_x = merged_x([columns["loss_mean"][0], evaluated])
    else:
        all_x = merged_x([x for x, _ in series])
    if not len(all_x):
        return
    yield f"\n## {history.unit.capitalize()}s\n\n"
    rows = all_x
    if len(all_x) > _MAX_ROWS:
        others = np.delete(all_x, np.searchsorted(all_x, evaluated))
        rows = _selection(others, _MAX_ROWS - len(evaluated))
        rows = np.union1d(rows, evaluated)
        yield f"{len(rows):,} of {len(all_x):,}, evenly selected"
        yield ", and those of evaluations.\n\n" if len(evaluated) else ".\n\n"
    cells = zip([f"{int(x)}" for x in rows], *(_cells(x, y, rows) for x, y in series))
    names = list(columns)
    if history.unit == "step":  # of a device of any kind
        names = [re.sub("^gpu_(?=.*_mb$)", "memory_", name) for name in names]
    yield table((history.unit, *names), cells, right=0)


def _selection(x: np.ndarray, count: int) -> np.ndarray:
    """Return at most `count` evenly selected values of an array."""
    if len(x) <= count:
        return x
    return x[np.linspace(0, len(x) - 1, count).round().astype(int)]


def _cells(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> list[str]:
    """Return the values at the x of the rows, empty where there is none."""
    indices = np.clip(np.searchsorted(x, rows), 0, len(x) - 1)
    return [
        format_number(float(y[i])) if x[i] == row else ""
        for i, row in zip(indices, rows)
    ]


def _key_table(history: History) -> Iterator[str]:
    """Yield the statistics of each key of a run."""
    if history.run is None or not (history.run.keys() or history.run.arrays):
        return
    summary, keys = history.run.summary(), history.run.keys()
    yield "\n## Metrics\n\n"
    if len(keys) > _MAX_KEYS:
        yield f"{important_note(_MAX_KEYS, len(keys))}\n\n"
    names = ("last", "min", "max", "mean")
    rows = []
    for key in most_important(keys, _MAX_KEYS):
        statistics = summary[key]
        assert isinstance(statistics, dict)
        values = [format_number(statistics[name]) for name in names]
        counts = [f"{statistics[name]:,}" for name in ("count", "nonfinite")]
        rows.append((key, *values, *counts))
    yield table(("key", *names, "count", "not finite"), rows)
    if arrays := list(history.run.arrays):
        more = (
            f" and {len(arrays) - _MAX_KEYS:,} more" if len(arrays) > _MAX_KEYS else ""
        )
        listed = escape_markdown(", ".join(arrays[:_MAX_KEYS]))
        yield f"\nArrays: {listed}{more}.\n"


def _folded(parts: Iterator[str]) -> Iterator[str]:
    """Yield a section whose content is folded if it is long."""
    heading, *content = [*parts] or [""]
    text = "".join(content)
    yield heading
    if text.count("\n") > _MAX_UNFOLDED:
        yield f"<details><summary>Show the table</summary>\n\n{text}\n</details>\n"
    else:
        yield text


def _plot_section(folder: Path, plots: Sequence[Path]) -> Iterator[str]:
    """Yield the plots, the dashboard first."""
    if plots:
        yield "\n## Plots\n"
    for path in sorted(plots, key=lambda path: path.stem != _FIRST_PLOT):
        name = _HEADINGS.get(path.stem) or path.stem.replace("_", " ").capitalize()
        yield f"\n### {escape_markdown(name)}\n\n{image(name, _relative(path, folder))}"


def _file_table(folder: Path, history: History, plots: Sequence[Path]) -> Iterator[str]:
    """Yield the files of the run with their sizes and hashes."""
    files = [history.folder / name for name in _FILES]
    if history.run is not None and history.run.path.is_file():
        files.append(history.run.path)
    copied = () if history.copy is None else files
    rows = []
    for path in dict.fromkeys([*files, *plots]):
        if path.is_file():
            with open(open_read(path, follow_links=True), "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                shown = path.name if path in copied else _relative(path, folder)
                rows.append((shown, f"{file.tell():,}", digest))
    if rows:
        yield "\n## Artifacts\n\n" + table(("file", "bytes", "sha256"), rows)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
