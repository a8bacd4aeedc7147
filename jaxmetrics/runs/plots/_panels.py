"""Charts of a training, each drawn on given axes: a figure's, or the dashboard's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics import figures
from jaxmetrics.figures import PALETTE, windows
from jaxmetrics.record import recent_level
from jaxmetrics.runs.reading import (
    Evaluation,
    History,
    Series,
    at_common_x,
    marked_event,
    own_key,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_BARS = 150  # more values become an area, since bars would be too thin to see
_MAX_AREA_WINDOWS = 2000
_MAX_LOSS_WINDOWS = 100
_MAX_CHANGE_WINDOWS = 60
_MAX_ALARMS = 200
_GIB, _MIB = 2**30, 2**20
_MEMORY: Mapping[str, tuple[str, str, str]] = {
    "in use": ("mem/in_use_bytes", PALETTE.blue, "-"),
    "reserved": ("mem/reserved_bytes", PALETTE.orange, "-"),
    "peak in use": ("mem/peak_bytes", PALETTE.red, "--"),
}
"""Key, color and dashes of each line of the memory, by name."""

_COUNTED = ("samples", "tokens", "batches", "steps")

Panel = Callable[["Axes", History], None]
"""A function that draws a history on axes."""


def loss(axes: Axes, history: History, log: bool = False) -> None:
    """Draw the loss, its minimum-maximum band, and the loss of the evaluation.

    A star is on the best value: that of the evaluation where there is one, or of the
    epochs. The best value of steps is one lucky batch: without an evaluation a line is
    at the median of the last ones.
    """
    x, y = history.get("train/loss")
    evaluated = _drawable_evaluation(history, log)
    title = "Loss (log scale)" if log else "Loss"
    if evaluated is None and _nothing_to_draw(axes, y, title, "loss"):
        return
    if log:
        y = np.where(figures.is_drawable(y, log=True), y, np.nan)
        message = "no loss is positive"
        if evaluated is None and _nothing_to_draw(axes, y, title, "loss", message):
            return
        axes.set_yscale("log")
    handles, names = [], []
    name = "mean" if history.unit == "epoch" else "loss"
    if figures.is_drawable(y).any():
        handles = [figures.draw_line(axes, x, y, PALETTE.blue)]
        names = [name if evaluated is None else f"training {name}"]
        band = _band(axes, history, "train/loss_min", "train/loss_max", PALETTE.blue)
        if band is not None:
            handles, names = [*handles, band], [*names, "minimum to maximum"]
    if evaluated is not None:
        handles.append(_draw_evaluation(axes, evaluated))
        names.append(own_key(evaluated.key)[0])
        mark = _draw_star(axes, evaluated)
    elif history.unit == "epoch":
        mark = _draw_star(axes, Evaluation("", history.unit, x, y, "min"))
    else:
        mark = _draw_recent(axes, x, y)
    if mark is not None:
        handles, names = [*handles, mark[0]], [*names, mark[1]]
    figures.style_axes(axes, title, history.unit, "loss")
    figures.add_legend(axes, handles, names)


def loss_log(axes: Axes, history: History) -> None:
    """Draw the loss on a logarithmic scale."""
    loss(axes, history, log=True)


def loss_distribution(axes: Axes, history: History) -> None:
    """Draw mean and standard deviation of the loss, by epoch or by window of steps."""
    title, window = "Loss, mean ± one standard deviation", ""
    x, mean = history.get("train/loss")
    std = history.get("train/loss_std")[1]
    if len(std):
        x, mean, std = at_common_x((x, mean), history.get("train/loss_std"))
    elif len(mean) > 1:
        count = min(len(mean) // 2, _MAX_LOSS_WINDOWS)
        x, mean, std, _, _, size = windows(x, mean, count)
        window = f" of {size:,} records" if size > 1 else ""
    if _nothing_to_draw(axes, mean, title, "loss"):
        return
    if not len(std):
        std = np.full(len(mean), np.nan)
    handles = [figures.draw_line(axes, x, mean, PALETTE.blue)]
    names = [f"mean{window}"]
    if figures.is_drawable(std).any():
        band = figures.draw_band(axes, x, mean - std, mean + std, PALETTE.blue)
        handles, names = [*handles, band], [*names, "± one standard deviation"]
    if (evaluated := _drawable_evaluation(history)) is not None:
        handles.append(_draw_evaluation(axes, evaluated))
        names.append(own_key(evaluated.key)[0])
    figures.style_axes(axes, title, history.unit, "loss")
    figures.add_legend(axes, handles, names)


def learning_rate(axes: Axes, history: History) -> None:
    """Draw the learning rate, or the several rates of a run."""
    title, run, colors = "Learning rate", history.run, PALETTE.series
    keys = [key for key in run or () if key.startswith("lr/")][: len(colors)]
    if run is None or len(keys) < 2 or history.unit == "epoch":
        _single(axes, history, "lr/lr", title, "learning rate", PALETTE.orange)
        return
    all_y = np.concatenate([run[key][1] for key in keys])
    if not _nothing_to_draw(axes, all_y, title, "learning rate"):
        lines = [figures.draw_line(axes, *run[k], c) for k, c in zip(keys, colors)]
        figures.style_axes(axes, title, history.unit, "learning rate")
        figures.add_legend(axes, lines, [key.removeprefix("lr/") for key in keys])


def grad_norm(axes: Axes, history: History) -> None:
    """Draw the norm of the gradient."""
    label = "global L2 norm"
    _single(axes, history, "grad/norm", "Gradient norm", label, PALETTE.purple)


def throughput(axes: Axes, history: History) -> None:
    """Draw samples per second; without samples tokens, batches or steps.

    Epochs are bars from 0; steps are a line with a range of its own, where a short drop
    is seen.
    """
    counted, (x, y) = _throughput(history)
    title = "Throughput"
    if _nothing_to_draw(axes, y, title, "throughput"):
        return
    if history.unit == "epoch":
        _bars(axes, x, y, PALETTE.teal)
        axes.set_ylim(bottom=0)
    else:
        figures.draw_noisy_line(axes, x, y, PALETTE.teal)
    figures.style_axes(axes, title, history.unit, f"{counted} / second")


def device_memory(axes: Axes, history: History) -> None:
    """Draw the memory of the device: in use, reserved, and the peak.

    The range is that of the values, where a slow growth is seen.
    """
    title = "Device memory"
    all_y = np.concatenate([history.get(key)[1] for key, _, _ in _MEMORY.values()])
    if _nothing_to_draw(axes, all_y, title, "device memory"):
        return
    largest = np.nanmax(np.where(figures.is_drawable(all_y), all_y, np.nan))
    divisor, unit = (_GIB, "GiB") if largest >= 10 * _GIB else (_MIB, "MiB")
    handles, names = [], []
    for name, (key, color, dashes) in _MEMORY.items():
        x, y = history.get(key)
        if figures.is_drawable(y).any():
            line = figures.draw_line(axes, x, y / divisor, color, linestyle=dashes)
            handles, names = [*handles, line], [*names, name]
    figures.style_axes(axes, title, history.unit, f"memory ({unit})")
    figures.add_legend(axes, handles, names)


def ema_divergence(axes: Axes, history: History) -> None:
    """Draw the distance of the parameters from their moving average."""
    title, label = "Distance from the moving average", "L2 norm of params − EMA"
    _single(axes, history, "ema/delta_norm", title, label, PALETTE.pink)


def epoch_timing(axes: Axes, history: History) -> None:
    """Draw the seconds of each epoch, or of each step."""
    title = f"Time of each {history.unit}"
    x, y = history.get(f"perf/{history.unit}_seconds")
    if _nothing_to_draw(axes, y, title, "time"):
        return
    if history.unit == "epoch":
        _bars(axes, x, y, PALETTE.green)
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    else:
        figures.draw_noisy_line(axes, x, y, PALETTE.green)
    figures.style_axes(axes, title, history.unit, f"seconds / {history.unit}")


def loss_derivative(axes: Axes, history: History) -> None:
    """Draw the change of the loss: green where it falls, red where it rises."""
    title = f"Change of the loss per {history.unit}"
    x, y, window = _losses_to_compare(history)
    if len(y) < 2:
        message = "a change needs two losses"
        _nothing_to_draw(axes, np.zeros(0), title, "", message)
        return
    with np.errstate(all="ignore"):
        change = np.diff(y) / np.diff(x)
    if _nothing_to_draw(axes, change, title, "change of the loss"):
        return
    middle = x[1:] if history.unit == "epoch" else (x[1:] + x[:-1]) / 2
    worse = figures.is_drawable(change) & (change > 0)
    better = figures.is_drawable(change) & ~worse
    _bars(axes, middle, np.where(better, change, np.nan), PALETTE.green)
    _bars(axes, middle, np.where(worse, change, np.nan), PALETTE.red)
    axes.axhline(0, color=PALETTE.muted, linewidth=0.8)
    figures.style_axes(axes, title + window, history.unit, f"Δ loss / {history.unit}")
    patches = [_patch(PALETTE.green), _patch(PALETTE.red)]
    figures.add_legend(axes, patches, ["improves", "worsens"])


def alarms(axes: Axes, history: History) -> None:
    """Mark the steps of alarms by vertical lines, of many the last ones."""
    if history.run is None or history.unit == "epoch":
        return
    steps = [e["step"] for e in alarm_events(history) if isinstance(e["step"], int)]
    for step in dict.fromkeys(steps[-_MAX_ALARMS:]):
        axes.axvline(step, color=PALETTE.red, linewidth=0.8, alpha=0.5, zorder=1)


def alarm_events(history: History) -> list[dict[str, Any]]:
    """Return the alarms of a run, as `marked_event` does."""
    events = history.run.events if history.run is not None else ()
    marked = filter(None, map(marked_event, events))
    return [event for event in marked if event["kind"] == "alarm"]


def is_recorded(panel: Panel, history: History) -> bool:
    """Return whether a history has values for a panel, finite or not."""
    losses = len(history.get("train/loss")[1])
    if panel in (loss, loss_log):
        return losses > 0 or history.evaluation_loss is not None
    if panel in (loss_distribution, loss_derivative):
        return losses > (panel is loss_derivative)
    if panel is throughput:
        return len(_throughput(history)[1][1]) > 0
    if panel is device_memory:
        return any(_has(history, key) for key, _, _ in _MEMORY.values())
    if panel is epoch_timing:
        return _has(history, f"perf/{history.unit}_seconds")
    return _has(history, _KEYS[panel])


_KEYS: Mapping[Panel, str] = {
    learning_rate: "lr/lr",
    grad_norm: "grad/norm",
    ema_divergence: "ema/delta_norm",
}
_DASHBOARD: Sequence[Panel] = (
    *(loss, learning_rate, grad_norm, throughput, device_memory),
    *(ema_divergence, epoch_timing, loss_derivative),
)


def recorded_panels(history: History) -> list[Panel]:
    """Return the panels of the dashboard for which a history has values."""
    return [panel for panel in _DASHBOARD if is_recorded(panel, history)]


def _has(history: History, key: str) -> bool:
    return len(history.get(key)[1]) > 0


def _throughput(history: History) -> tuple[str, Series]:
    """Return what is counted per second, and the rates."""
    rates = {n: history.get(f"perf/{n}_per_second") for n in _COUNTED}
    counted = next((name for name in _COUNTED if len(rates[name][1])), _COUNTED[0])
    return counted, rates[counted]


def _drawable_evaluation(history: History, log: bool = False) -> Evaluation | None:
    """Return the loss of the evaluation, None if no value of it can be drawn."""
    loss = history.evaluation_loss
    if loss is None or not figures.is_drawable(loss.y, log).any():
        return None
    y = np.where(figures.is_drawable(loss.y, log), loss.y, np.nan)
    return loss._replace(y=y)


def _draw_evaluation(axes: Axes, loss: Evaluation) -> Any:
    return figures.draw_line(axes, loss.x, loss.y, PALETTE.orange, zorder=3)


def _draw_star(axes: Axes, series: Evaluation) -> tuple[Any, str]:
    """Draw a star on the best value; return it and its name."""
    drawable = np.where(figures.is_drawable(series.y), series.y, np.nan)
    best = series._replace(y=drawable).best()
    assert best is not None, "drawn only with a drawable value"
    style = {"marker": "*", "markersize": 16, "linestyle": "", "zorder": 5}
    (star,) = axes.plot(*best, color=PALETTE.yellow, **style)
    return star, f"best {best[1]:.4g} at {series.unit} {best[0]:,}"


def _draw_recent(axes: Axes, x: np.ndarray, y: np.ndarray) -> tuple[Any, str] | None:
    """Draw a line at the median of the last records; return it and its name."""
    recent = recent_level(x, np.where(figures.is_drawable(y), y, np.nan))
    if recent is None or not np.isfinite(recent.median):
        return None
    ends, level = [recent.start, recent.end], [recent.median] * 2
    style = {"linewidth": 3.0, "solid_capstyle": "butt", "zorder": 5}
    (line,) = axes.plot(ends, level, color=PALETTE.yellow, **style)
    return line, f"median {recent.median:.4g} of the last {recent.steps:,} steps"


def _losses_to_compare(history: History) -> tuple[np.ndarray, np.ndarray, str]:
    """Return x, losses and a note: those of epochs, or means of windows of steps.

    The difference of the losses of two steps is mostly noise.
    """
    x, y = history.get("train/loss")
    y = np.where(figures.is_drawable(y), y, np.nan)
    if history.unit == "epoch" or len(x) < 4:
        return x, y, ""
    pooled = windows(x, y, _MAX_CHANGE_WINDOWS)
    note = f" (means of {pooled.size:,} records)" if pooled.size > 1 else ""
    return pooled.x, pooled.mean, note


def _single(
    axes: Axes, history: History, key: str, title: str, label: str, color: str
) -> None:
    x, y = history.get(key)
    if not _nothing_to_draw(axes, y, title, title[0].lower() + title[1:]):
        figures.draw_line(axes, x, y, color)
        figures.style_axes(axes, title, history.unit, label)


def _nothing_to_draw(
    axes: Axes, y: np.ndarray, title: str, quantity: str, message: str = ""
) -> bool:
    """Return whether no value can be drawn, after writing the reason on the axes.

    Args:
      axes: The axes.
      y: Values to draw.
      title: Title of the axes.
      quantity: Name of the values, for the reason.
      message: Another reason.
    """
    if figures.is_drawable(y).any():
        return False
    reason = f"no {quantity} was recorded"
    if len(y):
        reason = f"none of {len(y):,} values is finite"
    figures.style_axes(axes, title, "", "")
    figures.show_message(axes, message or reason)
    return True


def _band(axes: Axes, history: History, low_key: str, high_key: str, color: str) -> Any:
    """Draw the area between two keys where both are known; return None without one."""
    x, low, high = at_common_x(history.get(low_key), history.get(high_key))
    if not (figures.is_drawable(low) & figures.is_drawable(high)).any():
        return None
    return figures.draw_band(axes, x, low, high, color)


def _bars(axes: Axes, x: np.ndarray, y: np.ndarray, color: str) -> None:
    """Draw a bar for each value; of more than 150 values an area."""
    gaps = np.diff(x)
    if len(x) <= _MAX_BARS:
        width = 0.8 * float(gaps.min()) if len(gaps) else 0.8
        good = figures.is_drawable(y)
        axes.bar(x[good], y[good], width=width, color=color)
        if len(x) == 1:
            axes.set_xlim(x[0] - 2, x[0] + 2)
        return
    pooled = windows(x, np.where(figures.is_drawable(y), y, np.nan), _MAX_AREA_WINDOWS)
    for edge in (pooled.high, pooled.low):  # both, so that no spike is lost
        axes.fill_between(
            pooled.x, 0, edge, step="mid", color=color, alpha=0.8, linewidth=0.5
        )


def _patch(color: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=color)
