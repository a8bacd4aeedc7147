"""How plots look: dark, quiet, and with the units named."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.figures._downsample import downsample, windows
from jaxmetrics.record import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BACKGROUND, GRID, TEXT, QUIET = "#0e1117", "#2a313c", "#e6edf3", "#9aa4b2"
BLUE, ORANGE, GREEN, RED, PURPLE = "#58a6ff", "#f0a04b", "#3fb950", "#f85149", "#bc8cff"
YELLOW, TEAL, PINK = "#f2cc60", "#39c5cf", "#ff7bcb"
COLOURS = (BLUE, ORANGE, TEAL, PINK, PURPLE, YELLOW, GREEN, RED)
DPI = 180

_FEW, _MANY = 60, 400
LARGEST = 1e200  # beyond it the margins of an axis overflow
_MARK = b"Software\0jaxmetrics"


def figure(width: float = 10.0, height: float = 5.6) -> Figure:
    """An empty figure, in inches, that needs no display and no global state.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which is not installed. Run "
            "`pip install jaxmetrics[plots]`."
        ) from error
    room = ConstrainedLayoutEngine(w_pad=0.18, h_pad=0.16)
    made = Figure((width, height), facecolor=BACKGROUND, layout=room)
    FigureCanvasAgg(made)
    return made


def save(drawn: Figure, path: Path, dpi: float = DPI, overwrite: bool = False) -> None:
    """Write a figure as PNG, at once; only a picture of ours is replaced.

    With `overwrite` whatever is there is replaced.

    Raises:
      FileExistsError: The file is somebody else's.
    """
    if not overwrite and path.exists() and not is_ours(path):
        raise FileExistsError(
            f"{path} is there, and is not a plot of jaxmetrics. Move it away, choose "
            f"another save_dir, or give overwrite=True to replace it."
        )
    data = io.BytesIO()
    drawn.savefig(
        data,
        format="png",
        dpi=dpi,
        facecolor=BACKGROUND,
        metadata={"Software": "jaxmetrics"},
    )
    atomic_write(path, data.getvalue())


