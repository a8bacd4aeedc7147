"""Live view of runs in a terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

Lines = Callable[[float, int, int | None], list[str]]
"""Lines of a view at a time, for a width and a height; None for any height."""


def show(lines: Lines) -> None:
    """Print a view once."""
    width = shutil.get_terminal_size((100, 24)).columns
    print("\n".join(lines(time.time(), width, None)))


def watch(lines: Lines, interval: float) -> None:
    """Show a view and update it until interrupted.

    Args:
      lines: Function that reads what was added, and returns the lines.
      interval: Seconds between updates.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            size = console.size
            text = "\n".join(lines(time.time(), size.width, size.height))
            live.update(Text(text, no_wrap=True, overflow="crop"), refresh=True)
            time.sleep(interval)
