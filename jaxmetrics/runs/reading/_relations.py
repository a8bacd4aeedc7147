"""Correlation of the configuration with the results of runs.

These are statements about the runs that were made, not about causes: values that were
changed together have the same correlation, and that of few runs is uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from jaxmetrics.record import Better
from jaxmetrics.runs.reading._quantities import judged_name

_MIN_RUNS = 3
_CHANCE = 1.96  # standard deviations of a rank correlation without a relation
_MAX_VALUES = 8  # different texts, beyond which they are names rather than choices


class Relation(NamedTuple):
    """Correlation of one value of the configuration with the results of the runs.

    Attributes:
      name: Dotted name of the value.
      kind: `"rank"` for numbers, `"groups"` for other values.
      runs: Number of runs that have the value and a finite result.
      strength: Spearman's rank correlation in [-1, 1], or the share of the variance of
        the results that lies between the groups, in [0, 1].
      means: Number of runs and mean result by value, the best mean first; for numbers
        only if there are few different ones.
    """

    name: str
    kind: Literal["rank", "groups"]
    runs: int
    strength: float
    means: Mapping[str, tuple[int, float]]

    def sentence(self, key: str, better: Better) -> str:
        """Return one sentence about the relation.

        Args:
          key: Key of the results.
          better: Whether lower or higher results are better.
        """
        result = judged_name(key)
        text = ""
        if self.kind == "rank":
            number = f"rank correlation {self.strength:.2f} over {self.runs} runs"
            if _CHANCE > math.sqrt(self.runs - 1):
                text = f"too few runs tell how {self.name} goes with {key}: {number}"
            elif abs(self.strength) < _CHANCE / math.sqrt(self.runs - 1):
                text = (
                    f"no relation of {self.name} with {result} is clear: {number} is "
                    f"within chance"
                )
            else:
                is_higher = (self.strength < 0) == (better == "min")
                side = "higher" if is_higher else "lower"
                text = f"{side} {self.name} goes with better {result}: {number}"
        if self.means:
            (first, (n, best)), *_, (last, (m, worst)) = self.means.items()
            text += "; " if text else ""
            text += (
                f"{self.name}={first} has the best mean {result}, {best:.5g} over "
                f"{_counted(n)}, and {last} the worst, {worst:.5g} over {m}"
            )
        return text


def _counted(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def relations(
    difference: Mapping[str, Sequence[str | None]],
    results: Sequence[float],
    better: Better,
    seed: str = "seed",
) -> list[Relation]:
    """Return how each value that differs goes with the results, the strongest first.

    Args:
      difference: One text for each run by dotted name, None for a run without it.
      results: Best value of each run; those that are not finite are left out.
      better: Whether lower or higher results are better.
      seed: Name of the seed, or its last part, which is left out.
    """
    related = []
    for name, texts in difference.items():
        if seed in (name, name.rpartition(".")[2]):
            continue
        pairs = [(t, r) for t, r in zip(texts, results) if t is not None]
        pairs = [(text, result) for text, result in pairs if math.isfinite(result)]
        values = {text for text, _ in pairs}
        if len(pairs) < _MIN_RUNS or len(values) < 2:
            continue
        y = np.array([result for _, result in pairs])
        numbers = [_number(text) for text, _ in pairs]
        means = _means(pairs, better) if len(values) <= _MAX_VALUES else {}
        if None not in numbers:
            strength = spearman(np.array(numbers, np.float64), y)
            related.append(Relation(name, "rank", len(y), strength, means))
        elif means and len(values) < len(pairs):
            strength = _explained(pairs, y)
            related.append(Relation(name, "groups", len(y), strength, means))
    known = [relation for relation in related if math.isfinite(relation.strength)]
    return sorted(known, key=lambda relation: -abs(relation.strength))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Return Spearman's rank correlation of two arrays; nan if one is constant.

    Equal values have the mean of their ranks.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 3.0]))
    0.5
    """
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return round(float(a @ b) / scale, 12) if scale else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def _means(
    pairs: Sequence[tuple[str, float]], better: Better
) -> dict[str, tuple[int, float]]:
    by_value: dict[str, list[float]] = {}
    for text, result in pairs:
        by_value.setdefault(text, []).append(result)
    means = {text: (len(rs), float(np.mean(rs))) for text, rs in by_value.items()}
    sign = 1.0 if better == "min" else -1.0
    return dict(sorted(means.items(), key=lambda item: sign * item[1][1]))


def _explained(pairs: Sequence[tuple[str, float]], y: np.ndarray) -> float:
    """Return the share of the variance that lies between groups; nan without any."""
    scale = float(np.abs(y).max()) or 1.0  # whose square may overflow
    y, pairs = y / scale, [(text, result / scale) for text, result in pairs]
    total = float(((y - y.mean()) ** 2).sum())
    between = sum(
        n * (mean - float(y.mean())) ** 2 for n, mean in _means(pairs, "min").values()
    )
    return between / total if total else math.nan


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
