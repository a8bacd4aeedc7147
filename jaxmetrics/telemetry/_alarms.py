"""Alarms about the health of a training, raised from logged values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

from jaxmetrics._other_names import explains_arguments
from jaxmetrics.record import (
    Better,
    direction,
    one_or_many,
    require_integers,
    require_numbers,
    require_texts,
    scalar,
    states,
)
from jaxmetrics.telemetry._compiles import CompileWatch
from jaxmetrics.telemetry._spikes import SpikeDetector, read_state
from jaxmetrics.telemetry._trends import (
    OverfittingDetector,
    PlateauDetector,
    read_overfitting,
    read_plateau,
)

Limits = tuple[float | None, float | None]

_FIRST_NONFINITE = "health/first_nonfinite"
_MAX_CHECKS_UNSEEN = 1000  # of a key that is in each training record


class Alarm(NamedTuple):
    """One problem of a training, as `Alarms.check` returns it.

    Attributes:
      step: Number of optimizer updates completed.
      kind: `"nonfinite"`, `"spike"`, `"limit"`, `"plateau"`, `"overfitting"` or
        `"recompile"`.
      key: Key of the value; for `"recompile"` the name of the function.
      value: The value; for `"recompile"` the seconds of compilation.
      message: Description in one sentence.
    """

    step: int
    kind: str
    key: str
    value: float
    message: str


class Ledger(Protocol):
    """Receiver of alarms as events, such as `TrainingLogger.ledger`."""

    def event(self, name: str, **fields: Any) -> object:
        """Append an event."""


class Alarms:
    """Check the values of each logged step, and report what is wrong with them.

    Reported are a value that spikes or is not finite, a value outside its limits,
    evaluations that no longer improve or get worse while the training improves, a place
    in the model where `first_nonfinite` found the first NaN (logged as
    `health/first_nonfinite`), and a function that is compiled again. Each problem is
    reported when it begins, and again only after it has ended.

    Noise has to be known before a value stands out from it: by default a spike is
    reported after 32 finite values, overfitting from the 8th evaluation and a plateau
    from the 20th. NaN, limits and recompilations need no earlier values.

    Args:
      spikes: Keys that a default `SpikeDetector` watches, or detectors by key. A key
        here or in `limits` that the first 1,000 checks do not have, or whose split was
        left out (`"loss"` for `"train/loss"`), is named in a warning.
      limits: Smallest and largest allowed value by key, or by glob of keys; None for
        no limit: `{"update/ratio*": (None, 0.1)}`. A value equal to its limit is
        allowed. NaN never violates a limit (0/0 ratios are NaN).
      plateaus: Keys of evaluations that a default `PlateauDetector` watches, or
        detectors by key. A value equal to the last one is the same evaluation, which
        `logger.latest()` returns until the next.
      overfitting: Pairs of keys, of the training and of the validation, that a default
        `OverfittingDetector` watches, or detectors by pair:
        `[("train/loss", "val/loss")]`. A pair is compared at each new evaluation.
      places: Name of a number of `first_nonfinite`, as
        `lambda index: name_of(tree, index)`.
      compiles: Watch whose recompilations are reported.
      warmup: Number of first checks in which a recompilation is not reported.
      ledger: Receives an event `"alarm"` for each alarm, such as `logger.ledger`. As
        the run is closed it also receives an event `"unready"` for each alarm that too
        few values or evaluations were checked for: how many it `had` and `needs`.
      on_alarm: Callback that receives each `Alarm`.

    Raises:
      TypeError: An argument is of another type, or unknown; `overfitting` has
        something other than pairs of keys.
      ValueError: A lower limit is above its upper limit, or it is not known whether
        lower values of a key of `plateaus` or `overfitting` are better.

    Example:
      >>> alarms = Alarms(spikes=["train/loss"], limits={"update/ratio": (None, 0.1)})
      >>> for step in range(100):
      ...     raised = alarms.check(step, {"train/loss": 2.0, "update/ratio": 0.01})
      >>> for alarm in alarms.check(100, {"train/loss": 9.0, "update/ratio": 0.5}):
      ...     print(alarm.kind, alarm.message)
      spike train/loss spikes at 9
      limit update/ratio is 0.5, above its limit of 0.1
    """

    @explains_arguments
    def __init__(
        self,
        *,
        spikes: str | Iterable[str] | Mapping[str, SpikeDetector] = (),
        limits: Mapping[str, Limits] | None = None,
        plateaus: str | Iterable[str] | Mapping[str, PlateauDetector] = (),
        overfitting: Iterable[tuple[str, str]]
        | Mapping[tuple[str, str], OverfittingDetector] = (),
        places: Callable[[int], str | None] = str,
        compiles: CompileWatch | None = None,
        warmup: int = 2,
        ledger: Ledger | None = None,
        on_alarm: Callable[[Alarm], object] | None = None,
    ) -> None:
        """Start without any alarm raised."""
        _require_keys(spikes=spikes, plateaus=plateaus)
        _require_receivers(places, compiles, ledger, on_alarm)
        require_integers("Alarms", warmup=warmup)
        if warmup < 0:
            raise ValueError(
                f"Alarms got warmup={warmup}; expected at least 0. The default is 2."
            )
        if not isinstance(spikes, Mapping):
            spikes = {key: SpikeDetector() for key in one_or_many(spikes)}
        self.spikes: dict[str, SpikeDetector] = dict(spikes)
        self.limits: dict[str, Limits] = _limits({} if limits is None else limits)
        if not isinstance(plateaus, Mapping):
            keys = one_or_many(plateaus)
            plateaus = {key: PlateauDetector(better=_better(key)) for key in keys}
        self.plateaus: dict[str, PlateauDetector] = dict(plateaus)
        if not isinstance(overfitting, Mapping):
            overfitting = {
                (train, validation): OverfittingDetector(better=_better(validation))
                for train, validation in map(_pair, one_or_many(overfitting))
            }
        _require_detectors("spikes", spikes, SpikeDetector)
        _require_detectors("plateaus", plateaus, PlateauDetector)
        _require_detectors("overfitting", overfitting, OverfittingDetector)
        self.overfitting: dict[tuple[str, str], OverfittingDetector] = dict(overfitting)
        self._places = places
        self._compiles = compiles
        self._warmup = warmup
        self._ledger = ledger
        self._on_alarm = on_alarm
        self._ongoing: set[str] = set()
        self._evaluated: dict[str, float] = {}
        self._unseen = {*self.spikes, *self.limits}
        self._unseen_limits = set(self.limits)
        self._checks = 0
        # A receiver of the user's own may have no end.
        if before_close := getattr(ledger, "before_close", None):
            before_close(self._note_unready)

    def check(self, step: int, values: Mapping[str, Any]) -> list[Alarm]:
        """Return the alarms that begin with a step.

        Args:
          step: Number of optimizer updates completed.
          values: Scalars by key; None is an unknown value. Reading them waits for the
            device, so pass values that are already fetched, such as those of the step
            before.
        """
        if self._unseen:
            self._note_unseen(values)
        numbers = {
            key: float(scalar(x))
            for key, x in values.items()
            if x is not None and self._is_watched(key)
        }
        if self._unseen_limits:
            unseen = (x for x in self._unseen_limits if not _is_logged(x, numbers))
            self._unseen_limits = set(unseen)
        alarms = [
            *self._nonfinite(step, numbers),
            *self._spikes(step, numbers),
            *self._limits(step, numbers),
            *self._trends(step, numbers),
            *self._recompiles(step),
        ]
        for alarm in alarms:
            if self._ledger is not None:
                self._ledger.event("alarm", **alarm._asdict())
            if self._on_alarm is not None:
                self._on_alarm(alarm)
        return alarms

    def state(self) -> dict[str, Any]:
        """Return the state as plain values, for a checkpoint."""
        return dict(
            spikes={key: each.state() for key, each in self.spikes.items()},
            plateaus={key: each.state() for key, each in self.plateaus.items()},
            overfitting={
                _name(pair): each.state() for pair, each in self.overfitting.items()
            },
            evaluated={key: states.strict(x) for key, x in self._evaluated.items()},
            outside=sorted(self._ongoing),
        )

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`, also after a round trip through JSON or orbax.

        Detectors of keys that are not watched are ignored.

        Raises:
          ValueError: It is not a state of alarms; nothing is changed.
        """
        saved = states.read(
            "Alarms",
            state,
            spikes=states.mapping_of(read_state),
            plateaus=states.mapping_of(read_plateau),
            overfitting=states.mapping_of(read_overfitting),
            evaluated=states.mapping_of(states.real),
            outside=states.list_of(states.text),
        )
        pairs = {_name(pair): each for pair, each in self.overfitting.items()}
        for field, detectors in (
            ("spikes", self.spikes),
            ("plateaus", self.plateaus),
            ("overfitting", pairs),
        ):
            for key in saved[field].keys() & detectors.keys():
                detectors[key].load_state(saved[field][key])
        self._evaluated = saved["evaluated"]
        self._ongoing = set(saved["outside"])
        self._unseen_limits.clear()  # it is not known which were logged before

    def reset(self) -> None:
        """Begin without any alarm raised, as new alarms do."""
        for detectors in (self.spikes, self.plateaus, self.overfitting):
            for detector in detectors.values():
                detector.reset()
        self._evaluated.clear()
        self._ongoing.clear()
        self._unseen_limits = set(self.limits)

    def _note_unready(self) -> None:
        """Note in the ledger the alarms that could not be raised for want of values."""
        assert self._ledger is not None
        for kind, key, unit, (had, needs) in self._readiness():
            if had < needs:
                message = f"{kind} of {key}: {had} of the {needs} {unit} it needs"
                fields = dict(kind=kind, key=key, had=had, needs=needs, message=message)
                self._ledger.event("unready", **fields)

    def _readiness(self) -> Iterable[tuple[str, str, str, tuple[int, int]]]:
        """Yield kind, key, unit of the values and their numbers of each alarm."""
        for key, detector in self.spikes.items():
            yield "spike", key, "finite values", detector.readiness
        for key in sorted(self._unseen_limits):
            yield "limit", key, "values", (0, 1)
        for key, plateau in self.plateaus.items():
            yield "plateau", key, "evaluations", plateau.readiness
        for (train, key), overfitting in self.overfitting.items():
            unit = f"evaluations with {train}"
            yield "overfitting", key, unit, overfitting.readiness

    def _note_unseen(self, keys: Collection[str]) -> None:
        """Warn of watched keys that are not logged."""
        self._checks += 1
        logged = sorted(keys)
        for watched in sorted(self._unseen):
            similar = [key for key in logged if key.endswith(f"/{watched}")]
            if _is_logged(watched, keys):
                self._unseen.discard(watched)
            elif similar or self._checks >= _MAX_CHECKS_UNSEEN:
                self._unseen.discard(watched)
                few = similar[:1] or get_close_matches(watched, logged, 1, 0.5)
                advice = f"Did you mean {few[0]!r}?" if few else f"Logged are {logged}."
                warnings.warn(
                    f"Alarms watches {watched!r}, which is not logged. {advice}",
                    stacklevel=3,
                )

    def _is_watched(self, key: str) -> bool:
        pairs = (key in pair for pair in self.overfitting)
        return (
            key in (_FIRST_NONFINITE, *self.spikes, *self.plateaus)
            or any(pairs)
            or bool(self._limits_of(key))
        )

    def _limits_of(self, key: str) -> Limits | None:
        if key in self.limits:
            return self.limits[key]
        matching = (x for glob, x in self.limits.items() if fnmatchcase(key, glob))
        return next(matching, None)

    def _nonfinite(self, step: int, numbers: Mapping[str, float]) -> Iterable[Alarm]:
        index = numbers.get(_FIRST_NONFINITE, -1)
        if self._begins(_FIRST_NONFINITE, index >= 0):
            name = self._places(int(index))
            message = f"{name} is the first that is not finite"
            yield Alarm(step, "nonfinite", _FIRST_NONFINITE, index, message)

    def _spikes(self, step: int, numbers: Mapping[str, float]) -> Iterable[Alarm]:
        for key, detector in self.spikes.items():
            if key in numbers and detector.update(value := numbers[key]):
                finite = math.isfinite(value)
                kind = "spike" if finite else "nonfinite"
                message = f"{key} {'spikes at' if finite else 'is'} {value:.4g}"
                yield Alarm(step, kind, key, value, message)

    def _limits(self, step: int, numbers: Mapping[str, float]) -> Iterable[Alarm]:
        for key, value in numbers.items():
            low, high = self._limits_of(key) or (None, None)
            below = low is not None and value < low
            above = high is not None and value > high
            if self._begins(f"limit {key}", below or above):
                side, limit = ("below", low) if below else ("above", high)
                message = f"{key} is {value:.4g}, {side} its limit of {limit:g}"
                yield Alarm(step, "limit", key, value, message)

    def _trends(self, step: int, numbers: Mapping[str, float]) -> Iterable[Alarm]:
        validation = [key for _, key in self.overfitting]
        evaluated = {*self.plateaus, *validation} & numbers.keys()
        new = {key for key in evaluated if self._evaluated.get(key) != numbers[key]}
        self._evaluated |= {key: numbers[key] for key in new}
        for key, detector in self.plateaus.items():
            if key in new and detector.update(value := numbers[key]):
                message = (
                    f"{key} has not improved over {detector.window} evaluations, "
                    f"at {value:.4g}"
                )
                yield Alarm(step, "plateau", key, value, message)
        for (train, key), detector in self.overfitting.items():
            if key not in new or train not in numbers:
                continue
            if detector.update(numbers[train], value := numbers[key]):
                message = (
                    f"{key} gets worse over {detector.compared} evaluations, at "
                    f"{value:.4g}, while {train} improves"
                )
                yield Alarm(step, "overfitting", key, value, message)

    def _recompiles(self, step: int) -> Iterable[Alarm]:
        recompiled = self._compiles.recompiled() if self._compiles is not None else []
        self._warmup -= 1
        for function, seconds in recompiled if self._warmup < 0 else []:
            message = f"{function} was compiled again, in {seconds:.3g} s"
            yield Alarm(step, "recompile", function, seconds, message)

    def _begins(self, problem: str, present: bool) -> bool:
        begins = present and problem not in self._ongoing
        (self._ongoing.add if present else self._ongoing.discard)(problem)
        return begins


