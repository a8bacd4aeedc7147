"""Follow runs while they are being written, and show them as lines of text."""

from jaxmetrics.runs.live._overview import Overview, overview_lines
from jaxmetrics.runs.live._tail import Tail, View, tail_lines

__all__ = ["Overview", "Tail", "View", "overview_lines", "tail_lines"]
