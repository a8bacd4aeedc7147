"""Calls of `log_step` on their way to the queues of the writers.

The caches of a processor are cold after a training step, and each function that Python
enters there costs a microsecond. So the training thread only appends an entry to a
deque, without a lock and without waking anyone. The thread of a writer that has nothing
to do makes rows of the entries and offers them to all queues:

    training thread     entries.append(entry)          no lock
    a writer's thread   try_hand_out(): row, offer     the lock, if it is free
    flush, latest, ...  hand_out(): row, offer         the lock

**Why nothing is lost or overtaken.** Entries are handed out in order, by one thread at
a time, the one that has the lock. An entry leaves the deque after every queue has its
row. Whatever asks for the rows so far hands out first. An idle writer's thread looks
again after 10 to 160 ms; that needs no signal, so no signal can be lost. If no writer
is idle, the training thread hands out itself once there are many entries.

**Why nobody waits for ever.** A thread of a writer takes the lock only if it is free,
and adds to the queues without their locks. So it never waits while it has this lock.

**Signal handlers** run in the main thread between any two instructions, also within
`hand_out`, and may hand out as well: the lock is reentrant. Both see the same row,
which the entry keeps, and a row that is offered twice is written once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from jaxmetrics.pipeline._row import Row

Entry = list[Any]
"""Reading of the clock, what the row is made of, and the row once it is made."""


class Intake:
    """Entries that wait to be rows.

    Args:
      offer: Offers rows to all queues; returns whether they are within their capacity.
        It may wait for room if its second argument is true.

    Attributes:
      entries: The entries, in order. Any thread may append.
      lock: Held while entries are handed out.
      row_of: Makes a row from an entry; None if it is not to be written.
      on_excess: Called when a queue exceeds its capacity.
      has_excess: Whether a queue has exceeded its capacity, so that the next call is to
        hand out and wait for room.
    """

    def __init__(self, offer: Callable[[Sequence[Row], bool], bool]) -> None:
        self.entries: deque[Entry] = deque()
        self.lock: Any = threading.RLock()
        self.row_of: Callable[[Entry], Row | None] = lambda entry: entry[1]
        self.on_excess: Callable[[], object] = lambda: None
        self.has_excess: bool = False
        self._offer = offer
        self._is_closed = False

    def try_hand_out(self) -> None:
        """Hand out, unless another thread does."""
        if self.entries and self.lock.acquire(blocking=False):
            try:
                self.hand_out()
            finally:
                self.lock.release()

    def hand_out(self, waits: bool = False) -> None:
        """Make rows of all entries, and offer them to the queues.

        Args:
          waits: Whether to wait for room, as a writer that blocks wants it.
        """
        with self.lock:
            entries = self.entries
            if waits:
                self.has_excess = False
            while not self._is_closed:
                try:
                    entry = entries[0]
                except IndexError:
                    break
                if len(entry) < 4:
                    entry.append(self.row_of(entry))
                row = entry[3]
                if row is not None and not self._offer([row], waits):
                    self.has_excess = True
                if entries and entries[0] is entry:
                    entries.popleft()
        if self.has_excess:
            self.on_excess()

    def close(self) -> None:
        """Hand out for the last time; what is appended later stays."""
        with self.lock:
            self.hand_out()
            self._is_closed = True

    def disable(self) -> None:
        """Hand out nothing, as the copy in a forked child, whose lock may be taken."""
        self.lock = threading.RLock()
        self._is_closed = True

    def has(self, entry: Entry) -> bool:
        """Return whether an entry still waits."""
        with self.lock:
            return any(waiting is entry for waiting in self.entries)
