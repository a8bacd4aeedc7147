"""Load a run directory into memory."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jaxmetrics._other_names import explains_reading
from jaxmetrics.record import (
    EPOCHS_JSON,
    METRICS_JSONL,
    RUN_JSON,
    Better,
    hparams_of,
    recorded_directions,
    require_texts,
)
from jaxmetrics.runs.reading._array_columns import ArrayColumns
from jaxmetrics.runs.reading._copy import LocalCopy, at_home, local_copy
from jaxmetrics.runs.reading._find import place_of, runs_in
from jaxmetrics.runs.reading._html import run_html
from jaxmetrics.runs.reading._load import RunFiles, telemetry_file
from jaxmetrics.runs.reading._media import MediaEntry
from jaxmetrics.runs.reading._merging import merged_x
from jaxmetrics.runs.reading._summary import count_attempts, describe
from jaxmetrics.runs.reading._table import FIELDS, Conflict, Table

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Run:
    """Record of a run: finished, live, or killed.

    `Run.load(path)` reads it. `run["train/loss"]` returns `(steps, values)`, and so do
    `run["time"]`, `run["tokens"]` and `run["samples"]`. As with a data frame,
    `len(run)` is the number of records, one for each (step, split), and iteration goes
    over the keys of numbers. The keys of arrays, such as a confusion matrix, are those
    of `run.arrays`.

    All lines of one step and split are one record, in whatever order they were logged.
    A key has one value per step: that of the later line.

    Attributes:
      path: Run directory, or file of metrics. Of a run in a mirror or a bucket, a
        temporary copy, which is removed with the run.
      address: Path or address that the run was loaded from.
      header: Content of `run.json`; without it, the first line of the metrics.
      events: Rows of `events.jsonl`, in order.
      unit: What steps count: `"step"`, or `"epoch"` for the files of an `EpochTracker`.
      bad: Damaged lines skipped by `errors="skip"`, as (file, line number, reason).
    """

    def __init__(
        self,
        path: Path,
        table: Table,
        header: dict[str, Any],
        files: RunFiles,
        unit: Literal["step", "epoch"] = "step",
    ) -> None:
        """Store the parts; `Run.load` reads them."""
        self.path = path
        self.header = header
        self.unit: Literal["step", "epoch"] = unit
        self.events: list[dict[str, object]] = files.events() if path.is_dir() else []
        self.bad: list[tuple[str, int, str]] = files.bad
        self.address: str = str(path) if files.copy is None else files.copy.address
        self._table = table
        self._files = files
        self._names: dict[str, str] = {}  # other names of keys, see `renamed`

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], errors: Literal["raise", "skip"] = "raise"
    ) -> Run:
        """Read a run directory, or one file of metrics.

        A last line without a newline was cut off by a kill, or is being written; it is
        ignored. If lines of one step have different values of a key, the later one
        counts, and one warning names the keys.

        Args:
          path: Folder with `metrics.jsonl`, `run.json` and `events.jsonl`; a missing
            file counts as empty; or its path below `runs`. Also its address
            (`gs://bucket/...`), or the folder or address of its copy in a mirror. Or a
            file of metrics, or of a `MetricsLog`, whose keys are the names of its
            fields; or the folder of an `EpochTracker`, whose epochs count as steps, or
            of `TrainingTelemetry`.
          errors: `"raise"` at a damaged line, or `"skip"` it and list it in `bad`.

        Raises:
          FileNotFoundError: There is no run at `path`, or no copy of it is whole.
          ImportError: The package for a bucket is not installed.
          CorruptLineError: A line before the last, or `run.json`, is damaged.
          ValueError: `errors` has another value.
        """
        if errors not in ("raise", "skip"):
            raise ValueError(
                f"Run.load() got errors={errors!r}; expected 'raise' or 'skip'. "
                "Choose one of them."
            )
        path = at_home(place_of(path))
        skip, copy = errors == "skip", local_copy(path)
        path = Path(path if copy is None else copy.folder)
        folder = path.parent if path.is_file() else path
        if path.is_file():
            files = RunFiles(folder, skip, path.name)
        elif any((folder / name).is_file() for name in (METRICS_JSONL, RUN_JSON)):
            files = RunFiles(folder, skip, copy=copy)
        elif (folder / EPOCHS_JSON).is_file():
            files = RunFiles(folder, skip, copy=copy)
            return cls(path, *files.epochs(), files, unit="epoch")
        elif (name := telemetry_file(folder)) is not None:
            files = RunFiles(folder, skip, name, copy)
        elif first := next(runs_in(folder), None):
            raise FileNotFoundError(
                f"Run.load() got {folder}, a folder of runs; expected one of them. "
                f"Load {first}, or pass the folder to runs.list() or runs.compare()."
            )
        else:
            raise FileNotFoundError(
                f"Run.load() found neither {METRICS_JSONL} nor {RUN_JSON} in "
                f"{folder}, nor the files of an EpochTracker or of TrainingTelemetry. "
                f"Give a run directory, such as runs/<project>/<run_name>."
            )
        table, header = files.metrics()
        if not path.is_file():
            header = files.header() or header
        run = cls(path, table, header, files)
        run._warn_of_conflicts()
        return run

    @property
    def local_copy(self) -> LocalCopy | None:
        """Temporary copy that `path` is; None if the run was read where it is."""
        return self._files.copy

    @property
    def name(self) -> str:
        """Name of the run, or of its folder."""
        name = self.header.get("run_name")
        return name if isinstance(name, str) else self.path.resolve().name

    @property
    def config(self) -> dict[str, object]:
        """The user's hyperparameters, as recorded."""
        return hparams_of(self.header)

    @property
    def better(self) -> dict[str, Better]:
        """Directions in which values improve, by key, where only the metric tells it.

        They are `"min"` or `"max"`, as metrics declared by `higher_is_better`.
        """
        known = recorded_directions(self.header)
        return {self._names.get(key, key): better for key, better in known.items()}

    @property
    def left_out(self) -> dict[str, int]:
        """Number of values by key that are neither numbers nor arrays of numbers."""
        return dict(self._table.left_out)

    @property
    def conflicts(self) -> dict[str, Conflict]:
        """Keys that have different values for one step; the later line counts."""
        return dict(self._table.conflicts)

    @property
    def arrays(self) -> dict[str, tuple[np.ndarray, list[np.ndarray]]]:
        """Arrays by key: their steps (int64, ascending), and an array for each.

        Arrays of integers are int64, others float64. `run[key]` returns the same with
        the arrays stacked, if all have one shape.
        """
        table = self._table
        return ArrayColumns({key: table.array_column(key) for key in table.arrays})

    @functools.cached_property
    def media(self) -> Sequence[MediaEntry]:
        """Texts, images, tables and other media in order of steps; read on first use.

        Files that are missing are named in the entry.

            images = [entry for entry in run.media if entry.key == "val/samples"]
        """
        return self._files.media()

    @functools.cached_property
    def telemetry(self) -> Sequence[Mapping[str, Any]]:
        """Lines of `TrainingTelemetry`, in order of steps; read on first use.

        Each is a mapping with `step`, `epoch`, `gradient_norm`, `weight_delta`,
        `learning_rates`, `holdout_logits`, `batch_stats`, as far as it was recorded.
        """
        return self._files.telemetry()

    @property
    def steps(self) -> np.ndarray:
        """Steps that have a record, ascending, each once: int64."""
        return merged_x([self._table.steps])

    @property
    def last_step(self) -> int | None:
        """Last step of training, or the last step at all; None without records."""
        steps, names = self._table.steps, self._table.names
        if "train" in names:
            steps = steps[self._table.splits == names.index("train")]
        return int(steps[-1]) if len(steps) else None

    @property
    def seconds(self) -> float:
        """Training time over all attempts in seconds; nan if unknown."""
        return self._table.seconds

    def keys(self) -> list[str]:
        """Return the keys of the metrics, in the order first logged."""
        return [key for key in self._table.columns if key not in FIELDS]

    def summary(self) -> dict[str, object]:
        """Return totals of the run, and statistics of each key.

        `steps` is the last step, `seconds` the training time over all attempts (nan if
        unknown), `attempts` the number of starts. Each key has `last`, `last_step`,
        `min`, `min_step`, `max`, `max_step`, `mean`, `count` and `nonfinite`: minimum,
        maximum and mean are over the finite values.
        """
        steps, table = self._table.steps, self._table
        out: dict[str, object] = {
            "steps": int(steps[-1]) if len(steps) else 0,
            "seconds": self.seconds,
            "attempts": count_attempts(self.header, self.events, len(self)),
        }
        return out | {key: describe(*table.column(key)) for key in self.keys()}

    def to_pandas(self) -> pandas.DataFrame:
        """Return the records as a data frame: step, split, time, tokens, samples, keys.

        Missing values are NaN. Arrays are left out; see `arrays`.

        Raises:
          ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "Run.to_pandas() needs pandas, which is not installed. Run "
                "`pip install jaxmetrics[pandas]`, or use run[key], which returns "
                "NumPy arrays."
            ) from error
        table = self._table
        splits = np.array(table.names, object)[table.splits]
        columns: dict[str, np.ndarray] = {"step": table.steps.copy(), "split": splits}
        keys = [*(field for field in FIELDS if field in self), *self.keys()]
        return pandas.DataFrame(columns | {key: table.dense(key) for key in keys})

    @explains_reading
    def plot(
        self, *keys: str, x: Literal["step", "tokens", "time", "flops"] = "step"
    ) -> Figure:
        """Draw keys, and return the matplotlib figure.

        A metric of several splits shares a chart. Arrays of rank 1, such as values of
        classes, are drawn as a map over time, and of matrices the last one.

        Args:
          *keys: Keys or globs, such as `"*/loss"`. Default the six first charts, losses
            before everything else.
          x: Axis: `"step"`, `"tokens"`, `"time"` (training seconds) or `"flops"`.

        Raises:
          KeyError: The run has no such key; the error names similar ones.
          ValueError: The run has no positions on the axis.
          ImportError: matplotlib is not installed.
        """
        from jaxmetrics.runs.reading._drawing import draw_run

        require_texts("Run.plot", "Write plot('train/loss', 'val/loss').", keys=keys)
        return draw_run(self, keys, x)

    def __getitem__(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps (int64, ascending) and values of one key.

        Values are float64 `[steps]`; for a key of `arrays`, `[steps, ...]`, int64 if
        all of them are integers.

        Raises:
          KeyError: The run has no such key; the error names similar ones.
          ValueError: The arrays of the key have different shapes.
        """
        if key in self:
            return self._table.column(key)
        if key not in self._table.arrays:
            raise KeyError(self._unknown_key(key))
        steps, arrays = self._table.array_column(key)
        shapes = {array.shape: step for array, step in zip(arrays[::-1], steps[::-1])}
        if len(shapes) > 1:
            listed = [f"{shape} at step {n}" for shape, n in reversed(shapes.items())]
            raise ValueError(
                f"run {self.name!r} has arrays of several shapes under {key!r}: "
                f"{', '.join(listed[:3])}. Use run.arrays[{key!r}], which does not "
                f"stack them."
            )
        return steps, np.stack(arrays)

    def __contains__(self, key: object) -> bool:
        """Return whether the run has numbers under `key`."""
        return key in self._table.columns

    def __iter__(self) -> Iterator[str]:
        """Iterate over `keys()`."""
        return iter(self.keys())

    def __len__(self) -> int:
        """Return the number of records, one for each (step, split)."""
        return len(self._table.steps)

    def __repr__(self) -> str:
        """Return name and size."""
        return f"Run({self.name!r}, records={len(self)}, keys={len(self.keys())})"

    def renamed(self, names: Mapping[str, tuple[str, float]]) -> Run:
        """Return the run with other names for some keys, and values in another unit.

        Args:
          names: New key, and the factor to its unit, by key.
        """
        columns = {}
        for key, column in self._table.columns.items():
            new, factor = names.get(key, (key, 1.0))
            columns[new] = column._replace(values=column.values * factor)
        run = copy.copy(self)
        run._table = dataclasses.replace(self._table, columns=columns)
        run._names = {key: new for key, (new, _) in names.items()}
        return run

    def _warn_of_conflicts(self) -> None:
        """Warn once if lines of a step disagree; called by `load`."""
        conflicts = list(self.conflicts.items())
        if not conflicts:
            return
        shown = [f"{key!r} at {c.steps:,} steps from {c.first}" for key, c in conflicts]
        more = f" and {len(shown) - 3:,} more keys" if len(shown) > 3 else ""
        warnings.warn(
            f"Run {self.name!r} has different values for one step: "
            f"{', '.join(shown[:3])}{more}. The later line counts; see Run.conflicts.",
            stacklevel=3,
        )

    def _repr_html_(self) -> str:
        """Return a table of totals and last values, for notebooks."""
        return run_html(self)

    def _unknown_key(self, key: object) -> str:
        known = [*self._table.columns, *self._table.arrays]
        if not known and not self._files.has_metrics:
            return (
                f"run {self.name!r} has no key {key!r}, since {self.path} has no "
                f"{METRICS_JSONL}, the record from which runs are read. It is written "
                f"unless it was left out of the writers."
            )
        name = str(key).rpartition("/")[2]
        same_name = [other for other in known if other.rpartition("/")[2] == name]
        close = difflib.get_close_matches(str(key), known, n=5)
        similar = list(dict.fromkeys([*same_name, *close]))[:8]
        keys = f"similar keys are {similar}" if similar else f"it has {known[:8]}"
        return (
            f"run {self.name!r} has no key {key!r}; {keys}. See run.keys() for all "
            f"{len(self.keys())}."
        )
