"""Rows and writers for tests of queues: writers that hang, block or fail."""

import threading
import time

from jaxmetrics.pipeline._row import Row
from jaxmetrics.writers import Memory


def soon() -> float:
    """A deadline that a healthy sink never reaches."""
    return time.monotonic() + 60.0


def row(step: int, split: str = "train", **values: float) -> Row:
    made = Row(step, split, float(step))
    for name, value in (values or {"loss": float(step)}).items():
        made.add(f"{split}/{name}", value)
    return made


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
    when_full = "block"


class Failing(Memory):
    """A writer that refuses the steps for which `fails` says so."""

    when_full = "block"

    def __init__(self, fails, **options):
        super().__init__(**options)
        self.fails = fails
        self.tried = []

    def write(self, record):
        self.tried.append(record.step)
        if self.fails(record.step):
            raise OSError("no space left")
        super().write(record)
