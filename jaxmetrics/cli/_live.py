"""Live view of a run in a terminal."""

from __future__ import annotations

import shutil
import time

from jaxmetrics.runs import Tail, tail_lines


def show(tail: Tail) -> None:
    """Print the current state of a run."""
    width = shutil.get_terminal_size((100, 24)).columns
    print("\n".join(tail_lines(tail.read(), time.time(), width)))


def watch(tail: Tail, interval: float) -> None:
    """Show a run and update the view until interrupted.

    Args:
      tail: Follower of the run.
      interval: Seconds between updates.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            size = console.size
            lines = tail_lines(tail.read(), time.time(), size.width, size.height)
            text = Text("\n".join(lines), no_wrap=True, overflow="crop")
            live.update(text, refresh=True)
            time.sleep(interval)
