"""Give a drawn figure the colors of another palette."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmetrics.figures._palette import PALETTE, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ("color", "markerfacecolor", "markeredgecolor", "facecolor", "edgecolor")


def use_palette(figure: Figure, palette: Palette) -> None:
    """Replace the colors of `PALETTE` in a figure by those of another palette.

    Charts are drawn with the colors of `PALETTE`; so every chart has every theme. Other
    colors, such as those of heatmaps, stay, and so does the transparency of each.

    Args:
      figure: The figure, whose artists are changed.
      palette: The colors to use.
    """
    from matplotlib.colors import to_rgb

    colors = {to_rgb(old): to_rgb(new) for old, new in zip(PALETTE, palette)}
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):  # ticks that do not exist yet
            for which in ("major", "minor"):
                options = axis.get_tick_params(which=which)
                names = ("color", "labelcolor", "grid_color")
                known = {n: options[n] for n in names if n in options}
                changed = {n: _changed(value, colors) for n, value in known.items()}
                axis.set_tick_params(which=which, **changed)
    for artist in figure.findobj():
        mapped = getattr(artist, "get_array", None)
        for name in _COLORS:
            get, change = (getattr(artist, f"{w}_{name}", None) for w in ("get", "set"))
            if get is None or change is None:
                continue
            if name == "facecolor" and mapped is not None and mapped() is not None:
                continue  # colors that follow from values
            old = get()
            new = _changed(old, colors)
            if new is not old:
                change(new)


def _changed(value: Any, colors: Mapping[Any, Any]) -> Any:
    """Return a color, or colors, of another palette; the same if not known."""
    from matplotlib.colors import to_rgba

    if np.ndim(value) == 2:
        rows = [_changed(tuple(row), colors) for row in np.asarray(value).tolist()]
        return value if np.array_equal(value, rows) else rows
    try:
        *rgb, alpha = to_rgba(value)
    except (TypeError, ValueError):  # "none", "auto"
        return value
    new = colors.get(tuple(rgb))
    return value if new is None else (*new, alpha)
