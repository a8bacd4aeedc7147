"""Plot of the predictions for fixed examples over time, from the telemetry of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics import figures
from jaxmetrics.figures import PALETTE
from jaxmetrics.runs.reading import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_COLUMNS, _MAX_ROWS = 600, 400  # cells of the map of probabilities


@dataclass(frozen=True)
class Predictions:
    """Predictions for the holdout examples at one collection.

    Attributes:
      x: Step; without steps the number of the collection, from 1.
      labels: Label of each example, `[examples]`.
      predictions: Predicted class of each example, `[examples]`.
      confidence: Probability of the predicted class, `[examples]`.
      of_label: Probability of the label, `[examples]`.
    """

    x: int
    labels: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray
    of_label: np.ndarray

    @property
    def accuracy(self) -> float:
        """Fraction of the examples whose label is predicted."""
        return float(np.mean(self.predictions == self.labels))


def holdout_predictions(history: History) -> Figure | None:
    """Draw accuracy, changed predictions and confidence for the holdout examples.

    A map has the probability of the label of each example over time, the examples that
    are learned best on top.
    """
    lines = history.run.telemetry if history.run is not None else ()
    collected = predictions_of(lines)
    if not collected:
        return None
    has_steps = all("step" in line for line in lines)
    x_label = "step" if has_steps else "collection"
    x = np.array([one.x for one in collected])
    figure = figures.new_figure(15.0, 9.6)
    grid = figure.add_gridspec(3, 2, width_ratios=(1.0, 1.1))
    count = len(collected[-1].labels)

    axes = figure.add_subplot(grid[0, 0])
    accuracy = np.array([one.accuracy for one in collected])
    figures.draw_line(axes, x, accuracy, PALETTE.blue)
    axes.set_ylim(-0.03, 1.03)
    title = f"Accuracy for {count:,} holdout examples"
    figures.style_axes(axes, title, x_label, "accuracy")

    axes = figure.add_subplot(grid[1, 0])
    figures.draw_line(axes, x[1:], flips(collected), PALETTE.orange)
    axes.set_ylim(bottom=0)
    title = "Predictions that changed since the last collection"
    figures.style_axes(axes, title, x_label, "fraction")

    axes = figure.add_subplot(grid[2, 0])
    handles, names = [], []
    groups = (
        ("right predictions", PALETTE.green, True),
        ("wrong predictions", PALETTE.red, False),
    )
    for name, color, right in groups:
        y = [
            one.confidence[(one.predictions == one.labels) == right]
            for one in collected
        ]
        mean = np.array([part.mean() if len(part) else np.nan for part in y])
        if figures.is_drawable(mean).any():
            # No gap marks: without a wrong prediction there is no confidence in one.
            known = np.isfinite(mean)
            handles.append(figures.draw_line(axes, x[known], mean[known], color))
            names.append(name)
    axes.set_ylim(-0.03, 1.03)
    figures.style_axes(axes, "Mean confidence", x_label, "probability")
    figures.add_legend(axes, handles, names)

    axes = figure.add_subplot(grid[:, 1])
    _draw_map(axes, collected, x_label)
    return figure


def predictions_of(lines: Iterable[Mapping[str, Any]]) -> list[Predictions]:
    """Return the predictions of the telemetry lines that have any.

    Binary logits are one number per example, whose sigmoid is the probability of 1.
    Lines whose parts do not fit together are left out.
    """
    collected = []
    for number, line in enumerate(lines, 1):
        holdout = line.get("holdout_logits")
        if isinstance(holdout, Mapping):
            step = line.get("step")
            one = _predictions(step if isinstance(step, int) else number, holdout)
            if one is not None:
                collected.append(one)
    return collected


def flips(collected: list[Predictions]) -> np.ndarray:
    """Return the fraction of changed predictions between collections, `[n - 1]`.

    nan where the number of examples changed.
    """
    fractions = [
        np.mean(a.predictions != b.predictions)
        if len(a.labels) == len(b.labels)
        else np.nan
        for a, b in zip(collected, collected[1:])
    ]
    return np.array(fractions, np.float64)


def _predictions(x: int, holdout: Mapping[str, Any]) -> Predictions | None:
    try:
        logits = np.array(holdout["logits"], np.float64)
        labels = np.array(holdout["labels"], np.int64)
        predictions = np.array(holdout["predictions"], np.int64)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    if logits.ndim == 1:  # binary: the logit of class 1
        logits = np.stack([np.zeros_like(logits), logits], axis=-1)
    if logits.ndim != 2 or not len(labels) == len(predictions) == len(logits) > 0:
        return None
    examples, classes = np.arange(len(labels)), logits.shape[1]
    with np.errstate(all="ignore"):
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        probabilities = odds / odds.sum(-1, keepdims=True)

    def of(numbers: np.ndarray) -> np.ndarray:
        known = (numbers >= 0) & (numbers < classes)
        chosen = probabilities[examples, np.where(known, numbers, 0)]
        return np.where(known, chosen, np.nan)

    return Predictions(x, labels, predictions, of(predictions), of(labels))


def _draw_map(axes: Any, collected: list[Predictions], x_label: str) -> None:
    """Draw the probability of the label by example and time, as colors."""
    last = collected[-1]
    shown = [one for one in collected if np.array_equal(one.labels, last.labels)]
    chosen = np.unique(np.linspace(0, len(shown) - 1, _MAX_COLUMNS).round().astype(int))
    shown = [shown[index] for index in chosen]
    values = np.stack([one.of_label for one in shown], axis=-1)
    order = np.argsort(np.nan_to_num(-values.mean(axis=-1), nan=np.inf), kind="stable")
    values = values[order[:_MAX_ROWS]]
    title = "Probability of the label, by example"
    if not figures.is_drawable(values).any():
        figures.style_axes(axes, title, "", "")
        figures.show_message(axes, "none of the values is finite")
        return
    x_edges = figures.cell_edges([one.x for one in shown])
    y_edges = figures.cell_edges(range(len(values)))
    figures.draw_heatmap(axes, x_edges, y_edges, values, limits=(0.0, 1.0))
    axes.invert_yaxis()
    figures.style_axes(axes, title, x_label, "example, best first")
    axes.grid(False)