def _is_logged(watched: str, keys: Collection[str]) -> bool:
    """Return whether a key, or one that a glob matches, is among the keys."""
    return watched in keys or any(fnmatchcase(key, watched) for key in keys)


def _better(key: str) -> Better:
    better = direction(key)
    if better is None:
        raise ValueError(
            f"Alarms got the key {key!r}, of which it is not known whether lower "
            "values are better; expected a usual name such as 'val/loss'. Pass a "
            'detector with better="min" or "max" for it.'
        )
    return better


def _pair(keys: Any) -> tuple[str, str]:
    """Return a pair of keys, and refuse anything else."""
    pair = () if isinstance(keys, str) else one_or_many(keys)
    if len(pair) != 2 or not all(isinstance(key, str) for key in pair):
        raise TypeError(
            f"Alarms got {keys!r} in overfitting=; expected pairs of keys. Pass "
            f'[("train/loss", "val/loss")].'
        )
    return pair


def _require_keys(**keys: Any) -> None:
    """Refuse keys that are not texts."""
    example = {"spikes": "train/loss", "plateaus": "val/loss"}
    for name, value in keys.items():
        advice = f"Pass keys such as {example[name]!r}, or detectors by key."
        require_texts("Alarms", advice, **{name: value})


def _require_detectors(name: str, detectors: Mapping[Any, Any], kind: type) -> None:
    """Refuse detectors of another kind, and pairs that are none."""
    for key, detector in detectors.items():
        if kind is OverfittingDetector:
            _pair(key)
        if not isinstance(detector, kind):
            raise TypeError(
                f"Alarms got {name}= with {detector!r} for {key!r}; expected a "
                f"{kind.__name__}. Pass {{{key!r}: {kind.__name__}(...)}}."
            )


