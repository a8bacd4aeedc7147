"""Colors that every chart uses, in image files and on HTML pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Palette(NamedTuple):
    """Colors as `#rrggbb`, by default on a dark background.

    The colors of series differ for people with a color deficiency too, those of the
    first five most.

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
    blue: str = "#4493f8"
    orange: str = "#e38306"
    teal: str = "#3ad4a4"
    pink: str = "#dd4aaa"
    purple: str = "#d1bafd"
    yellow: str = "#fbcc08"
    green: str = "#a5df8a"
    red: str = "#f4604a"

    @property
    def series(self) -> tuple[str, ...]:
        """Colors of the series of a chart, in the order in which they are assigned."""
        return tuple(self)[4:]


PALETTE = Palette()
"""The colors with which all charts are drawn."""

LIGHT_PALETTE = Palette(
    background="#ffffff",
    grid="#d8dee4",
    text="#1f2328",
    muted="#59636e",
    blue="#1f6fe5",
    orange="#cc824b",
    teal="#28554a",
    pink="#f151ad",
    purple="#5504f2",
    yellow="#b28c05",
    green="#327b4e",
    red="#c2261c",
)
"""The colors of charts on white, as in print."""

THEMES: Mapping[str, Palette] = {"dark": PALETTE, "light": LIGHT_PALETTE}
"""Palettes by the name of their theme."""
