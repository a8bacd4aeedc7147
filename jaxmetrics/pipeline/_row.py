"""Rows: made by the training thread, fetched by the writers' threads."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.pipeline._call import (
    Call,
    check_call,
    is_array,
    is_plain_array,
    misplaced_names,
    names_computed,
)
from jaxmetrics.pipeline._row_limits import arrays_within_limits, within_limits
from jaxmetrics.record import (
    COUNT_FIELDS,
    Better,
    Record,
    UnnumberedRecord,
    direction,
    key,
    scalar,
)

_LOG = logging.getLogger("jaxmetrics")
_MAX_CACHED_CALLS = 1024


class CallReader:
    """Give the values of calls their full keys.

    A call is checked in full when its names or types are seen for the first time. Later
    calls with the same names and types reuse the keys: the values of a training loop
    differ, their names do not. A value that is wrong in itself, such as a deleted
    array, is then found when the row is fetched.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], _Known] = {}
        self.types: set[type] = {float, int, bool}
        """Types of values that are numbers whatever they are, and never change."""
        self._warned: set[str] = set()
        self._looked_at: set[tuple[str, ...]] = set()

    def keys(
        self, split: str | None, is_given: bool, names: tuple[str, ...]
    ) -> _Known | None:
        """Return the split and the keys of names that are known, or None."""
        return self._known.get((split, is_given, True, names))

    def read(
        self, split: str | None, is_given: bool, metrics: Any, values: Mapping[str, Any]
    ) -> Call:
        """Return what a call asks to record.

        Args:
          split: The split, or None to keep all names.
          is_given: The caller passed the split.
          metrics: A metric or collection, which becomes that of the call, a mapping of
            names to values, which may be nested and have arrays that metrics computed,
            or None.
          values: Further values by name; they win over equal names of a mapping.

        Raises:
          TypeError: The split is not a string.
          ValueError: The split is not a name without slashes.
        """
        named, given = metrics, values
        if metrics is not None and isinstance(metrics, Mapping):
            named, given = None, {**metrics, **values} if values else metrics
        signature = split, is_given, named is None, tuple(given)
        try:
            known = self._known.get(signature)
        except TypeError:  # a name that is not hashable is not a string
            known = None
        if known is not None and set(map(type, given.values())) <= self.types:
            key_split = None if split is None else known.split
            keyed = dict(zip(known.keys, given.values()))
            call = Call(known.split, key_split, keyed, [], [], names=known.names)
        else:
            infers = named is None and (split is None or not is_given)
            arrays = () if metrics is None or named is not None else set(metrics)
            arrays = [name for name in arrays if name not in values]
            call = check_call(split, is_given, infers, given, arrays)
            self._learn(signature, given, call)
            self.warn_of_misplaced(call.key_split, is_given, given)
        if named is None:
            return call
        self.warn_of_misplaced(call.key_split, is_given, names_computed(named))
        return call._replace(metrics=named)

    def warn_of_misplaced(
        self, split: str | None, is_given: bool, names: Iterable[str]
    ) -> None:
        """Warn once of names of an evaluation, such as `val_loss`, in train records.

        Args:
          split: Split that the names get; None keeps them.
          is_given: The caller passed the split.
          names: Names of a call.
        """
        names = tuple(name for name in names if isinstance(name, str))
        if is_given or split != "train" or names in self._looked_at:
            return
        if len(self._looked_at) < _MAX_CACHED_CALLS:
            self._looked_at.add(names)
        for own, misplaced in misplaced_names(names).items():
            if own not in self._warned:
                self._warned.add(own)
                _LOG.warning(
                    "The logger got %s without split=, and records it as %r among the "
                    "values of the training. Pass split=%r in a call of its own, or "
                    "name it %r; split='train' keeps it as it is.",
                    " and ".join(map(repr, misplaced[:2])),
                    key(misplaced[0]),
                    own,
                    key(misplaced[0], own),
                )

    def _learn(
        self, signature: tuple[Any, ...], given: Mapping[Any, Any], call: Call
    ) -> None:
        """Reuse the keys of a call, if each value has one key and nothing was wrong."""
        for first, second, full in call.repeated:
            if full not in self._warned:
                self._warned.add(full)
                _LOG.warning(
                    "log_step() got %r and %r, which are both %r; the latter is "
                    "recorded. Log one of them.",
                    first,
                    second,
                    full,
                )
        if call.errors or len(call.values) != len(given):
            return
        if any(value is None or isinstance(value, Mapping) for value in given.values()):
            return
        # An array of NumPy is none of them: its owner may change it before it is read.
        immutable = np.number, np.bool_
        self.types |= {
            type(v) for v in given.values() if is_array(v) or isinstance(v, immutable)
        }
        if len(self._known) < _MAX_CACHED_CALLS:
            self._known[signature] = _Known(call.split, tuple(call.values), call.names)


