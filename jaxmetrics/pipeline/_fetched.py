"""Values and errors collected when rows are fetched from their devices."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxmetrics.pipeline._row import Row
from jaxmetrics.record import Media, Record, number

_LOG = logging.getLogger("jaxmetrics")

_DIAGNOSES = {
    "invalid": (
        "%s is not 0: some entries were not scored, as a label is out of range or a "
        "score is NaN. Look at the outputs, or mask padding with mask= or ignore_index."
    ),
    "bounds_width": (
        "%s: the value is an estimate, and its bounds are that far apart. Use more "
        "bins, or exact=True."
    ),
    "other_calls": "",  # CallMarks warns, and names the processes
}
_CONFLICT = (
    "%s has two values at step %d: %s from %s, and in a later call of log_step() %s "
    "from %s. Readers take the later one; rename one of them.%s"
)
_CLIPPED = {
    "image": (
        ", which are clipped to [0, 1]. Scale it, as in (x - x.min()) / (x.max() - "
        "x.min()), or pass uint8 of 0 to 255."
    ),
    "audio": (
        ", which are clipped to [-1, 1]. Scale it, as in x / abs(x).max(), or pass "
        "int16."
    ),
}
_OTHER_DIAGNOSIS = "%s is not 0; see diagnostics() of the metric."


class _Latest(NamedTuple):
    """Value of a key, and where it comes from.

    Attributes:
      step: Step of its record.
      number: Number of its row; 0 if it was restored.
      value: The value.
      names: Names in the call, by key.
      computed: Names in the metrics of the call, by key.
    """

    step: int
    number: int
    value: float | int
    names: Mapping[str, str]
    computed: Mapping[str, str]

    def conflicts(self, other: _Latest) -> bool:
        """Return whether another call of this step has another value."""
        if self.step != other.step or self.number in (0, other.number):
            return False
        first, second = self.value, other.value
        return first != second and (first == first or second == second)

    def source(self, key: str) -> str:
        """Return where the value of a key comes from, for a message."""
        if key in self.names:
            return f"the value {self.names[key]!r}"
        if key in self.computed:
            return f"the metric {self.computed[key]!r}"
        return "an attached object"


class FetchedValues:
    """Keep the latest value of each key, and the faults not reported yet.

    Attributes:
      faults: Error texts about values that could not be fetched.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._latest: dict[str, _Latest] = {}
        self.faults: list[str] = []
        self._warned_keys: set[str] = set()
        self._cuts: dict[str, int] = {}

    def add(self, row: Row, record: Record) -> None:
        """Add a row that was just fetched, from any thread."""
        with self._lock:
            self.faults += row.faults
            for key in row.array_keys:
                self._warn_once(
                    key,
                    "%s is an array that records do not hold, and is left out. Log "
                    "its elements as scalars, or an array of rank 1 or 2.",
                )
            for key in row.replaced:
                self._warn_once(
                    key,
                    "%s was logged beside metrics that compute another value of that "
                    "name; the logged one is recorded. Log one of them.",
                )
            for key in row.diagnosed:
                what = key.split("/")[1]
                message = _DIAGNOSES.get(what, _OTHER_DIAGNOSIS)
                if message:
                    self._warn_once(key, message, of=f"health/{what}")
            for key, (low, high) in row.clipped.items():
                advice = _CLIPPED[row.kind or ""]
                self._warn_once(key, f"%s has floats from {low:g} to {high:g}{advice}")
            for limit, keys in row.cuts.items():
                if limit not in self._cuts:
                    _LOG.warning(
                        "%s is the first value to be cut or left out (limit: %s); "
                        "further ones are counted in events.jsonl.",
                        keys[0],
                        limit,
                    )
                self._cuts[limit] = self._cuts.get(limit, 0) + len(keys)
            if isinstance(record, Media):
                return
            # Writers fetch rows at their own pace, so that an earlier one may come
            # after a later one.
            conflicts: list[tuple[str, _Latest, _Latest]] = []
            for key, value in {**record.values, **record.counts}.items():
                new = _Latest(record.step, row.number, value, row.names, row.computed)
                known = self._latest.get(key)
                if known is not None and known.conflicts(new):
                    in_order = known.number < new.number
                    pair = (known, new) if in_order else (new, known)
                    conflicts.append((key, *pair))
                if known is None or new[:2] >= known[:2]:
                    self._latest[key] = new
            self._warn_of_conflicts(conflicts)

    def latest(self) -> dict[str, float | int]:
        """Return the value of the highest step of each key, of several the last one."""
        with self._lock:
            return {key: known.value for key, known in self._latest.items()}

    def cuts(self) -> dict[str, int]:
        """Return the number of values that were cut or left out, by limit."""
        with self._lock:
            return dict(self._cuts)

    def take_faults(self) -> list[str]:
        """Return the faults added since the last call."""
        with self._lock:
            faults, self.faults = self.faults, []
        return faults

    def steps(self) -> dict[str, int]:
        """Return the step of each value of `latest`."""
        with self._lock:
            return {key: known.step for key, known in self._latest.items()}

    def restore(
        self, latest: Mapping[str, Any], steps: Mapping[str, int] | None = None
    ) -> None:
        """Replace the latest values by those of an earlier `latest()`.

        Args:
          latest: Values by key, as returned or as read back from JSON.
          steps: Steps by key, as `steps()` returned them. A value without one is
            replaced by that of any step.
        """
        with self._lock:
            self._latest = {
                key: _Latest((steps or {}).get(key, 0), 0, number(value), {}, {})
                for key, value in latest.items()
            }
            self.faults.clear()

    def _warn_of_conflicts(
        self, conflicts: Sequence[tuple[str, _Latest, _Latest]]
    ) -> None:
        """Warn of the first key that two calls gave different values, if it is new.

        Args:
          conflicts: Keys, each with the values of the earlier and of the later call.
        """
        new = [x for x in conflicts if f"conflict/{x[0]}" not in self._warned_keys]
        if not new:
            return
        self._warned_keys.update(f"conflict/{key}" for key, _, _ in new)
        key, first, later = new[0]
        others = f" Other such keys: {len(new) - 1}." if len(new) > 1 else ""
        _LOG.warning(
            _CONFLICT,
            *(key, first.step, first.value, first.source(key)),
            *(later.value, later.source(key), others),
        )

    def _warn_once(self, key: str, message: str, of: str = "") -> None:
        """Warn about a key once; or about the first key of a group, `of`."""
        group = of or key
        if group not in self._warned_keys:
            self._warned_keys.add(group)
            _LOG.warning(message, key)


def best_fn(name: str) -> Callable[[Mapping[str, float]], float]:
    """Return a function that picks the value `name` from a checkpoint's metrics."""

    def best(metrics: Mapping[str, float]) -> float:
        if name not in metrics:
            raise KeyError(
                f"best_fn({name!r}) got metrics {sorted(metrics)}. Save "
                f"metrics=logger.latest(), after logging {name!r}."
            )
        return float(metrics[name])

    return best