def is_ours(path: Path) -> bool:
    """Whether a file is a picture that `save` has written."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return _MARK in file.read(4096)


def dress(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Give axes their colours, title and units."""
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor(BACKGROUND)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)
    axes.tick_params(which="both", colors=QUIET, labelcolor=QUIET, labelsize=9.5)
    axes.set_title(
        shown(title), color=TEXT, fontsize=13, loc="left", pad=10, parse_math=False
    )
    axes.set_xlabel(shown(x_label), color=TEXT, fontsize=11, parse_math=False)
    axes.set_ylabel(shown(y_label), color=TEXT, fontsize=11, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    low, high = axes.get_xlim()
    if high - low < 1:  # one epoch
        axes.set_xlim((low + high) / 2 - 1, (low + high) / 2 + 1)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_formatter(_ticks(axis))


def say(axes: Axes, text: str) -> None:
    """Write in the middle of axes why there is nothing to see."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        *(0.5, 0.5, text),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=QUIET,
        fontsize=11,
        wrap=True,
        parse_math=False,
    )


def drawable(y: np.ndarray) -> np.ndarray:
    """Which values have a place on an axis."""
    return np.isfinite(y) & (np.abs(np.where(np.isfinite(y), y, 0)) <= LARGEST)


def line(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, **options: Any) -> Any:
    """Draw a series, with gaps where it is not finite; returns the line.

    Marks at the lower edge show where those gaps are.
    """
    whole = len(x)
    x, y = downsample(x, np.where(drawable(y), y, np.nan))
    style = {"marker": "o" if whole <= _FEW else "", "markersize": 4}
    style |= {"color": colour, "linewidth": 1.8 if whole <= _MANY else 1.1}
    (drawn,) = axes.plot(x, y, **(style | options))
    if np.isnan(y).any():
        _mark_gaps(axes, x[np.isnan(y)])
    return drawn


def noisy_line(
    axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, **options: Any
) -> Any:
    """Draw a series among others; of a long one its means, the values faint behind."""
    if len(x) <= _MANY:
        return line(axes, x, y, colour, **options)
    line(axes, x, y, colour, linewidth=0.8, alpha=0.25)
    pooled = windows(x, np.where(drawable(y), y, np.nan), most=150)
    return line(axes, pooled.x, pooled.mean, colour, marker="", **options)


def fill(
    axes: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str
) -> Any:
    """Draw the area between two series, where both are finite; returns it."""
    good = drawable(low) & drawable(high)
    if axes.get_yscale() == "log":
        good &= high > 0
        low = np.maximum(low, np.min(high[good], initial=np.inf) / 100)
    x, low, high = (np.asarray(z, np.float64) for z in (x, low, high))
    low, high = np.where(good, low, np.nan), np.where(good, high, np.nan)
    if len(x) > 1000:
        below, above = windows(x, low, 1000), windows(x, high, 1000)
        x, low, high, good = below.x, below.low, above.high, np.isfinite(below.low)
    apart = good & ~np.append(False, good[:-1]) & ~np.append(good[1:], False)
    axes.vlines(x[apart], low[apart], high[apart], colors=colour, alpha=0.4)
    return axes.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0)


def legend(
    axes: Axes, handles: Sequence[Any], names: Sequence[str], beside: bool = False
) -> None:
    """Name what was drawn, within the axes or beside them; a name may be any text."""
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if beside else {}
    box = axes.legend(
        handles,
        ["-"] * len(handles),
        facecolor=BACKGROUND,
        edgecolor=GRID,
        labelcolor=TEXT,
        fontsize=9.5,
        framealpha=0.85,
        **place,
    )
    for text, name in zip(box.get_texts(), names):
        text.set_parse_math(False)
        text.set_text(shown(name))


def shown(text: str, length: int = 90) -> str:
    """Text that a plot can show: on one line, with an end, in letters of its font."""
    from matplotlib.font_manager import findfont, get_font

    glyphs = get_font(findfont("DejaVu Sans")).get_charmap()
    if len(text) > length:
        text = f"{text[: length // 2]}…{text[-length // 2 + 1 :]}"
    return "".join(c if c.isprintable() and ord(c) in glyphs else "□" for c in text)


def tick(value: float, low: float, high: float) -> str:
    """The label of a place on an axis from `low` to `high`.

    >>> tick(12_500, 0, 50_000), tick(3e-4, 0, 3e-4), tick(2.301, 2.3, 2.305)
    ('12.5k', '3e-4', '2.301')
    """
    largest, span = max(abs(low), abs(high)), abs(high - low) or 1.0
    if value == 0 or 1e-3 <= largest < 1e15:
        units = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
        large = [(size, unit) for size, unit in units if largest >= max(size, 1e4)]
        scale, unit = large[0] if large else (1.0, "")
        decimals = min(max(math.ceil(2 - math.log10(span / scale)), 0), 12)
        text = f"{value / scale:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if decimals else text
        return text + unit if value else "0"
    digits = min(max(math.ceil(2 + math.log10(largest / span)), 0), 12)
    mantissa, _, power = f"{value:.{digits}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if digits else mantissa
    return f"{mantissa}e{int(power)}"


def _mark_gaps(axes: Axes, gaps: np.ndarray) -> None:
    low = axes.get_xaxis_transform()
    style = {"linestyle": "", "marker": "x", "markersize": 6, "clip_on": False}
    axes.plot(gaps, np.full(len(gaps), 0.015), transform=low, color=RED, **style)
    linear = axes.get_yscale() == "linear"
    name = "not finite" if linear else "not finite and positive"
    if name not in [text.get_text() for text in axes.texts]:
        axes.annotate(
            name,
            (gaps[-1], 0.015),
            (0, 7),
            xycoords=low,
            textcoords="offset points",
            ha="left" if gaps[-1] < sum(axes.get_xlim()) / 2 else "right",
            color=RED,
            fontsize=9,
        )


def _ticks(axis: Axis) -> Callable[[float, object], str]:
    def label(value: float, position: object) -> str:
        low, high = axis.get_view_interval()
        return tick(value, low, high)

    return label
