"""Write plots as image files, and recognize them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from jaxmetrics.figures import DPI, PALETTE, THEMES, Palette, use_palette
from jaxmetrics.record import atomic_write, open_read
from jaxmetrics.runs.reading import ExistingFileError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
"""Formats of plots, which are the suffixes of their files."""

_METADATA = {
    "png": {"Software": "jaxmetrics"},
    "svg": {"Creator": "jaxmetrics", "Date": None},
    "pdf": {"Creator": "jaxmetrics", "CreationDate": None},
}
_MARKERS = (  # the same, as the formats store it
    b"Software\0jaxmetrics",
    b"<dc:title>jaxmetrics</dc:title>",
    b"/Creator (jaxmetrics)",
)
_ENDS = 4096  # bytes at both ends of a file in which the marker is


def save_figure(
    figure: Figure,
    path: Path,
    dpi: float = DPI,
    overwrite: bool = False,
    palette: Palette = PALETTE,
) -> None:
    """Write a figure in the format of the suffix of its file, atomically.

    Args:
      figure: The figure.
      path: File to write. An existing plot of jaxmetrics is replaced.
      dpi: Dots per inch.
      overwrite: Replace any other existing file too.
      palette: Colors, which the figure has afterwards.

    Raises:
      FileExistsError: The file exists and was not written by jaxmetrics.
    """
    if not overwrite and path.exists() and not is_own_plot(path):
        raise ExistingFileError(
            path, f"{path} exists and is not a plot written by jaxmetrics."
        )
    if palette != PALETTE:
        use_palette(figure, palette)
    kind = path.suffix[1:]
    data = io.BytesIO()
    figure.savefig(
        data,
        format=kind,
        dpi=dpi,
        facecolor=palette.background,
        metadata=_METADATA[kind],
    )
    atomic_write(path, data.getvalue())


def is_own_plot(path: Path) -> bool:
    """Return whether a file is a plot that `save_figure` wrote."""
    if not path.is_file():
        return False
    with open(open_read(path, follow_links=True), "rb") as file:
        ends = file.read(_ENDS)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(size - _ENDS, 0))
        ends += file.read(_ENDS)
    return any(marker in ends for marker in _MARKERS)


def checked_look(format: str, theme: str) -> Palette:
    """Return the palette of a theme.

    Raises:
      ValueError: The format or the theme is unknown.
    """
    for name, value, known in (("format", format, FORMATS), ("theme", theme, THEMES)):
        if value not in known:
            raise ValueError(
                f"generate_all_plots() got {name}={value!r}; expected one of "
                f"{list(known)}. Choose one of them."
            )
    return THEMES[theme]
