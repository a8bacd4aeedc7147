"""Find a quantity in a run, whatever name it was logged under.

What is logged today has the project's keys. Directories of earlier versions, logs of
`MetricsLog`, and loops that keep names of their own have others: `train/learning_rate`,
`throughput_samples_per_sec`, `eval/avg_loss`. The names are those of
`jaxmetrics.record.spellings`; only names that say less than a key are listed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from jaxmetrics.record import (
    CONVERSIONS,
    EVALUATION_SPLITS,
    NO_DIRECTIONS,
    SPELLINGS,
    Better,
    direction,
    spellings,
)

Series = tuple[np.ndarray, np.ndarray]
"""x and y of a series, `[n]` each."""

_LOSSES = ("loss", "total_loss", "avg_loss", "cross_entropy")
_SPEED = re.compile(r"(?:seconds|per_sec(?:ond)?)$")


class Columns(Protocol):
    """Series by name: a `Run`, or a dict."""

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        ...

    def __contains__(self, name: object, /) -> bool:
        """Return whether there is a series of this name."""
        ...

    def __getitem__(self, name: str, /) -> Series:
        """Return x and y of a series."""
        ...


class Evaluation(NamedTuple):
    """A series of an evaluation.

    Attributes:
      key: Name under which it was logged.
      unit: Unit of x, `"epoch"` or `"step"`.
      x: Positions, ascending, `[n]`.
      y: Values, `[n]`.
      better: Whether lower or higher values are better.
    """

    key: str
    unit: str
    x: np.ndarray
    y: np.ndarray
    better: Better

    def best(self) -> tuple[int, float] | None:
        """Return x and y of the best value, the first one; None if none is finite."""
        finite = np.isfinite(self.y)
        if not finite.any():
            return None
        sign = 1.0 if self.better == "min" else -1.0
        index = int(np.argmin(np.where(finite, sign * self.y, np.inf)))
        return int(self.x[index]), float(self.y[index])


def quantity(columns: Columns, key: str) -> Series | None:
    """Return x and y of a quantity in the unit of its key; None if it is not there.

    >>> rates = np.arange(2), np.array([0.2, 0.1])
    >>> quantity({"train/learning_rate": rates}, "lr/lr")[1].tolist()
    [0.2, 0.1]
    """
    for name, factor in _names(key):
        if name in columns:
            x, y = columns[name]
            return x, (y if factor == 1.0 else y * factor)
    return None


def own_key(name: str) -> tuple[str, float]:
    """Return the project's key for a name, and the factor to its unit.

    A name that is not known is its own key.

    >>> own_key("train/learning_rate"), own_key("gpu_peak_mb"), own_key("train/x")
    (('lr/lr', 1.0), ('mem/peak_bytes', 1048576.0), ('train/x', 1.0))
    >>> own_key("eval_loss")
    ('eval/loss', 1.0)
    """
    if name in _OWN_KEYS:
        return _OWN_KEYS[name]
    inner = name.removeprefix("train/")
    for split in ("train", *EVALUATION_SPLITS):
        for separator in "/_":
            rest = inner.removeprefix(split + separator)
            if rest and rest != inner and not (separator == "_" and "/" in rest):
                return f"{split}/{rest}", 1.0
    return name, 1.0


def is_train_loss(key: str) -> bool:
    """Return whether a key is the training loss, whatever name it was logged under.

    >>> is_train_loss("loss"), is_train_loss("train_web/loss")
    (True, False)
    """
    return own_key(key)[0] == "train/loss"


def judged_name(key: str) -> str:
    """Return the name of the value of a key by which runs are judged.

    >>> judged_name("val/loss"), judged_name("train/loss")
    ('best val/loss', 'recent train/loss')
    """
    return f"{'recent' if is_train_loss(key) else 'best'} {key}"


def common_names(runs: Sequence[Columns]) -> list[dict[str, tuple[str, float]]]:
    """Return the keys to rename so that runs have one name for a quantity.

    Only what has different names in different runs is renamed, and only where no run
    has both names.

    Returns:
      For each run the new key, and the factor to its unit, by key.

    >>> old, new = {"train/learning_rate": ...}, {"lr/lr": ...}
    >>> common_names([old, new])
    [{'train/learning_rate': ('lr/lr', 1.0)}, {}]
    """
    names: dict[str, set[str]] = {}
    together: set[tuple[str, str]] = set()
    for run in runs:
        own_names: dict[str, list[str]] = {}
        for name in run:
            own_names.setdefault(own_key(name)[0], []).append(name)
        for own, several in own_names.items():
            names.setdefault(own, set()).update(several)
            if len(several) > 1:
                together.update((own, name) for name in several)
    return [
        {
            name: own_key(name)
            for name in run
            if name != (own := own_key(name)[0])
            and len(names[own]) > 1
            and not any((own, other) in together for other in names[own])
        }
        for run in runs
    ]


def evaluation(
    columns: Columns, unit: str, better: Mapping[str, Better] = NO_DIRECTIONS
) -> Evaluation | None:
    """Return the series by which models are chosen; None without an evaluation.

    It is the loss of the first of the splits `EVALUATION_SPLITS` that has one; without
    a loss the first of their metrics of known direction.

    Args:
      columns: Series by name.
      unit: Unit of x.
      better: Directions that the run recorded, by name.
    """
    loss = evaluation_loss(columns, unit)
    if loss is not None:
        return loss
    for split in EVALUATION_SPLITS:
        for name in columns:
            known, of_split = direction(name, better), (f"{split}/", f"{split}_")
            if not known or _SPEED.search(name):
                continue
            if own_key(name)[0].startswith(of_split):
                return Evaluation(name, unit, *columns[name], known)
    return None


def evaluation_loss(columns: Columns, unit: str) -> Evaluation | None:
    """Return the loss of the first split of an evaluation that has one.

    A split that has only datasets counts if it has the loss of a single one.

    Args:
      columns: Series by name.
      unit: Unit of x.
    """
    for split in EVALUATION_SPLITS:
        for loss in _LOSSES:
            for name, _ in _names(f"{split}/{loss}"):
                if name in columns:
                    return Evaluation(name, unit, *columns[name], "min")
        datasets = [
            name
            for name in columns
            if name.startswith(f"{split}_") and name.endswith("/loss")
        ]
        if len(datasets) == 1:
            return Evaluation(datasets[0], unit, *columns[datasets[0]], "min")
    return None


def _names(key: str) -> Iterator[tuple[str, float]]:
    """Yield the names of a quantity, and the factors to the unit of its key."""
    for name in spellings(key):
        yield name, 1.0
    for other, (converted, factor) in CONVERSIONS.items():
        if converted == key:
            for name in spellings(other):
                yield name, factor


_OWN_KEYS: Mapping[str, tuple[str, float]] = {
    name: (key, 1.0) for key, names in SPELLINGS.items() for name in (*names, key)
} | {
    name: conversion
    for other, conversion in CONVERSIONS.items()
    for name in spellings(other)
}
