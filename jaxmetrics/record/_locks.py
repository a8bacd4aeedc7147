"""Find out which files are locked, without taking their locks.

A writer that starts while a reader holds a lock would be refused, so that readers look
into the list of locks that Linux keeps. It has the locks of one kernel, of processes in
the namespace of the reader. That a file is not in it says that nobody writes it only
where its writer has found its own lock in the same list; for example not for a writer
on another machine, in another container, or on a system without such a list.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def locked_inodes() -> frozenset[int]:
    """Return the inodes of the files in the list of locks; none without a list."""
    inodes = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/locks") as locks:
            for line in locks:
                fields = line.split()
                if "FLOCK" in fields:
                    inodes.append(int(fields[-3].rpartition(":")[2]))
    return frozenset(inodes)


def lock_scope(path: str | os.PathLike[str] | None = None) -> str | None:
    """Return a name of the list of locks that this process sees; None without one.

    Args:
      path: A file whose lock this process holds; without its lock in the list the
        result is None. Default none.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
        is_listed = path is None or os.stat(path).st_ino in locked_inodes()
    except OSError:
        return None
    return f"{boot} {namespace}" if is_listed else None
