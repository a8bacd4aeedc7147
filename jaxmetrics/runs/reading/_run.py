"""Load a run directory into memory."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jaxmetrics.record import METRICS_JSONL, RUN_JSON, hparams_of
from jaxmetrics.runs.reading._load import RunFiles
from jaxmetrics.runs.reading._summary import count_attempts, describe
from jaxmetrics.runs.reading._table import FIELDS, Table

if TYPE_CHECKING:
    import pandas


class Run:
    """Record of a run: finished, live, or killed.

    `Run.load(path)` reads it. `run["train/loss"]` returns `(steps, values)`, and so do
    `run["time"]`, `run["tokens"]` and `run["samples"]`. As with a data frame,
    `len(run)` is the number of records, one for each (step, split), and iteration goes
    over the keys.

    Attributes:
      path: Run directory, or file of metrics.
      header: Content of `run.json`; without it, the first line of the metrics.
      events: Rows of `events.jsonl`, in order.
      bad: Damaged lines skipped by `errors="skip"`, as (file, line number, reason).
    """

    def __init__(
        self,
        path: Path,
        table: Table,
        header: dict[str, Any],
        events: list[dict[str, object]],
        bad: list[tuple[str, int, str]],
    ) -> None:
        """Store the parts; `Run.load` reads them."""
        self.path = path
        self.header = header
        self.events = events
        self.bad = bad
        self._table = table

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], errors: Literal["raise", "skip"] = "raise"
    ) -> Run:
        """Read a run directory, or one file of metrics.

        A last line without a newline was cut off by a kill, or is being written; it is
        ignored.

        Args:
          path: Folder with `metrics.jsonl`, `run.json` and `events.jsonl`; a missing
            file counts as empty. Or a file of metrics, or of a `MetricsLog`, whose
            keys are the names of its fields.
          errors: `"raise"` at a damaged line, or `"skip"` it and list it in `bad`.

        Raises:
          FileNotFoundError: There is no run at `path`.
          CorruptLineError: A line before the last, or `run.json`, is damaged.
          ValueError: `errors` has another value.
        """
        if errors not in ("raise", "skip"):
            raise ValueError(
                f"Run.load() got errors={errors!r}; expected 'raise' or 'skip'. "
                "Choose one of them."
            )
        folder = Path(path)
        if folder.is_file():
            files = RunFiles(folder.parent, errors == "skip", folder.name)
            table, header = files.metrics()
            return cls(folder, table, header, [], files.bad)
        if not any((folder / name).is_file() for name in (METRICS_JSONL, RUN_JSON)):
            raise FileNotFoundError(
                f"Run.load() found neither {METRICS_JSONL} nor {RUN_JSON} in "
                f"{folder}. Give a run directory, such as runs/<project>/<run_name>."
            )
        files = RunFiles(folder, skip=errors == "skip")
        table, header_line = files.metrics()
        header, events = files.header() or header_line, files.events()
        return cls(folder, table, header, events, files.bad)

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
    def left_out(self) -> dict[str, int]:
        """Number of values by key that are in no column, since they are not numbers."""
        return dict(self._table.left_out)

    @property
    def steps(self) -> np.ndarray:
        """Steps that have a record, ascending, each once: int64."""
        return np.unique(self._table.steps)

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
        seconds = math.nan
        if "time" in self:
            seconds = float(np.max(table.column("time")[1]))
        out: dict[str, object] = {
            "steps": int(steps[-1]) if len(steps) else 0,
            "seconds": seconds,
            "attempts": count_attempts(self.header, self.events, len(self)),
        }
        return out | {key: describe(*table.column(key)) for key in self.keys()}

    def to_pandas(self) -> pandas.DataFrame:
        """Return the records as a data frame: step, split, time, tokens, samples, keys.

        Missing values are NaN.

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

    def __getitem__(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps (int64, ascending) and values (float64) of one key.

        Raises:
          KeyError: The run has no such key; the error names similar ones.
        """
        if key not in self:
            raise KeyError(self._unknown_key(key))
        return self._table.column(key)

    def __contains__(self, key: object) -> bool:
        """Return whether the run has values under `key`."""
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

    def _unknown_key(self, key: object) -> str:
        known = list(self._table.columns)
        name = str(key).rpartition("/")[2]
        same_name = [other for other in known if other.rpartition("/")[2] == name]
        close = difflib.get_close_matches(str(key), known, n=5)
        similar = list(dict.fromkeys([*same_name, *close]))[:8]
        keys = f"similar keys are {similar}" if similar else f"it has {known[:8]}"
        return (
            f"run {self.name!r} has no key {key!r}; {keys}. See run.keys() for all "
            f"{len(self.keys())}."
        )
