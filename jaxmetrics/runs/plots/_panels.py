"""The charts of a training, each drawn on axes: alone, or in the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics import figures
from jaxmetrics.figures import windows
from jaxmetrics.runs.reading import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_BARS = 150


def loss(axes: Axes, history: History, log: bool = False) -> None:
    """The loss, from its least to its greatest, with a star on the best one."""
    x, y = history.get("loss_mean")
    title = "Loss (log scale)" if log else "Loss"
    if _missing(axes, y, title, "loss"):
        return
    if log:
        y = np.where(y > 1 / figures.LARGEST, y, np.nan)
        if _missing(axes, y, title, "loss", "no loss is positive"):
            return
        axes.set_yscale("log")
    handles = [figures.line(axes, x, y, figures.BLUE)]
    names = ["mean" if history.unit == "epoch" else "loss"]
    band = _band(axes, history, "loss_min", "loss_max", figures.BLUE)
    if band is not None:
        handles, names = [*handles, band], [*names, "least to greatest"]
    good = np.where(figures.drawable(y), y, np.inf)
    best = int(np.argmin(good))
    (star,) = axes.plot(
        x[best],
        y[best],
        marker="*",
        markersize=16,
        color=figures.YELLOW,
        linestyle="",
        zorder=5,
    )
    names.append(f"best {y[best]:.4g} at {history.unit} {x[best]:,}")
    figures.dress(axes, title, history.unit, "loss")
    figures.legend(axes, [*handles, star], names)


def loss_log(axes: Axes, history: History) -> None:
    """The loss on a logarithmic scale."""
    loss(axes, history, log=True)


def loss_distribution(axes: Axes, history: History) -> None:
    """The mean and one standard deviation, of each epoch or of windows of steps."""
    title, over = "Loss, mean ± one standard deviation", ""
    x, mean = history.get("loss_mean")
    at, std = history.get("loss_std")
    if len(std):
        x, mean = x[np.isin(x, at)], mean[np.isin(x, at)]
        std = std[np.isin(at, x)]
    elif len(mean) > 1:
        x, mean, std, _, _, size = windows(x, mean, most=min(len(mean) // 2, 100))
        over = f" of {size:,} records" if size > 1 else ""
    if _missing(axes, mean, title, "loss"):
        return
    if not len(std):
        std = np.full(len(mean), np.nan)
    middle = figures.line(axes, x, mean, figures.BLUE)
    handles, names = [middle], [f"mean{over}"]
    if figures.drawable(std).any():
        inner = figures.fill(axes, x, mean - std, mean + std, figures.BLUE)
        handles, names = [*handles, inner], [*names, "± one standard deviation"]
    figures.dress(axes, title, history.unit, "loss")
    figures.legend(axes, handles, names)


def learning_rate(axes: Axes, history: History) -> None:
    """The learning rate, or those that a run has."""
    title, run = "Learning rate", history.run
    keys = [key for key in run or () if key.startswith("lr/")][: len(figures.COLOURS)]
    if run is None or len(keys) < 2 or history.unit == "epoch":
        _single(axes, history, "lr", title, "learning rate", figures.ORANGE)
        return
    every = np.concatenate([run[key][1] for key in keys])
    if not _missing(axes, every, title, "learning rate"):
        lines = [figures.line(axes, *run[k], c) for k, c in zip(keys, figures.COLOURS)]
        figures.dress(axes, title, history.unit, "learning rate")
        figures.legend(axes, lines, [key.removeprefix("lr/") for key in keys])


def grad_norm(axes: Axes, history: History) -> None:
    """The norm of the gradient."""
    label = "global L2 norm"
    _single(axes, history, "grad_norm", "Gradient norm", label, figures.PURPLE)


def throughput(axes: Axes, history: History) -> None:
    """Samples a second as bars; tokens a second when there are no samples."""
    for what in ("samples", "tokens"):
        x, y = history.get(f"{what}_per_sec")
        if len(y):
            break
    else:
        what = "samples"
    title = "Throughput"
    if _missing(axes, y, title, "throughput"):
        return
    _bars(axes, x, y, figures.TEAL)
    axes.set_ylim(bottom=0)
    figures.dress(axes, title, history.unit, f"{what} / second")


def gpu_memory(axes: Axes, history: History) -> None:
    """Memory of the device: in use, held, and the most that was in use."""
    title = "Device memory"
    fields = {
        "in use": ("gpu_allocated_mb", figures.BLUE, "-"),
        "reserved": ("gpu_reserved_mb", figures.ORANGE, "-"),
        "peak in use": ("gpu_peak_mb", figures.RED, "--"),
    }
    found = {n: (*history.get(f), c, s) for n, (f, c, s) in fields.items()}
    every = np.concatenate([y for _, y, _, _ in found.values()])
    if _missing(axes, every, title, "device memory"):
        return
    large = np.nanmax(np.where(figures.drawable(every), every, np.nan)) >= 10 * 1024
    scale, unit = (1024, "GiB") if large else (1, "MiB")
    handles, names = [], []
    for name, (x, y, colour, dashes) in found.items():
        if figures.drawable(y).any():
            handles.append(figures.line(axes, x, y / scale, colour, linestyle=dashes))
            names.append(name)
    axes.set_ylim(0, 1.1 * max(axes.get_ylim()))
    figures.dress(axes, title, history.unit, f"memory ({unit})")
    figures.legend(axes, handles, names)


def ema_divergence(axes: Axes, history: History) -> None:
    """How far the parameters are from their moving average."""
    title, label = "Distance from the moving average", "L2 norm of params − EMA"
    _single(axes, history, "ema_delta_norm", title, label, figures.PINK)


def epoch_timing(axes: Axes, history: History) -> None:
    """Seconds of each epoch, or of a step."""
    title = f"Time of each {history.unit}"
    x, y = history.get("epoch_time_sec")
    if _missing(axes, y, title, "time"):
        return
    if history.unit == "epoch":
        _bars(axes, x, y, figures.GREEN)
    else:
        figures.line(axes, x, y, figures.GREEN)
    axes.set_ylim(bottom=0)
    figures.dress(axes, title, history.unit, f"seconds / {history.unit}")


def loss_derivative(axes: Axes, history: History) -> None:
    """The change of the loss: green where it falls, red where it rises."""
    title, x, y, over = f"Change of the loss per {history.unit}", *_loss_ends(history)
    if len(y) < 2:
        _missing(axes, np.zeros(0), title, "", "a change takes two losses")
        return
    with np.errstate(all="ignore"):
        change = np.diff(y) / np.diff(x)
    if _missing(axes, change, title, "change of the loss"):
        return
    places = x[1:] if history.unit == "epoch" else (x[1:] + x[:-1]) / 2
    worse = figures.drawable(change) & (change > 0)
    better = figures.drawable(change) & ~worse
    _bars(axes, places, np.where(better, change, np.nan), figures.GREEN)
    _bars(axes, places, np.where(worse, change, np.nan), figures.RED)
    axes.axhline(0, color=figures.QUIET, linewidth=0.8)
    figures.dress(axes, title + over, history.unit, f"Δ loss / {history.unit}")
    patches = [_patch(figures.GREEN), _patch(figures.RED)]
    figures.legend(axes, patches, ["improves", "worsens"])


def _loss_ends(history: History) -> tuple[np.ndarray, np.ndarray, str]:
    """Losses to compare: of epochs, or the means of windows of noisy steps."""
    x, y = history.get("loss_mean")
    if history.unit == "epoch" or len(x) < 4:
        return x, np.where(figures.drawable(y), y, np.nan), ""
    pooled = windows(x, np.where(figures.drawable(y), y, np.nan), most=60)
    over = f" (means of {pooled.size:,} records)" if pooled.size > 1 else ""
    return pooled.x, pooled.mean, over


def _single(
    axes: Axes, history: History, field: str, title: str, label: str, colour: str
) -> None:
    x, y = history.get(field)
    if not _missing(axes, y, title, title[0].lower() + title[1:]):
        figures.line(axes, x, y, colour)
        figures.dress(axes, title, history.unit, label)


def _missing(axes: Axes, y: np.ndarray, title: str, what: str, why: str = "") -> bool:
    """Say why when there is nothing to draw."""
    if figures.drawable(y).any():
        return False
    figures.dress(axes, title, "", "")
    nothing = f"no {what} was recorded"
    figures.say(
        axes, why or (f"none of {len(y):,} values is finite" if len(y) else nothing)
    )
    return True


def _band(axes: Axes, history: History, low: str, high: str, colour: str) -> Any:
    """The area between two fields, where both are known; None without one."""
    (x, least), (x_high, greatest) = history.get(low), history.get(high)
    both, mine, its = np.intersect1d(x, x_high, return_indices=True)
    if not (figures.drawable(least[mine]) & figures.drawable(greatest[its])).any():
        return None
    return figures.fill(axes, both, least[mine], greatest[its], colour)


def _bars(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    """A bar for each value, or an area when the bars would be too thin to see."""
    gaps = np.diff(x)
    if len(x) <= _MOST_BARS:
        width = 0.8 * float(gaps.min()) if len(gaps) else 0.8
        good = figures.drawable(y)
        axes.bar(x[good], y[good], width=width, color=colour)
        if len(x) == 1:
            axes.set_xlim(x[0] - 2, x[0] + 2)
        return
    pooled = windows(x, np.where(figures.drawable(y), y, np.nan), 2000)
    at = pooled.x
    for edge in (pooled.high, pooled.low):  # both, so that no spike is lost
        axes.fill_between(
            at, 0, edge, step="mid", color=colour, alpha=0.8, linewidth=0.5
        )


def _patch(colour: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour)
