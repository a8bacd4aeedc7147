"""Last and best value of each key of a run, while its rows are added.

They are what reading the whole record would say: the last value is that of the highest
step, the best one the first best finite value by step, and of several lines of one step
and key the last line counts. A value that was overwritten or cut off is unknown until
the rows that follow settle it. For example, with steps 1, 2, 3 and losses 3, 1, 2:

    cut after step 1    the best is unknown, but 1 or more; the last is of step 1
    step 2 has 2        the last is 2; the best may still lie before the cut
    step 3 has 0.5      the best is 0.5, which is below all that there ever was

The best training loss is that of one lucky batch, so of training losses the level at
the end is kept as well, a median of the last steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jaxmetrics.record._better import (
    MAX_DIRECTIONS,
    NO_DIRECTIONS,
    Better,
    direction,
    recorded_directions,
)
from jaxmetrics.record._json import number
from jaxmetrics.record._keys import spellings
from jaxmetrics.record._recent import RecentValues
from jaxmetrics.record._record import RECORD_FIELDS

_MAX_KEYS = 10_000  # whose values are kept; keys that come later have none
_MAX_STEP = 2**63 - 1
_MAX_KINDS = 256  # of rows with different names
_TRAIN_LOSSES = spellings("train/loss")
_NUMBERS = {int, float, bool}
_COLUMNS = ("last", "last_step", "best", "best_step")
_Directed = tuple[list[tuple[str, float]], list[tuple[str, RecentValues]]]


class Value(NamedTuple):
    """Value of a key, and its step."""

    value: float
    step: int


class RunValues:
    """Last and best values of the rows that were added, and levels of training losses.

    The best value is the lowest or the highest one, as `direction` says; keys of
    unknown direction have none.

    Args:
      better: Directions of the run by key.
    """

    def __init__(self, better: Mapping[str, Better] = NO_DIRECTIONS) -> None:
        """Begin without rows."""
        self._better: dict[str, Better] = dict(better)
        self._last: dict[str, float | None] = {}
        self._last_steps: dict[str, int] = {}
        self._best: dict[str, float] = {}
        self._best_steps: dict[str, int | None] = {}
        self._recent: dict[str, RecentValues] = {}  # of training losses
        self._lacks_recent = False
        # By key, -1 where higher is better; None until a row is added to a state.
        self._signs: dict[str, float] | None = {}
        self._has_all_keys = True
        # By the names of a row: its keys that have a direction, its training losses,
        # and the last such row, whose values are not in `_last` yet: few rows cost work
        # for each of the keys.
        self._directed: dict[tuple[str, ...], _Directed] = {}
        self._rows: dict[tuple[str, ...], tuple[int, int, Mapping[str, Any]]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._last)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row of the record; rows of another kind have no values."""
        step = row.get("step")
        if (
            type(step) is not int
            or "kind" in row
            or not -_MAX_STEP <= step <= _MAX_STEP
        ):
            return
        if self._signs is None:
            self._signs = self._signs_of(self._last)
        names = tuple(row)
        kinds = list(map(type, row.values()))
        others = len(names) - kinds.count(float) - kinds.count(int)
        if others != (type(row.get("split")) is str):
            self._add_odd(row, step)  # not only the split is no number
            return
        if (kind := self._directed.get(names)) is None:
            kind = self._new_names(names)
        directed, losses = kind
        for key, recent in losses:
            recent.add(step, row[key])
        waiting = self._rows.get(names)
        if waiting is None or step >= waiting[0]:
            self._count += 1
            self._rows[names] = step, self._count, row
        best, best_steps = self._best, self._best_steps
        for key, sign in directed:
            value = row[key]
            if (
                key in best
                and sign * value > sign * best[key]
                and step != best_steps[key]
            ):
                continue  # most values are not the best
            self._add_best(key, value, sign, step)

    def take_directions(self, better: Mapping[str, Better]) -> bool:
        """Take directions that names do not tell, and return whether any is new.

        The best value of a key that had another one is unknown if it has rows.
        """
        other: dict[str, Better] = {
            key: value
            for key, value in better.items()
            if direction(key, self._better) != value
        }
        added = [key for key in other if key not in self._better]
        for key in added[MAX_DIRECTIONS - len(self._better) :]:
            del other[key]
        if not other:
            return False
        self._settle()
        self._better |= other
        for key in other.keys() & self._last.keys():
            self._best[key] = -math.inf * _sign(other[key])  # nothing is better
            self._best_steps[key] = None
        self._signs = None
        self._directed.clear()
        return True

    @property
    def better(self) -> Mapping[str, Better]:
        """Directions by key that names do not tell."""
        return self._better

    def last(self, key: str) -> Value | None:
        """Return the last value of a key; None if it has none, or it is unknown."""
        self._settle()
        value = self._last.get(key)
        return None if value is None else Value(value, self._last_steps[key])

    def best(self, key: str) -> Value | None:
        """Return the best value of a key; None if it has none, or it is unknown."""
        step = self._best_steps.get(key)
        return None if step is None else Value(self._best[key], step)

    def recent(self, key: str) -> float | None:
        """Return the level of a training loss at its end, see `recent_level`.

        It is nan if most of the last values are not finite, and None if the key has
        none, or it is unknown.
        """
        recent = self._recent.get(key)
        return None if recent is None else recent.level()

    def recent_values(self) -> dict[str, float]:
        """Return all levels that are known."""
        levels = ((key, recent.level()) for key, recent in self._recent.items())
        return {key: level for key, level in levels if level is not None}

    @property
    def lacks_recent(self) -> bool:
        """True if the saved state has no levels of training losses, as older ones."""
        return self._lacks_recent

    def take_recent(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the levels of training losses from the last rows of the record alone."""
        last = RunValues()
        for row in rows:
            last.add(row)
        self._recent |= last._recent
        self._lacks_recent, self._signs = False, None
        self._directed.clear()

    def take_best(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the best values that are unknown from the whole record.

        A best value whose step was logged again is unknown after one pass: the second
        best one may be that of any row before.

        Args:
          rows: All rows that were added.
        """
        signs = self._signs_of(k for k, n in self._best_steps.items() if n is None)
        if not signs:
            return
        columns: dict[str, dict[int, float]] = {key: {} for key in signs}
        for row in rows:
            step = row.get("step")
            if type(step) is not int or "kind" in row or abs(step) > _MAX_STEP:
                continue
            for key in columns.keys() & row.keys():
                if isinstance(value := number(row[key]), int | float):
                    columns[key][step] = value
        for key, sign in signs.items():
            del self._best[key], self._best_steps[key]
            for step, value in columns[key].items():
                self._add_best(key, value, sign, step)

    def last_values(self) -> dict[str, float]:
        """Return all last values that are known, in the order of their first rows."""
        self._settle()
        return {key: value for key, value in self._last.items() if value is not None}

    def best_values(self) -> dict[str, Value]:
        """Return all best values that are known."""
        steps = self._best_steps.items()
        return {key: Value(self._best[key], n) for key, n in steps if n is not None}

    @property
    def has_unknown(self) -> bool:
        """True if a last value, a best value or a level is unknown."""
        self._settle()
        return (
            not self._has_all_keys
            or None in self._last.values()
            or None in self._best_steps.values()
            or not (self._lacks_recent or self._all_recent)
        )

    @property
    def _all_recent(self) -> bool:
        return all(recent.is_known for recent in self._recent.values())

    def is_known(self, key: str) -> bool:
        """Return whether the last and the best value of a key are known, if any."""
        self._settle()
        if key not in self._last:
            return self._has_all_keys
        is_best_known = self._best_steps.get(key, 0) is not None
        return self._last[key] is not None and is_best_known

    @property
    def train_loss(self) -> float | None:
        """The last training loss, by whatever name; None without one."""
        self._settle()
        return next((self._last[n] for n in _TRAIN_LOSSES if n in self._last), None)

    def cut_after(self, step: int) -> None:
        """Forget the rows of later steps, which were removed from the record."""
        self._settle()
        for key, last in self._last_steps.items():
            if last > step:
                self._last[key], self._last_steps[key] = None, step
        for key, best in self._best_steps.items():
            if best is not None and best > step:
                self._best_steps[key] = None
        for recent in self._recent.values():
            recent.cut_after(step)

    def make_unknown(self) -> None:
        """Forget all values: any row may have been removed from the record."""
        self._settle()
        high = max(self._last_steps.values(), default=-_MAX_STEP)
        self._last = dict.fromkeys(self._last)
        self._last_steps = dict.fromkeys(self._last_steps, high)
        self._best_steps = dict.fromkeys(self._best_steps)
        for recent in self._recent.values():
            recent.make_unknown(high)

    def state(self) -> dict[str, Any]:
        """Return plain values by column: `last`, `last_step`, `best`, `best_step`.

        An unknown last value and the step of an unknown best value are None. `recent`
        has the last values of training losses, of which the levels are, and `better`
        the directions that names do not tell.
        """
        self._settle()
        columns = (self._last, self._last_steps, self._best, self._best_steps)
        state: dict[str, Any] = {
            n: dict(column) for n, column in zip(_COLUMNS, columns)
        }
        state["recent"] = {key: one.state() for key, one in self._recent.items()}
        if self._better:
            state["better"] = dict(self._better)
        return state if self._has_all_keys else state | {"keys_left_out": True}

    @classmethod
    def from_state(cls, state: object) -> RunValues | None:
        """Return the values of a state; None if it is not one."""
        if not isinstance(state, Mapping):
            return None
        columns = [state.get(name) for name in _COLUMNS]
        if not all(isinstance(column, dict) for column in columns):
            return None
        last, last_steps, best, best_steps = (dict(column or {}) for column in columns)
        last, best = _numbers(last), _numbers(best)
        is_valid = (
            last.keys() == last_steps.keys()
            and best.keys() == best_steps.keys()
            and best.keys() <= last.keys()
            and _types(last) <= _NUMBERS | {type(None)}
            and _types(best) <= _NUMBERS
            and _types(last_steps) <= {int}
            and _types(best_steps) <= {int, type(None)}
        )
        if not is_valid:
            return None
        values = cls()
        values._last, values._last_steps = last, last_steps
        values._best, values._best_steps = best, best_steps
        values._better = recorded_directions(state)
        values._signs = None
        values._has_all_keys = not state.get("keys_left_out", False)
        states = state.get("recent")
        states = states if isinstance(states, dict) else {}
        for key in (key for key in _TRAIN_LOSSES if key in last):
            recent = RecentValues.from_state(states.get(key))
            if recent is None:  # of a summary of an earlier version
                values._lacks_recent = True
                recent = RecentValues(floor=last_steps[key] + 1)
            values._recent[key] = recent
        return values

    def _add_odd(self, row: Mapping[str, Any], step: int) -> None:
        """Add a row that may have other values than numbers, which are left out."""
        self._settle()
        numbers = {
            key: value
            for key, text in row.items()
            if key not in RECORD_FIELDS
            and isinstance(value := number(text), int | float)
        }
        self._add_keys(numbers)
        self._add_last(numbers, step)
        for key in self._recent.keys() & numbers.keys():
            self._recent[key].add(step, numbers[key])
        for key, sign in self._directions(numbers):
            self._add_best(key, numbers[key], sign, step)

    def _add_best(self, key: str, value: float, sign: float, step: int) -> None:
        if (best := self._best.get(key)) is None:
            if math.isfinite(value):
                self._best[key], self._best_steps[key] = value, step
            return
        best_step = self._best_steps[key]
        is_better = sign * value < sign * best and math.isfinite(value)
        if is_better or (value == best and best_step is not None and step < best_step):
            self._best[key], self._best_steps[key] = value, step
        elif step == best_step and value != best:
            self._best_steps[key] = None

    def _settle(self) -> None:
        """Take the last values from the rows that wait."""
        rows, self._rows = sorted(self._rows.values(), key=lambda r: r[:2]), {}
        for step, _, row in rows:
            self._add_last(row, step)

    def _add_last(self, values: Mapping[str, Any], step: int) -> None:
        for key, value in values.items():
            if (last := self._last_steps.get(key)) is not None and step >= last:
                self._last[key], self._last_steps[key] = value, step

    def _new_names(self, names: tuple[str, ...]) -> _Directed:
        """Return what `_directed` has of a new kind of row."""
        if len(self._directed) >= _MAX_KINDS:
            self._settle()
            self._directed.clear()
        self._add_keys(name for name in names if name not in RECORD_FIELDS)
        losses = [(key, one) for key, one in self._recent.items() if key in names]
        self._directed[names] = kind = self._directions(names), losses
        return kind

    def _directions(self, keys: Iterable[str]) -> list[tuple[str, float]]:
        """Return the keys that have a direction, with its sign."""
        signs = self._signs or {}
        return [(key, signs[key]) for key in keys if key in signs]

    def _signs_of(self, keys: Iterable[str]) -> dict[str, float]:
        return {
            key: _sign(better)
            for key in keys
            if (better := direction(key, self._better)) is not None
        }

    def _add_keys(self, keys: Iterable[str]) -> None:
        """Add keys, as far as there is room."""
        new = [key for key in keys if key not in self._last]
        room = _MAX_KEYS - len(self._last)
        if len(new) > room:
            self._has_all_keys = False
            new = new[:room]
        self._last |= dict.fromkeys(new)
        self._last_steps |= dict.fromkeys(new, -_MAX_STEP)
        self._signs = (self._signs or {}) | self._signs_of(new)
        self._recent |= {key: RecentValues() for key in new if key in _TRAIN_LOSSES}


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the texts that stand for numbers as numbers."""
    if str not in _types(values):
        return values
    return {key: number(value) for key, value in values.items()}


def _types(values: Mapping[str, Any]) -> set[type]:
    return set(map(type, values.values()))


def _sign(better: Better) -> float:
    """Return -1 where higher values are better, else 1."""
    return 1.0 if better == "min" else -1.0
