"""jaxmetrics.runs.live."""

from jaxmetrics.runs.live._tail import Tail, tail_lines

__all__ = ["Tail", "tail_lines"]
