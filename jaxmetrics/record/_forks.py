"""What a forked child lets go of: the files and threads of its parent."""

from __future__ import annotations

import functools
import os
import weakref
from typing import Protocol


class Inheritable(Protocol):
    """An object that a forked child has a copy of, and must not use."""

    def disable(self) -> None:
        """Make this copy inert."""
        ...


@functools.cache
def disabled_in_children() -> weakref.WeakSet[Inheritable]:
    """Return the set of all objects that a forked child disables first.

    `os.register_at_fork` cannot be undone, so that a callback per object would stay for
    the life of the process; one callback, registered with the first object, serves all
    of them. The process number alone is not enough to recognize a child: in another PID
    namespace it can have its parent's number.
    """
    objects: weakref.WeakSet[Inheritable] = weakref.WeakSet()

    def disable_all() -> None:
        for held in objects:
            held.disable()

    os.register_at_fork(after_in_child=disable_all)
    return objects
