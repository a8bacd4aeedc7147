"""A disk that is full, and processes that are killed."""

import errno
import os
import signal
import struct


class FullDisk:
    """Writes that stop after some bytes, until there is room again."""

    def __init__(self, monkeypatch):
        self.room = None
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd, data):
        if self.room is None:
            return self._write(fd, data)
        taken, self.room = min(self.room, len(data)), max(self.room - len(data), 0)
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(fd, bytes(data)[:taken])


def killed(work, acknowledgements, moment):
    """The last number that a process acknowledged before it was killed.

    The process is a fork that runs `work(acknowledge)`; it is killed at some moment
    after so many acknowledgements.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(lambda number: os.write(writing, struct.pack("<q", number)))
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as pipe:
        acknowledged = pipe.read(8 * acknowledgements)
        for _ in range(moment):
            pass
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it ended by itself"
        acknowledged += pipe.read()
    return struct.unpack_from("<q", acknowledged, len(acknowledged) // 8 * 8 - 8)[0]