def _limits(limits: Any) -> dict[str, Limits]:
    """Return validated limits by key."""
    advice = "Pass {'grad/norm': (None, 10.0)}, with None for no limit."
    if not isinstance(limits, Mapping):
        raise TypeError(
            f"Alarms got limits={limits!r}; expected pairs of numbers by key. {advice}"
        )
    require_texts("Alarms", advice, limits=tuple(limits))
    for key, pair in limits.items():
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise TypeError(
                f"Alarms got limits={pair!r} for {key!r}; expected a lower and an "
                f"upper limit. {advice}"
            )
        known = [limit for limit in pair if limit is not None]
        for limit in known:
            require_numbers("Alarms", f"It is a limit of {key!r}.", limits=limit)
        if len(known) == 2 and known[0] > known[1]:
            raise ValueError(
                f"Alarms got limits=({pair[0]}, {pair[1]}) for {key!r}; expected the "
                "lower limit first. Swap them."
            )
    return {key: (low, high) for key, (low, high) in limits.items()}


def _require_receivers(
    places: object, compiles: object, ledger: object, on_alarm: object
) -> None:
    """Refuse arguments without the required method or call."""
    for name, value, method, advice in (
        ("places", places, "", "Pass a function of a number."),
        ("compiles", compiles, "recompiled", "Pass a CompileWatch()."),
        ("ledger", ledger, "event", "Pass logger.ledger."),
        ("on_alarm", on_alarm, "", "Pass a function of an alarm."),
    ):
        if value is None and name != "places":
            continue
        if not callable(getattr(value, method, None) if method else value):
            raise TypeError(
                f"Alarms got {name}={value!r} of type {type(value).__name__}. {advice}"
            )


def _name(pair: tuple[str, str]) -> str:
    """Return the name of a pair of keys in a state."""
    return " ".join(pair)