class _Known(NamedTuple):
    """Split and keys of a call, and the name of each key."""

    split: str
    keys: tuple[str, ...]
    names: Mapping[str, str]


class LostValuesError(RuntimeError):
    """No value of a row could be fetched."""


class Row:
    """The record of one call in flight: its values may still be on a device.

    `fetch()` waits for the values, once, in the thread of the first writer that needs
    them, so that the training thread never waits.

    Args:
      step: Optimizer updates completed.
      split: The split that the values belong to.
      time: Training seconds at the call.
      numbered: Whether the caller passed the step.
      key_split: Split that names computed by a metric get; None keeps them.
      on_record: Called with the row and its record, once.

    Attributes:
      kind: Kind of the media that the row holds; None for the values of `log_step`.
      is_fetched: True once `fetch()` returns at once.
      number: Place of the row among those of the process, in the order of the calls.
      values: Values by full key or field name; a function of the split returns those
        of a metric by plain name, and its diagnostics. Empty once they are fetched.
      names: Name in the call of each of these keys.
      computed: Name in the metrics of each key that they computed.
      defaults: Values for keys that neither the call nor its metric has.
      delivered_to: Sinks that already processed this row (a row can be offered again
        after an interrupt).
      faults: Error texts of values that could not be fetched.
      replaced: Keys of values of a metric that another value of the call replaced.
      array_keys: Keys of values of a metric that no record holds.
      diagnosed: Keys of diagnostics of metrics.
      clipped: Smallest and largest value of images beyond [0, 1] and of sounds beyond
        [-1, 1], by key.
      cuts: Keys of values that were cut or left out, by the limit they exceed.
      better: Function of the values of a metric, by plain name, that returns their
        directions; None without one.
    """

    kind: str | None = None
    # `fetch()` replaces these; rows in flight share them.
    faults: list[str] = []
    replaced: list[str] = []
    array_keys: list[str] = []
    diagnosed: list[str] = []
    clipped: dict[str, tuple[float, float]] = {}
    cuts: dict[str, list[str]] = {}
    better: Callable[[Mapping[str, Any]], Mapping[str, Better]] | None = None
    names: Mapping[str, str] = {}
    computed: dict[str, str] = {}

    def __init__(
        self,
        step: int,
        split: str,
        time: float,
        numbered: bool = True,
        key_split: str | None = "",
        on_record: Callable[[Row, Record], object] | None = None,
    ) -> None:
        self.step = step
        self.split = split
        self.time = time
        self.number = 0
        self.values: dict[str, object] = {}
        self.defaults: Mapping[str, object] = {}
        self.delivered_to: set[object] = set()
        self.is_fetched: bool = False
        self._numbered = numbered
        self._key_split = split if key_split == "" else key_split
        self._on_record = on_record
        self._record: Record | None = None
        self._lock = threading.Lock()

    def record(self) -> Record:
        """Return the record; the first call fetches it.

        A value that cannot be fetched is left out and named in `faults`.

        Raises:
          LostValuesError: None of the values could be fetched. A record without them
            would only say that the step was logged, and keep it from being logged anew.
        """
        record = self.fetch()
        if self.faults and not (record.values or record.arrays or record.counts):
            raise LostValuesError(self.faults[0])
        return record

    def fetch(self) -> Record:
        """Wait for the values, and return the record of those that could be fetched."""
        with self._lock:
            if self._record is None:
                self.faults, self.replaced, self.array_keys = [], [], []
                self.cuts, self.clipped, self.diagnosed = {}, {}, []
                self.computed = {}
                self._record = self._fetch()
                # What a row refers to stays on its device.
                self.values, self.defaults, self.better = {}, {}, None
                if self._on_record is not None:
                    self._on_record(self, self._record)
                self.is_fetched = True
            return self._record

    def _fetch(self) -> Record:
        begin_copies([*self.values.values(), *self.defaults.values()])
        values: dict[str, float | int] = {}
        arrays: dict[str, list[Any]] = {}
        better: dict[str, Better] = {}
        for name, value in self.values.items():
            try:
                if callable(value):
                    computed: Any = value(self.split)
                    self._add_computed(computed, values, arrays)
                    better |= self._directions(computed)
                else:
                    _add(name, value, values, arrays)
            except Exception as error:
                subject = "the metrics" if callable(value) else f"the value of {name!r}"
                self.faults.append(self._not_fetched(subject, error))
        for name, value in self.defaults.items():
            if name not in values and name not in arrays:
                try:
                    _add(name, value, values, arrays)
                except Exception as error:
                    subject = f"the value of {name!r}"
                    self.faults.append(self._not_fetched(subject, error))
        kept, self.cuts = within_limits(values)
        if arrays:
            arrays, cuts = arrays_within_limits(arrays)
            self.cuts = {**self.cuts, **cuts}
        scalars = dict(kept)
        fields = {f: scalars.pop(f) for f in COUNT_FIELDS if f in scalars}
        counts = {f: int(n) for f, n in fields.items() if _is_finite(n)}
        if fractions := [f for f, n in counts.items() if n != fields[f]]:
            self.cuts = {**self.cuts, "whole numbers as counts": fractions}
        for name in fields.keys() - counts.keys():
            self.faults.append(
                f"the value of {name!r} logged at step {self.step} of {self.split!r} "
                f"is {fields[name]}, and is left out. Log the count since the start."
            )
        kind = Record if self._numbered else UnnumberedRecord
        time = round(self.time, 6)
        place = self.step, self.split, scalars, time
        return kind(*place, **counts, arrays=arrays, better=better)

    def _add_computed(
        self,
        computed: Mapping[str, Any],
        values: dict[str, float | int],
        arrays: dict[str, list[Any]],
    ) -> None:
        """Add the values of a metric; a value that the call gives wins over them."""
        for name, result in computed.items():
            full = key(name, self._key_split)
            if isinstance(result, Exception):
                self.faults.append(
                    f"the value of {full!r} logged at step {self.step} of "
                    f"{self.split!r} could not be computed ({result})."
                )
                continue
            self.computed[full] = name
            is_scalar = np.ndim(result) == 0
            if full.startswith("health/") and is_scalar:
                self.diagnosed.append(full)
            if (given := self.values.get(full)) is not None:
                if not _are_same(result, given):
                    self.replaced.append(full)
            elif is_scalar:
                values[full] = scalar(result)
            elif (plain := _plain_array(result)) is None:
                self.array_keys.append(full)
            else:
                arrays[full] = plain

    def _directions(self, computed: Mapping[str, Any]) -> dict[str, Better]:
        """Return the directions of values of a metric that their keys do not tell."""
        if self.better is None:
            return {}
        full: dict[str, Better] = {}
        for name, better in self.better(computed).items():
            if direction(of_value := key(name, self._key_split)) != better:
                full[of_value] = better
        return full

    def _not_fetched(self, subject: str, error: Exception) -> str:
        if isinstance(error, TypeError):
            advice = "Log a number"
        elif "delete" in str(error) or "donate" in str(error):
            advice = (
                "If a later step donates it, log a value that the step returns and "
                "that is not donated"
            )
        else:
            advice = (
                "The computation failed on its devices; if it spans processes, see "
                "whether one of them has ended"
            )
        return (
            f"{subject} logged at step {self.step} of {self.split!r} could not be "
            f"fetched ({error}). {advice}."
        )


