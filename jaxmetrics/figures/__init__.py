"""Draw charts from NumPy arrays.

Metrics, reports and the viewer draw with these functions, so that all charts look
alike. The package imports nothing of jaxmetrics; matplotlib is imported when a figure
is made, and no function uses pyplot or its global state.

- Figures and axes: `new_figure`, `style_axes`, `add_legend`, `show_message`.
- Marks: `draw_line`, `draw_noisy_line`, `draw_band`; `is_drawable` says which values an
  axis can show.
- Values: `charts_of` chooses the chart of a value, `draw_charts` draws several;
  `Heatmap`, `Curves`, `Bars` and `HistogramBars` are the charts; `draw_heatmap` and
  `cell_edges` draw a matrix.
- Text: `printable`, `tick_label`.
- Data: `downsample`, `window_extremes`, `window_means`, `window_size`, `windows`.
- Colors: `use_palette` gives a figure the colors of another palette, such as those of
  the `THEMES`.
- Constants: `PALETTE`, `LIGHT_PALETTE`, `DPI`.

>>> import numpy as np
>>> figure = new_figure()
>>> axes = figure.subplots()
>>> line = draw_line(axes, np.arange(3), np.array([2.0, 1.0, 0.5]), PALETTE.blue)
>>> style_axes(axes, "Loss", "step", "loss")
>>> add_legend(axes, [line], ["train"])
"""

from jaxmetrics.figures._charts import (
    Bars,
    Chart,
    Curves,
    Heatmap,
    HistogramBars,
    cell_edges,
    charts_of,
    draw_charts,
    draw_heatmap,
)
from jaxmetrics.figures._downsample import (
    Windows,
    downsample,
    window_extremes,
    window_means,
    window_size,
    windows,
)
from jaxmetrics.figures._figure import (
    DPI,
    add_legend,
    new_figure,
    printable,
    show_message,
    style_axes,
    tick_label,
)
from jaxmetrics.figures._marks import (
    draw_band,
    draw_line,
    draw_noisy_line,
    is_drawable,
)
from jaxmetrics.figures._palette import LIGHT_PALETTE, PALETTE, THEMES, Palette
from jaxmetrics.figures._theme import use_palette

__all__ = [
    "Bars",
    "Chart",
    "Curves",
    "DPI",
    "Heatmap",
    "HistogramBars",
    "LIGHT_PALETTE",
    "PALETTE",
    "Palette",
    "THEMES",
    "Windows",
    "add_legend",
    "cell_edges",
    "charts_of",
    "downsample",
    "draw_band",
    "draw_charts",
    "draw_heatmap",
    "draw_line",
    "draw_noisy_line",
    "is_drawable",
    "new_figure",
    "printable",
    "show_message",
    "style_axes",
    "tick_label",
    "use_palette",
    "window_extremes",
    "window_means",
    "window_size",
    "windows",
]
