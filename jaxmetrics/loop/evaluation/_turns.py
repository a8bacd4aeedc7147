"""Batches of one size, as many on every process, whatever each of them holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax

from jaxmetrics.loop.evaluation._padding import (
    Batch,
    Layout,
    layout_of,
    lengthened,
    masked_out,
    row_bytes,
    row_from,
    with_mask,
)
from jaxmetrics.processes import exchange, spans_processes
from jaxmetrics.record import dumps, loads

_LOOK_AHEAD = 8  # batches that are held in memory, and that share one exchange


def alone(
    who: str, batches: Iterable[Any], multiple: int
) -> Iterator[tuple[Batch, bool]]:
    """Each batch, padded to the largest so far, and whether that added rows."""
    size = 0
    for batch in batches:
        batch, rows = with_mask(who, batch)
        if rows:
            size = max(size, _up(rows, multiple))
            yield lengthened(batch, size), rows < size


def together(
    who: str, batches: Iterable[Any], multiple: int
) -> Iterator[tuple[Batch, bool]]:
    """The same, as often on every process: one without a batch gets masked rows.

    Processes tell each other how many batches they hold, some ahead: 1, 2, 4 and then
    8 at a time, on the host, while devices work on earlier ones.

    Args:
      who: For errors.
      batches: Those of this process, of its own rows.
      multiple: What divides the rows of a batch.

    Yields:
      A batch, and whether some process has rows added about now; the same everywhere.

    Raises:
      RuntimeError: The batches of another process failed.
      ValueError: Those of another process are of other names, types or shapes.
      MissingHostError: A process does not take part.
    """
    iterator = iter(batches)
    size, ahead = 0, 1
    row: Batch | None = None
    layout: Layout | None = None
    while True:
        mine, layouts, fault = _taken(who, iterator, ahead)
        if row is None and mine:
            row = jax.tree.map(lambda x: x[:1], mine[0])
        said = {
            "rows": [len(batch["mask"]) for batch in mine],
            "layouts": layouts,
            "has_row": row is not None,
            "fault": fault and f"{type(fault).__name__}: {fault}",
        }
        try:
            told: list[Any] = [loads(x) for x in _tell(dumps(said).encode())]
        finally:
            if fault is not None:
                raise fault
        _refuse_faults(who, told)
        layout = _common(who, layout, told)
        turns = max(len(its["rows"]) for its in told)
        if layout is None or turns == 0:
            return
        row = _row_for_all(row, layout, told)
        size = max(size, *(_up(n, multiple) for its in told for n in its["rows"]))
        whole = all(its["rows"] == [size] * turns for its in told)
        for batch in [*mine, *[masked_out(row)] * (turns - len(mine))]:
            yield lengthened(batch, size), not whole
        if turns < ahead:
            return
        ahead = min(2 * ahead, _LOOK_AHEAD)


def _tell(message: bytes) -> list[bytes]:
    return list(exchange("evaluation", message).values())


def _taken(
    who: str, iterator: Iterator[Any], most: int
) -> tuple[list[Batch], list[Layout], Exception | None]:
    """The next batches with rows, their layouts, and what is wrong with one."""
    taken: list[Batch] = []
    layouts: list[Layout] = []
    try:
        for batch in iterator:
            batch, rows = with_mask(who, batch)
            if spans_processes(batch):
                raise ValueError(
                    f"{who} got a batch on devices of several processes, expected this "
                    f"process's own rows. Pass it before it is made global."
                )
            if rows:
                taken.append(batch)
                if (layout := layout_of(who, batch)) not in layouts:
                    layouts.append(layout)
            if len(taken) == most:
                break
    except Exception as fault:
        return [], [], fault  # raised once the other processes know
    return taken, layouts, None


def _refuse_faults(who: str, told: list[Any]) -> None:
    for process, its in enumerate(told):
        if its["fault"]:
            raise RuntimeError(
                f"{who} stopped, for the batches of process {process} failed "
                f"({its['fault']}). Mend them there."
            )


def _common(who: str, layout: Layout | None, told: list[Any]) -> Layout | None:
    """The layout of all batches of all processes."""
    given = [(i, its) for i, said in enumerate(told) for its in said["layouts"]]
    for process, its in given:
        expected: Layout = its if layout is None else layout
        if its != expected:
            raise ValueError(
                f"{who} got batches of different kinds: process {process} has "
                f"{_named(its)}, expected {_named(expected)} as came first. Give all "
                f"of them the same arrays, types and shapes but for the rows."
            )
        layout = expected
    return layout


def _row_for_all(row: Batch | None, layout: Layout, told: list[Any]) -> Batch:
    """This process's row to fill batches with, or that of the first that has one."""
    holders = [process for process, its in enumerate(told) if its["has_row"]]
    if len(holders) < len(told):
        giver = holders[0]
        mine = row if jax.process_index() == giver else None
        given = _tell(b"" if mine is None else row_bytes(mine))[giver]
        row = row_from(given, layout) if row is None else row
    assert row is not None
    return row


def _named(layout: Layout) -> str:
    """A layout in words."""
    shapes = [", ".join(map(str, ["rows", *shape])) for _, _, shape in layout]
    arrays = [
        f"{'/'.join(path)} {dtype}[{shape}]"
        for (path, dtype, _), shape in zip(layout, shapes)
    ]
    return ", ".join(arrays)


def _up(rows: int, multiple: int) -> int:
    return -(-rows // multiple) * multiple
