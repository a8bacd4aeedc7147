"""Disable in a forked child the objects that belong to its parent."""

from __future__ import annotations

import functools
import os
import weakref
from typing import Protocol


class Inheritable(Protocol):
    """An object with a thread or a file, which a forked child copies but cannot use."""

    def disable(self) -> None:
        """Disable this copy: it holds no file, and its methods do nothing or raise."""
        ...


@functools.cache
def disabled_in_children() -> weakref.WeakSet[Inheritable]:
    """Return the set of the objects that every forked child disables when it starts.

    Add an object to it when it opens its file or starts its thread.

    `os.register_at_fork` cannot be undone, so that a callback per object would stay for
    the life of the process; one callback, registered with the first object, serves all
    of them. The process number alone is not enough to recognize a child: in another PID
    namespace it can have its parent's number.
    """
    objects: weakref.WeakSet[Inheritable] = weakref.WeakSet()

    def disable_all() -> None:
        for each in objects:
            each.disable()

    os.register_at_fork(after_in_child=disable_all)
    return objects