def begin_copies(values: Iterable[Any]) -> None:
    """Start copying arrays to the host, all of them before one is waited for.

    Arrays on a CPU are on the host already: a copy would cost more than reading them.
    """
    arrays = [value for value in values if hasattr(value, "copy_to_host_async")]
    # A deleted array raises here; reading it reports the error with its key.
    with contextlib.suppress(Exception):
        if any(device.platform == "cpu" for device in arrays[0].devices()):
            return
    for array in arrays:
        with contextlib.suppress(Exception):
            array.copy_to_host_async()


def _add(
    name: str,
    value: object,
    values: dict[str, float | int],
    arrays: dict[str, list[Any]],
) -> None:
    """Add a value of a call or of an attached object."""
    if is_plain_array(value) and (plain := _plain_array(value)) is not None:
        arrays[name] = plain
    else:
        values[name] = scalar(value)


def _plain_array(value: Any) -> list[Any] | None:
    """Return an array of rank 1 or 2 as lists of numbers, or None for other arrays."""
    array = np.asarray(value)
    if array.ndim > 2 or array.dtype.kind not in "biuf":
        return None
    return array.astype(np.int64 if array.dtype.kind == "b" else array.dtype).tolist()


def _is_finite(value: float | int) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _are_same(computed: Any, given: Any) -> bool:
    try:
        if np.ndim(computed) or np.size(given) != 1:
            return np.array_equal(computed, given, equal_nan=True)
        first, second = scalar(computed), scalar(given)
    except Exception:  # reported with the value itself
        return True
    return first == second or (first != first and second != second)
