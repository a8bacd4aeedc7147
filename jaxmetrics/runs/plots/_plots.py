"""Plots of a training: each one a function from its history to a figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jaxmetrics import figures
from jaxmetrics.record import EVENTS_JSONL
from jaxmetrics.runs.plots import _panels as panels
from jaxmetrics.runs.plots import _telemetry_plots as telemetry
from jaxmetrics.runs.reading import History, facts, history
from jaxmetrics.runs.reading import goodput as where_time_went

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PLOTS", "generate_all_plots"]


def generate_all_plots(
    source: object,
    save_dir: str | os.PathLike[str] | None = None,
    *,
    goodput: Mapping[str, float] | None = None,
    dpi: float = figures.DPI,
    overwrite: bool = False,
) -> list[Path]:
    """Draw the eleven plots of a training as PNG, and those that its telemetry adds.

    The eleven are always drawn, and say so where nothing was recorded. The others are
    drawn where there is something: `group_norms`, `update_ratios`, `quantile_bands`,
    `dataset_losses`, `goodput_breakdown`.

    Args:
      source: An `EpochTracker`, whose files are read; a run directory or its path; or a
        `Run`.
      save_dir: Where the files go; the folder of the source if not given.
      goodput: Seconds by category, and the `"goodput"`, as `runs.goodput` gives them;
        None takes those of the run, if it has steps in its ledger.
      dpi: Dots an inch.
      overwrite: Replace files that are not plots of ours.

    Returns:
      The paths of the files.

    Raises:
      FileNotFoundError: There is no run.
      FileExistsError: A file of that name is not a plot of ours.
      ImportError: matplotlib is not installed.
    """
    drawn = history(source)
    folder = Path(save_dir) if save_dir is not None else drawn.folder
    folder.mkdir(parents=True, exist_ok=True)
    ledger = drawn.folder / EVENTS_JSONL
    if goodput is None and ledger.is_file():
        spent = where_time_went(ledger)
        goodput = spent if "step" in spent else None
    paths = []
    for name, made in _figures(drawn, goodput):
        paths.append(folder / f"{name}.png")
        figures.save(made, paths[-1], dpi, overwrite)
    return paths


def loss_linear(history: History) -> Figure:
    """The loss with its least and greatest, and a star on the best."""
    return _alone(panels.loss, history)


def loss_log(history: History) -> Figure:
    """The loss on a logarithmic scale."""
    return _alone(panels.loss_log, history)


def loss_distribution(history: History) -> Figure:
    """The mean of the loss and one standard deviation."""
    return _alone(panels.loss_distribution, history)


def learning_rate(history: History) -> Figure:
    """The learning rate."""
    return _alone(panels.learning_rate, history)


def grad_norm(history: History) -> Figure:
    """The norm of the gradient."""
    return _alone(panels.grad_norm, history)


def throughput(history: History) -> Figure:
    """Samples or tokens a second, as bars."""
    return _alone(panels.throughput, history)


def gpu_memory(history: History) -> Figure:
    """Memory of the device in use, reserved and at its peak."""
    return _alone(panels.gpu_memory, history)


def ema_divergence(history: History) -> Figure:
    """The distance of the parameters from their moving average."""
    return _alone(panels.ema_divergence, history)


def epoch_timing(history: History) -> Figure:
    """Seconds of each epoch or step."""
    return _alone(panels.epoch_timing, history)


def loss_derivative(history: History) -> Figure:
    """The change of the loss: green where it falls, red where it rises."""
    return _alone(panels.loss_derivative, history)


def training_dashboard(history: History) -> Figure:
    """Eight of the charts and a summary in words, three by three."""
    made = figures.figure(20.0, 14.0)
    charts = (
        panels.loss,
        panels.learning_rate,
        panels.grad_norm,
        panels.throughput,
        panels.gpu_memory,
        panels.ema_divergence,
        panels.epoch_timing,
        panels.loss_derivative,
        _summary,
    )
    for axes, draw in zip(made.subplots(3, 3).flat, charts):
        draw(axes, history)
    made.suptitle(
        figures.shown(f"Training of {history.name}"),
        color=figures.TEXT,
        fontsize=18,
        parse_math=False,
    )
    return made


PLOTS: Mapping[str, Callable[[History], Figure]] = {
    plot.__name__: plot
    for plot in (
        loss_linear,
        loss_log,
        loss_distribution,
        learning_rate,
        grad_norm,
        throughput,
        gpu_memory,
        ema_divergence,
        epoch_timing,
        loss_derivative,
        training_dashboard,
    )
}
"""The eleven plots, by the names of their files."""


def _figures(
    history: History, goodput: Mapping[str, float] | None
) -> Iterator[tuple[str, Figure]]:
    """Each plot that there is, drawn when it is asked for."""
    for name, plot in PLOTS.items():
        yield name, plot(history)
    for name, added in telemetry.PLOTS.items():
        made = added(history)
        if made is not None:
            yield name, made
    if goodput:
        yield "goodput_breakdown", telemetry.goodput_breakdown(goodput)


def _alone(draw: Callable[[Axes, History], None], history: History) -> Figure:
    made = figures.figure()
    draw(made.subplots(), history)
    return made


def _summary(axes: Axes, history: History) -> None:
    figures.dress(axes, "Summary", "", "")
    figures.say(axes, "")
    for spine in axes.spines.values():
        spine.set_visible(False)
    for row, (name, fact) in enumerate(facts(history)):
        y = 0.94 - 0.115 * row
        for x, text, colour in ((0.0, name, figures.QUIET), (0.3, fact, figures.TEXT)):
            axes.text(
                *(x, y, figures.shown(text, 44)),
                transform=axes.transAxes,
                va="top",
                color=colour,
                fontsize=13,
                parse_math=False,
            )
