"""Follow a run while it is being written, and show it as lines of text."""

from jaxmetrics.runs.live._tail import Tail, View, tail_lines

__all__ = ["Tail", "View", "tail_lines"]
