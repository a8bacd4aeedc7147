"""All sinks of a process, side by side: a slow one takes no time from the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmetrics.pipeline._row import Row
from jaxmetrics.pipeline._sink import Sink

if TYPE_CHECKING:
    from jaxmetrics.writers import Writer


class Sinks:
    """Opens all writers, or none, and puts a queue before each.

    Deadlines are times of `time.monotonic()`.

    Args:
      writers: The writers, which are closed again when one does not open.
      run_dir: The directory of the run.
      resume_step: The step that is continued from, or None.
      clock: As of `Sink`.
    """

    def __init__(
        self,
        writers: Sequence[Writer],
        run_dir: Path,
        resume_step: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        opened: list[Writer] = []
        try:
            for writer in writers:
                writer.open(run_dir, resume_step)
                opened.append(writer)
        except BaseException:
            for writer in opened:
                writer.close()
            raise
        self._sinks = _named([Sink(writer, clock=clock) for writer in opened])

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sinks)

    def show(self, kind: str) -> bool:
        """Whether any writer takes this kind of `Media`."""
        return any(kind in sink.writer.shows for sink in self._sinks.values())

    def offer(self, rows: list[Row]) -> None:
        """Queue rows, in their order, for every writer that takes them.

        A row leaves the list when every writer has it, so that one whose offer was
        interrupted, as by KeyboardInterrupt, can be offered again.
        """
        while rows:
            row = rows[0]
            for sink in self._sinks.values():
                sink.offer(row)
            if rows and rows[0] is row:  # a signal handler may have logged meanwhile
                del rows[0]

    def flush(self, deadline: float) -> bool:
        """Whether all rows are written and flushed before the deadline."""
        begun = [(sink, sink.begin_flush()) for sink in self._sinks.values()]
        return all([sink.held(future, deadline) for sink, future in begun])

    def close(self, deadline: float) -> bool:
        """Close, as `flush`; those that hang are left behind."""
        begun = [(sink, sink.begin_close()) for sink in self._sinks.values()]
        return all([sink.finish_close(future, deadline) for sink, future in begun])

    def counters(self) -> dict[str, dict[str, int]]:
        """What became of the rows, by writer."""
        return {name: sink.counters for name, sink in self._sinks.items()}

    def state(self) -> dict[str, dict[str, Any]]:
        """What the writers need to come back to this point; flush before."""
        states = {name: sink.writer.state() for name, sink in self._sinks.items()}
        return {name: state for name, state in states.items() if state}

    def rewind(self, step: int, states: Mapping[str, Any], timeout: float) -> None:
        """Take all writers back to `states`, or those without one to `step`.

        Raises:
          RuntimeError: A writer did not answer in time.
          ValueError: A state is not of its writer.
        """
        deadline = time.monotonic() + timeout
        begun = [
            (sink, sink.begin_rewind({"step": step} | states.get(name, {})))
            for name, sink in self._sinks.items()
        ]
        for sink, future in begun:
            if not sink.wait_for(future, deadline):
                raise RuntimeError(
                    f"Writer {sink.writer.name} did not go back to step {step} within "
                    f"{timeout:g} seconds. Close the logger, and restore a new one."
                )
            try:
                future.result()
            except (KeyError, TypeError) as error:
                raise ValueError(
                    f"Writer {sink.writer.name} got a state that is not its own "
                    f"({type(error).__name__}: {error}). Restore what it saved."
                ) from error


def _named(sinks: Sequence[Sink]) -> dict[str, Sink]:
    """The sinks by the names of their writers; a second console has a number."""
    named: dict[str, Sink] = {}
    for sink in sinks:
        name, number = sink.writer.name, 2
        while name in named:
            name, number = f"{sink.writer.name}-{number}", number + 1
        named[name] = sink
    return named
