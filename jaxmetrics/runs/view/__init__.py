"""Local web viewer of run directories: a read-only server, and its pages.

`view` serves. `docs/viewer.md` documents the interface for scripts.
"""

from jaxmetrics.runs.view._serve import view

__all__ = ["view"]
