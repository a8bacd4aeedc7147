"""Figures and axes: style, legend, labels and tick labels."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from jaxmetrics.figures._palette import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

DPI = 180
"""Resolution of saved figures, in dots per inch."""

_INLINE_DPI = 72
_X_MARGIN = 0.015  # of the width, where x counts something
_TICK_STEPS = (1, 2, 2.5, 5, 10)  # multiples of which the last x often is one
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def new_figure(width: float = 10.0, height: float = 5.6) -> Figure:
    """Return an empty figure that needs no display and no pyplot state.

    A notebook shows it where it is the value of a cell.

    Args:
      width: Width in inches.
      height: Height in inches.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        figure_class = _inline_figure()
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which is not installed. Run "
            "`pip install jaxmetrics[plots]`."
        ) from error
    layout = ConstrainedLayoutEngine(w_pad=0.18, h_pad=0.16)
    figure = figure_class((width, height), facecolor=PALETTE.background, layout=layout)
    FigureCanvasAgg(figure)
    return figure


@functools.cache
def _inline_figure() -> type[Figure]:
    """Return a class of figures that notebooks show also without pyplot."""
    from matplotlib.figure import Figure

    class InlineFigure(Figure):
        def _repr_png_(self) -> bytes:
            """Return the figure as PNG, for IPython."""
            picture = io.BytesIO()
            self.savefig(picture, format="png", dpi=_INLINE_DPI)
            return picture.getvalue()

    return InlineFigure


def style_axes(
    axes: Axes, title: str, x_label: str, y_label: str, integer_x: bool = True
) -> None:
    """Set colors, grid, title, axis labels and tick labels; any text is shown as is.

    Call it after drawing: the tick labels depend on the scale of the axes.

    Args:
      axes: The axes.
      title: Title.
      x_label: Label of the x axis.
      y_label: Label of the y axis.
      integer_x: Whether x counts something, such as steps, and has ticks at integers.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor(PALETTE.background)
    axes.grid(color=PALETTE.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(PALETTE.grid)
    muted = PALETTE.muted
    axes.tick_params(which="both", colors=muted, labelcolor=muted, labelsize=9.5)
    text = {"color": PALETTE.text, "parse_math": False}
    axes.set_title(printable(title), fontsize=13, loc="left", pad=10, **text)
    axes.set_xlabel(printable(x_label), fontsize=11, **text)
    axes.set_ylabel(printable(y_label), fontsize=11, **text)
    if integer_x:
        axes.margins(x=_X_MARGIN)
        locator = MaxNLocator(nbins=8, integer=True, steps=_TICK_STEPS)
        axes.xaxis.set_major_locator(locator)
        low, high = axes.get_xlim()
        if high - low < 1:  # a single epoch
            axes.set_xlim((low + high) / 2 - 1, (low + high) / 2 + 1)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_formatter(_tick_formatter(axis))
        elif axis.get_scale() == "log":
            axis.set_major_formatter(_log_formatter())
            axis.set_minor_formatter(_log_formatter())


def show_message(axes: Axes, text: str) -> None:
    """Replace the content of axes by a message, such as "not recorded"."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        *(0.5, 0.5, text),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=PALETTE.muted,
        fontsize=11,
        wrap=True,
        parse_math=False,
    )


def add_legend(
    axes: Axes,
    handles: Sequence[Any],
    names: Sequence[str],
    outside: bool = False,
    title: str = "",
) -> None:
    """Add a legend.

    Args:
      axes: The axes.
      handles: The drawn artists.
      names: Names of the artists; any text, never parsed as math.
      outside: Place the legend to the right of the axes.
      title: Text above the names, such as what they have in common.
    """
    # Matplotlib warns on a slow machine unless the place is given, also if it is best.
    place: dict[str, Any] = {"loc": "best"}
    if outside:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    legend = axes.legend(
        handles,
        ["-"] * len(handles),
        facecolor=PALETTE.background,
        edgecolor=PALETTE.grid,
        labelcolor=PALETTE.text,
        fontsize=9.5,
        framealpha=0.85,
        title=title or None,
        title_fontsize=9.5,
        **place,
    )
    legend.get_title().set_color(PALETTE.text)
    # Set afterwards: matplotlib hides names that begin with "_" and parses "$".
    for text, name in zip(legend.get_texts(), names):
        text.set_parse_math(False)
        text.set_text(printable(name))


def printable(text: str, length: int = 90) -> str:
    """Return text that the font of the plots can show, on one line.

    Args:
      text: Any text. Characters without a glyph, line breaks included, become `□`.
      length: Maximum number of characters; of a longer text the middle is cut out.
    """
    from matplotlib.font_manager import findfont, get_font

    glyphs = get_font(findfont("DejaVu Sans")).get_charmap()
    if len(text) > length:
        text = f"{text[: length // 2]}…{text[-length // 2 + 1 :]}"
    return "".join(c if c.isprintable() and ord(c) in glyphs else "□" for c in text)


def tick_label(value: float, low: float, high: float) -> str:
    """Return the label of a tick on an axis from `low` to `high`.

    >>> tick_label(12_500, 0, 50_000), tick_label(3e-4, 0, 3e-4)
    ('12.5k', '3e-4')
    >>> tick_label(2.301, 2.3, 2.305)
    '2.301'
    """
    largest, span = max(abs(low), abs(high)), abs(high - low) or 1.0
    if value == 0 or 1e-3 <= largest < 1e15:
        units = [(size, unit) for size, unit in _UNITS if largest >= max(size, 1e4)]
        scale, unit = units[0] if units else (1.0, "")
        decimals = min(max(math.ceil(2 - math.log10(span / scale)), 0), 12)
        text = f"{value / scale:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if decimals else text
        return text + unit if value else "0"
    digits = min(max(math.ceil(2 + math.log10(largest / span)), 0), 12)
    mantissa, _, power = f"{value:.{digits}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if digits else mantissa
    return f"{mantissa}e{int(power)}"


def log_tick_label(value: float) -> str:
    """Return the label of a tick on a logarithmic axis.

    >>> [log_tick_label(value) for value in (3e-5, 0.01, 3, 1e3, 2e4)]
    ['3e-5', '0.01', '3', '1,000', '20k']
    """
    if not 1e-3 <= value < 1e15:
        mantissa, _, power = f"{value:.6e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
    sizes = [(size, unit) for size, unit in _UNITS if value >= max(size, 1e4)]
    scale, unit = sizes[0] if sizes else (1.0, "")
    return f"{value / scale:,.6g}{unit}"


def _log_formatter() -> Formatter:
    """Return a formatter with the usual choice of ticks, but labels without powers."""
    from matplotlib.ticker import LogFormatter

    class PlainLogFormatter(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return log_tick_label(x) if super().__call__(x, pos) else ""

    return PlainLogFormatter()


def _tick_formatter(axis: Axis) -> Callable[[float, object], str]:
    def label(value: float, position: object) -> str:
        low, high = axis.get_view_interval()
        return tick_label(value, low, high)

    return label
