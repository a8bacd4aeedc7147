"""Rows and writers for tests of queues: writers that hang, block or fail."""

import errno
import threading
import time

from jaxmetrics.pipeline._row import Row
from jaxmetrics.writers import Memory


def far_deadline() -> float:
    """Return a deadline that a healthy sink never reaches."""
    return time.monotonic() + 60.0


def filled_row(step: int, split: str = "train", **values: float) -> Row:
    row = Row(step, split, float(step))
    for name, value in (values or {"loss": float(step)}).items():
        row.values[f"{split}/{name}"] = value
    return row


class Gated(Memory):
    """A writer that hangs until its gate opens."""

    def __init__(self, **options):
        super().__init__(**options)
        self.gate = threading.Event()
        self.entered = threading.Event()

    def write(self, record):
        self.entered.set()
        self.gate.wait()
        super().write(record)


class Blocking(Gated):
    """A gated writer whose full queue makes its producer wait."""

    when_full = "block"


class Failing(Memory):
    """A writer that raises at the steps for which `fails` returns True."""

    error = OSError("no space left")

    def __init__(self, fails, **options):
        super().__init__(**options)
        self.fails = fails
        self.attempted = []

    def write(self, record):
        self.attempted.append(record.step)
        if self.fails(record.step):
            raise self.error
        super().write(record)


class Retried(Failing):
    """A writer whose rows wait while its disk is full."""

    when_full = "block"
    error = OSError(errno.ENOSPC, "no space left")
