"""Write plots as PNG files, and recognize them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from jaxmetrics.figures import DPI, PALETTE
from jaxmetrics.record import atomic_write, read_start
from jaxmetrics.runs.reading import ExistingFileError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METADATA = {"Software": "jaxmetrics"}
_MARKER = b"Software\0jaxmetrics"  # the same, as PNG stores it


def save_figure(
    figure: Figure, path: Path, dpi: float = DPI, overwrite: bool = False
) -> None:
    """Write a figure as PNG, atomically.

    Args:
      figure: The figure.
      path: File to write. An existing plot of jaxmetrics is replaced.
      dpi: Dots per inch.
      overwrite: Replace any other existing file too.

    Raises:
      FileExistsError: The file exists and was not written by jaxmetrics.
    """
    if not overwrite and path.exists() and not is_own_plot(path):
        raise ExistingFileError(
            path, f"{path} exists and is not a plot written by jaxmetrics."
        )
    data = io.BytesIO()
    figure.savefig(
        data, format="png", dpi=dpi, facecolor=PALETTE.background, metadata=_METADATA
    )
    atomic_write(path, data.getvalue())


def is_own_plot(path: Path) -> bool:
    """Return whether a file is a plot that `save_figure` wrote."""
    return path.is_file() and _MARKER in read_start(path, 4096, follow_links=True)
