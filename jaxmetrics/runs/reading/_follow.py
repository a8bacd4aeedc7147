"""Read the lines added to a file while it is being written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from jaxmetrics.record import Block, Line, open_read, scan_blocks

_MARK_BYTES = 256


class Follower:
    """Reader of a growing file that continues where it stopped, in bounded memory.

    It remembers the bytes before its position. If they are no longer there, the file
    was cut back by a resumed run or replaced, and has to be read again.

    Args:
      path: File, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        """Begin at the start of the file, without reading."""
        self.path = path
        self._position = self._number = 0
        self._mark = b""

    @property
    def position(self) -> int:
        """Position in bytes up to which lines were read."""
        return self._position

    def restarted(self) -> bool:
        """Return whether the file was replaced; the next `read` then starts again."""
        if self._position == 0 or self._bytes_before(self._position) == self._mark:
            return False
        self._position = self._number = 0
        self._mark = b""
        return True

    def read(self) -> Generator[Block | Line, None, None]:
        """Yield the complete lines added since the last call; none without a file.

        Raises:
          OSError: The file cannot be read, or is not a regular file.
        """
        try:
            for block in scan_blocks(self.path, self._number, self._position):
                self._position = block.end
                if isinstance(block, Block):
                    self._number = block.number + len(block.rows) - 1
                else:
                    self._number = block.number
                yield block
        except FileNotFoundError:
            return
        finally:
            self._mark = self._bytes_before(self._position)

    def _bytes_before(self, position: int) -> bytes:
        """Return the last bytes before a position; fewer if the file is shorter."""
        if position == 0:
            return b""
        with contextlib.suppress(FileNotFoundError):
            fd = open_read(self.path, follow_links=True)
            try:
                start = max(position - _MARK_BYTES, 0)
                return os.pread(fd, position - start, start)
            finally:
                os.close(fd)
        return b""
