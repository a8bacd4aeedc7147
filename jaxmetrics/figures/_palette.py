"""Colors that every chart uses, in PNG files and on HTML pages."""

from __future__ import annotations

from typing import NamedTuple


class Palette(NamedTuple):
    """Colors as `#rrggbb`, on a dark background.

    Attributes:
      background: Background of figures and axes.
      grid: Grid lines, axes and frames.
      text: Titles and labels.
      muted: Tick labels and notes.
      blue: First color of `series`; used for losses.
      orange: Second color of `series`.
      teal: Third color of `series`.
      pink: Fourth color of `series`.
      purple: Fifth color of `series`.
      yellow: Sixth color of `series`; marks the best value.
      green: Seventh color of `series`; marks an improvement.
      red: Last color of `series`; marks problems and values that are not finite.
    """

    background: str = "#0e1117"
    grid: str = "#2a313c"
    text: str = "#e6edf3"
    muted: str = "#9aa4b2"
    blue: str = "#58a6ff"
    orange: str = "#f0a04b"
    teal: str = "#39c5cf"
    pink: str = "#ff7bcb"
    purple: str = "#bc8cff"
    yellow: str = "#f2cc60"
    green: str = "#3fb950"
    red: str = "#f85149"

    @property
    def series(self) -> tuple[str, ...]:
        """Colors of the series of a chart, in the order in which they are assigned."""
        return tuple(self)[4:]


PALETTE = Palette()
"""The colors of all charts."""
