"""Reading what is added to a file of lines while it is being written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from jaxmetrics.record import Block, Line, scan_blocks

_MARK = 256  # bytes before the position, by which the file is known


class Follower:
    """Reads a file from where it stopped the last time, in bounded memory.

    Args:
      path: The file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.path = path
        self._position = self._number = 0
        self._mark = b""

    def changed(self) -> bool:
        """Whether what was read is no longer there; then `read` begins anew.

        A resumed run cuts its files back, a run that begins anew has others.
        """
        if self._position == 0 or self._before(self._position) == self._mark:
            return False
        self._position = self._number = 0
        self._mark = b""
        return True

    def read(self) -> Iterator[Block | Line]:
        """The complete lines since the last time; nothing without a file.

        Raises:
          OSError: The file cannot be read, or is not a regular file.
        """
        try:
            for found in scan_blocks(self.path, self._number, self._position):
                self._position = found.end
                if isinstance(found, Block):
                    self._number = found.number + len(found.rows) - 1
                else:
                    self._number = found.number
                yield found
        except FileNotFoundError:
            return
        finally:
            self._mark = self._before(self._position)

    def _before(self, position: int) -> bytes:
        """The last bytes before a position; fewer when the file is shorter."""
        if position == 0:
            return b""
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                start = max(position - _MARK, 0)
                return os.pread(fd, position - start, start)
            finally:
                os.close(fd)
        return b""
