"""Plots of a training: each is a function from its history to a figure."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jaxmetrics import figures
from jaxmetrics._other_names import explains_reading
from jaxmetrics.figures import PALETTE
from jaxmetrics.record import EVENTS_JSONL
from jaxmetrics.runs.plots import _panels as panels
from jaxmetrics.runs.plots import _telemetry_plots as telemetry
from jaxmetrics.runs.plots._files import checked_look, save_figure
from jaxmetrics.runs.reading import (
    History,
    at_home,
    load_history,
    summary_facts,
    writes_files,
)
from jaxmetrics.runs.reading import goodput as goodput_of_ledger

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@explains_reading
def generate_all_plots(
    source: object,
    save_dir: str | os.PathLike[str] | None = None,
    *,
    goodput: Mapping[str, float] | None = None,
    dpi: float = figures.DPI,
    format: str = "png",
    theme: str = "dark",
    overwrite: bool = False,
) -> list[Path]:
    """Write the plots of a training for which there is data, and a dashboard.

    They are the plots of `PLOT_NAMES`: eleven, and those of the telemetry of a run,
    such as `group_norms`, `quantile_bands` and `goodput_breakdown`.

    On processes of a run other than the one that writes the files, which an
    `EpochTracker` knows, nothing is written.

    Args:
      source: `EpochTracker`, whose files are read; run directory or its path; or `Run`.
      save_dir: Folder of the plots. Default the folder of the source.
      goodput: Seconds by category and the `"goodput"`, as from `runs.goodput`. Default
        those of the run, if its ledger has steps.
      dpi: Dots per inch.
      format: `"png"`, `"svg"` or `"pdf"`.
      theme: `"dark"` or `"light"`, which is for print.
      overwrite: Replace existing files that are not plots of jaxmetrics.

    Returns:
      Paths of the files; empty where nothing is written. The dashboard is always there.

    Raises:
      FileNotFoundError: There is no run.
      FileExistsError: A file of that name is not a plot of jaxmetrics.
      ImportError: matplotlib is not installed.
      ValueError: The format or the theme is unknown.
    """
    palette = checked_look(format, theme)
    if not writes_files(source):
        return []
    history = load_history(source)
    folder = Path(at_home(save_dir)) if save_dir is not None else history.output
    folder.mkdir(parents=True, exist_ok=True)
    ledger = history.folder / EVENTS_JSONL
    if goodput is None and ledger.is_file():
        spent = goodput_of_ledger(ledger)
        goodput = spent if "step" in spent else None
    paths = []
    for name, figure in _draw_all(history, goodput):
        paths.append(folder / f"{name}.{format}")
        save_figure(figure, paths[-1], dpi, overwrite, palette)
    return paths


def loss_linear(history: History) -> Figure:
    """Draw the loss, its minimum-maximum band, and the loss of the evaluation."""
    return _one_panel(panels.loss, history)


def loss_log(history: History) -> Figure:
    """Draw the loss on a logarithmic scale."""
    return _one_panel(panels.loss_log, history)


def loss_distribution(history: History) -> Figure:
    """Draw the mean of the loss and one standard deviation."""
    return _one_panel(panels.loss_distribution, history)


def learning_rate(history: History) -> Figure:
    """Draw the learning rate."""
    return _one_panel(panels.learning_rate, history)


def grad_norm(history: History) -> Figure:
    """Draw the norm of the gradient."""
    return _one_panel(panels.grad_norm, history)


def throughput(history: History) -> Figure:
    """Draw samples or tokens per second."""
    return _one_panel(panels.throughput, history)


def gpu_memory(history: History) -> Figure:
    """Draw the memory of the device: in use, reserved, and the peak."""
    return _one_panel(panels.device_memory, history)


def ema_divergence(history: History) -> Figure:
    """Draw the distance of the parameters from their moving average."""
    return _one_panel(panels.ema_divergence, history)


def epoch_timing(history: History) -> Figure:
    """Draw the seconds of each epoch or step."""
    return _one_panel(panels.epoch_timing, history)


def loss_derivative(history: History) -> Figure:
    """Draw the change of the loss: green where it falls, red where it rises."""
    return _one_panel(panels.loss_derivative, history)


def training_dashboard(
    history: History, goodput: Mapping[str, float] | None = None
) -> Figure:
    """Draw the charts that have data and a summary as text, in rows of three.

    Alarms are marked on the charts of steps.

    Args:
      history: The history.
      goodput: Seconds by category, which are drawn if there are any.
    """
    charts: list[Callable[[Axes], None]] = [
        functools.partial(_with_alarms, panel, history)
        for panel in panels.recorded_panels(history)
    ]
    if goodput:
        charts.append(functools.partial(telemetry.draw_goodput, seconds=goodput))
    rows = len(charts) // 3 + 1
    figure = figures.new_figure(20.0, 14.0 if rows == 3 else 0.8 + 4.4 * rows)
    grid = figure.add_gridspec(rows, 3)
    for index, draw in enumerate(charts):
        draw(figure.add_subplot(grid[divmod(index, 3)]))
    columns = 3 - len(charts) % 3
    _summary(figure.add_subplot(grid[-1, -columns:]), history, columns)
    figure.suptitle(
        figures.printable(f"Training of {history.name}"),
        color=PALETTE.text,
        fontsize=18,
        parse_math=False,
    )
    return figure


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

_PANELS: Mapping[str, panels.Panel] = {
    "loss_linear": panels.loss,
    "loss_log": panels.loss_log,
    "loss_distribution": panels.loss_distribution,
    "learning_rate": panels.learning_rate,
    "grad_norm": panels.grad_norm,
    "throughput": panels.throughput,
    "gpu_memory": panels.device_memory,
    "ema_divergence": panels.ema_divergence,
    "epoch_timing": panels.epoch_timing,
    "loss_derivative": panels.loss_derivative,
}

PLOT_NAMES = (*PLOTS, *telemetry.PLOTS, telemetry.goodput_breakdown.__name__)
"""Names of all plots that `generate_all_plots` may write, in its order."""


def _draw_all(
    history: History, goodput: Mapping[str, float] | None
) -> Iterator[tuple[str, Figure]]:
    """Yield the name and figure of each plot, drawing one at a time to save memory."""
    for name, plot in PLOTS.items():
        if plot is training_dashboard:
            yield name, training_dashboard(history, goodput)
        elif panels.is_recorded(_PANELS[name], history):
            yield name, plot(history)
    for name, plot in telemetry.PLOTS.items():
        figure = plot(history)
        if figure is not None:
            yield name, figure
    if goodput:
        breakdown = telemetry.goodput_breakdown
        yield breakdown.__name__, breakdown(goodput)


def _one_panel(draw: Callable[[Axes, History], None], history: History) -> Figure:
    figure = figures.new_figure()
    draw(figure.subplots(), history)
    return figure


def _with_alarms(panel: panels.Panel, history: History, axes: Axes) -> None:
    panel(axes, history)
    if axes.lines or axes.patches or axes.collections:
        panels.alarms(axes, history)


def _summary(axes: Axes, history: History, columns: int) -> None:
    """Write the facts of a training on axes that are as wide as some columns."""
    figures.style_axes(axes, "Summary", "", "")
    figures.show_message(axes, "")
    for spine in axes.spines.values():
        spine.set_visible(False)
    facts = summary_facts(history)
    if alarms := panels.alarm_events(history):
        step, count = alarms[-1]["step"], f"{sum(a['count'] for a in alarms):,}"
        known = isinstance(step, int)
        facts.append(
            ("Alarms", f"{count}, the last at step {step:,}" if known else count)
        )
    line = min(0.115, 0.96 / len(facts))
    for row, (name, fact) in enumerate(facts):
        y = 0.94 - line * row
        name, _, of = name.partition(", ")
        fact = f"{fact}, {of}" if of else fact
        for x, text, color in (
            (0.0, name, PALETTE.muted),
            (0.42 / columns, fact, PALETTE.text),
        ):
            axes.text(
                *(x, y, figures.printable(text, 44)),
                transform=axes.transAxes,
                va="top",
                color=color,
                fontsize=13,
                parse_math=False,
            )
