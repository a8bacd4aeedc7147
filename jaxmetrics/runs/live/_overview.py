"""Live view of several runs as lines of text, one line for each run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jaxmetrics._other_names import explains_reading
from jaxmetrics.record import duration, one_or_many, require_texts
from jaxmetrics.runs.live._tail import Tail, View
from jaxmetrics.runs.live._terminal import cut, plain, table_lines
from jaxmetrics.runs.reading import importance

_MAX_RUNS = 100


class Overview:
    """Follower of several runs; those that begin later are followed too.

    Args:
      find: Function that returns the paths of the runs, or a single one. It is called
        at each `read`; the last 100 are followed.
      keys: Globs of the keys to keep. Default all.

    Attributes:
      left_out: Number of runs before these at the last `read`.

    Raises:
      TypeError: An argument is of another type, or unknown.
    """

    @explains_reading
    def __init__(
        self,
        find: Callable[[], Iterable[str | os.PathLike[str]]],
        keys: str | Sequence[str] = ("*",),
    ) -> None:
        """Prepare; the first `read` finds and reads the runs."""
        if not callable(find):
            raise TypeError(
                f"Overview got find={find!r}; expected a function that returns paths. "
                f"Pass lambda: runs.find_runs({find!r})."
            )
        require_texts("Overview", keys=keys)
        self._find = find
        self._keys: tuple[str, ...] = one_or_many(keys)
        self._tails: dict[str, Tail] = {}
        self.left_out: int = 0

    def read(self) -> list[View]:
        """Return the state of each run, as `Tail.read` does.

        Raises:
          OSError: A file cannot be read, or is not a regular file.
        """
        paths = list(dict.fromkeys(str(path) for path in one_or_many(self._find())))
        self.left_out = max(len(paths) - _MAX_RUNS, 0)
        known = self._tails
        self._tails = {
            path: known.get(path) or Tail(Path(path), self._keys)
            for path in paths[self.left_out :]
        }
        return [tail.read() for tail in self._tails.values()]


def overview_lines(
    views: Sequence[View],
    now: float,
    width: int = 80,
    height: int | None = None,
    left_out: int = 0,
) -> list[str]:
    """Return lines for a terminal: a heading, and a line for each run.

    Shown is one key: the most important one of those that most runs have. The
    sparklines cover the same steps. Control characters are escaped.

    Args:
      views: States from `Overview.read`.
      now: Current time in seconds, on the clock of `View.changed`.
      width: Maximum length of a line, in characters.
      height: Maximum number of lines; None for all runs.
      left_out: `Overview.left_out`, for the heading.
    """
    key = _common_key(views)
    count = f"{len(views):,} runs"
    if left_out:
        count = f"the last {len(views):,} of {len(views) + left_out:,} runs"
    heading = count + (f": {plain(key)}" if key else "")
    room = len(views) if height is None else max(height - 2, 1)
    if room < len(views):
        room = max(room - 1, 1)
    names = [view.name for view in views[:room]]
    projects = {name.rpartition("/")[0] for name in names}
    if len(projects) == 1:
        names = [name.rpartition("/")[2] for name in names]
    rows = [
        (plain(name), *_progress(view, now)) for name, view in zip(names, views[:room])
    ]
    series = [(key, view.metrics.series.get(key)) for view in views[:room]]
    table = (
        list(table_lines(("", "state", "step"), rows, series, width)) if rows else []
    )
    hidden = len(views) - len(rows)
    footer = [f"and {hidden:,} more runs"] if hidden else []
    return [cut(line, width).rstrip() for line in [heading, *table, *footer]]


def _common_key(views: Sequence[View]) -> str:
    """Return the key to show, "" without any."""
    counts = Counter(key for view in views for key in view.metrics.series)
    if not counts:
        return ""
    most = [key for key, count in counts.items() if 2 * count > max(counts.values())]
    return min(most, key=lambda key: (importance(key), key.startswith("train")))


def _progress(view: View, now: float) -> tuple[str, str]:
    """Return the state of a run and its last step."""
    if view.changed is None:
        state = "no record"
    elif view.events.closed or view.state == "crashed":
        state = view.state or "closed"
    else:
        age = f"{duration(max(now - view.changed, 0.0))} ago"
        state = age if view.state is None else f"{view.state}, {age}"
    return state, "" if view.metrics.step is None else f"{view.metrics.step:,}"
