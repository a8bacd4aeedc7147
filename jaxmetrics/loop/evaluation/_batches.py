"""Batches of one size, and equally many on every process.

A step over a mesh of several processes has collectives, so all processes must launch it
equally often and with equal shapes, however many batches each of them has. Before each
round of up to 8 batches the processes exchange messages on the host: number of rows of
their next batches, layout of the arrays, error of their iterator if there was one. With
two devices per process:

    process 0 has batches of 4, 4 and 3 rows, process 1 one batch of 4 rows
    round 1 (1 batch each)   4         | 4           no padding
    round 2 (2 batches each) 4, 3 + 1  | 0 + 4, 0 + 4   process 1 repeats a masked row
    round 3                  none      | none        all processes stop

A process that never had a batch fills with a row that it receives from another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax

from jaxmetrics.loop.evaluation._padding import (
    Batch,
    Layout,
    deserialize_row,
    layout_of,
    mask_out,
    pad_to,
    round_up,
    serialize_row,
    with_mask,
)
from jaxmetrics.processes import exchange, spans_processes
from jaxmetrics.record import dumps, loads

_MAX_BATCHES_PER_ROUND = 8  # held in memory at once


def local_batches(
    call: str, batches: Iterable[Any], multiple: int
) -> Iterator[tuple[Batch, bool]]:
    """Yield each batch padded to the largest size so far, and whether it has padding.

    Batches without rows are skipped.
    """
    size = 0
    for batch in batches:
        batch, rows = with_mask(call, batch)
        if rows:
            size = max(size, round_up(rows, multiple))
            yield pad_to(batch, size), rows < size


def global_batches(
    call: str, batches: Iterable[Any], multiple: int
) -> Iterator[tuple[Batch, bool]]:
    """Yield equally many batches of one size on every process.

    A process without further batches yields masked rows. The processes exchange the
    sizes of their next 1, 2, 4 and then 8 batches, on the host, while devices work on
    earlier ones.

    Args:
      call: Name of the call, for errors.
      batches: Batches of this process's own rows.
      multiple: Number of which the rows of a batch become a multiple.

    Yields:
      A batch, and whether any process has padding in this round; equal everywhere.

    Raises:
      RuntimeError: The batches of another process failed.
      ValueError: Processes have batches of other names, types or shapes.
      MissingHostError: A process does not take part.
    """
    iterator = iter(batches)
    size, round_length = 0, 1
    fill_row: Batch | None = None
    layout: Layout | None = None
    while True:
        own, layouts, fault = _take(call, iterator, round_length)
        if fill_row is None and own:
            fill_row = jax.tree.map(lambda x: x[:1], own[0])
        message = {
            "rows": [len(batch["mask"]) for batch in own],
            "layouts": layouts,
            "has_row": fill_row is not None,
            "fault": fault and f"{type(fault).__name__}: {fault}",
        }
        try:
            payloads = _exchange(dumps(message).encode())
            messages: list[Any] = [loads(payload) for payload in payloads]
        finally:
            # In `finally` on purpose: the error of this process's own batches is the
            # cause, and replaces an error of the exchange that may follow from it.
            if fault is not None:
                raise fault
        _refuse_faults(call, messages)
        layout = _common_layout(call, layout, messages)
        count = max(len(message["rows"]) for message in messages)
        if layout is None or count == 0:
            return
        fill_row = _share_row(fill_row, layout, messages)
        rows = [n for message in messages for n in message["rows"]]
        size = max(size, *(round_up(n, multiple) for n in rows))
        padded = any(message["rows"] != [size] * count for message in messages)
        for batch in [*own, *[mask_out(fill_row)] * (count - len(own))]:
            yield pad_to(batch, size), padded
        if count < round_length:
            return
        round_length = min(2 * round_length, _MAX_BATCHES_PER_ROUND)


def _exchange(payload: bytes) -> list[bytes]:
    return list(exchange("evaluation", payload).values())


def _take(
    call: str, iterator: Iterator[Any], count: int
) -> tuple[list[Batch], list[Layout], Exception | None]:
    """Return the next batches with rows, their layouts, and the error if one failed."""
    taken: list[Batch] = []
    layouts: list[Layout] = []
    try:
        for batch in iterator:
            batch, rows = with_mask(call, batch)
            if spans_processes(batch):
                raise ValueError(
                    f"{call} got a batch on devices of several processes, expected "
                    f"this process's own rows. Pass it before it is made global."
                )
            if rows:
                taken.append(batch)
                if (layout := layout_of(call, batch)) not in layouts:
                    layouts.append(layout)
            if len(taken) == count:
                break
    except Exception as fault:
        return [], [], fault  # raised after the other processes have received it
    return taken, layouts, None


def _refuse_faults(call: str, messages: list[Any]) -> None:
    for process, message in enumerate(messages):
        if message["fault"]:
            raise RuntimeError(
                f"{call} stopped because the batches of process {process} failed "
                f"({message['fault']}). Fix them on that process."
            )


def _common_layout(
    call: str, layout: Layout | None, messages: list[Any]
) -> Layout | None:
    """Return the layout of all batches of all processes; None without any batch."""
    for process, message in enumerate(messages):
        for other_layout in message["layouts"]:
            expected: Layout = other_layout if layout is None else layout
            if other_layout != expected:
                raise ValueError(
                    f"{call} got batches of different layouts: process {process} has "
                    f"{_describe(other_layout)}, expected {_describe(expected)} like "
                    f"earlier batches. Use the same arrays, types and shapes except "
                    f"for the number of rows."
                )
            layout = expected
    return layout


def _share_row(fill_row: Batch | None, layout: Layout, messages: list[Any]) -> Batch:
    """Return the row that fills batches; a process without one receives another's."""
    senders = [i for i, message in enumerate(messages) if message["has_row"]]
    if len(senders) < len(messages):
        sender = senders[0]
        own = fill_row if jax.process_index() == sender else None
        payload = _exchange(b"" if own is None else serialize_row(own))[sender]
        fill_row = deserialize_row(payload, layout) if fill_row is None else fill_row
    assert fill_row is not None
    return fill_row


def _describe(layout: Layout) -> str:
    shapes = [", ".join(map(str, ["rows", *shape])) for _, _, shape in layout]
    arrays = [
        f"{'/'.join(path)} {dtype}[{shape}]"
        for (path, dtype, _), shape in zip(layout, shapes)
    ]
    return ", ".join(arrays)
