"""Disks that fail, and processes that are killed."""

import errno
import json
import os
import select
import signal
import struct
import subprocess
import sys
import traceback
from pathlib import Path

from support.figures import figure


class FullDisk:
    """Writes that stop after some bytes, until there is room again.

    Args:
      monkeypatch: Where `os.write` is replaced.
      below: The folder whose files are on this disk; None is everywhere.
    """

    def __init__(self, monkeypatch, below=None):
        self.room = None
        self._below = below and f"{Path(below).resolve()}/"
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd, data):
        if self.room is None or not self._has(fd):
            return self._write(fd, data)
        taken, self.room = min(self.room, len(data)), max(self.room - len(data), 0)
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(fd, bytes(data)[:taken])

    def _has(self, fd):
        if self._below is None:
            return True
        return os.readlink(f"/proc/self/fd/{fd}").startswith(self._below)


class FailingDisk:
    """A disk whose every call can be the one that fails; the rest is the real one.

    Nothing is synced, which only a loss of power would show.

    Args:
      monkeypatch: Where the functions of `os` are replaced.
      first: The number of the first call that fails, from 1; None is none.
      calls: How many fail, in a row.
      error: With which `errno`; None is the death of the process.
      written: The bytes that the first one takes when it is a write, which is then
        short and no error.
    """

    NAMES = ("open", "write", "ftruncate", "fsync", "replace")

    def __init__(self, monkeypatch, first=None, calls=1, error=errno.ENOSPC, written=0):
        self.calls = 0
        self._first, self._number = first, calls
        self._error, self._written = error, written
        self._real = {name: getattr(os, name) for name in self.NAMES}
        for name in self.NAMES:
            monkeypatch.setattr(os, name, getattr(self, name))

    def open(self, *arguments):
        return self._call("open", *arguments)

    def ftruncate(self, *arguments):
        return self._call("ftruncate", *arguments)

    def replace(self, *arguments):
        return self._call("replace", *arguments)

    def fsync(self, fd):
        self._count()

    def write(self, fd, data):
        if self.calls + 1 == self._first and 0 < self._written < len(data):
            self.calls += 1
            return self._real["write"](fd, bytes(data)[: self._written])
        return self._call("write", fd, data)

    def _call(self, name, *arguments):
        self._count()
        return self._real[name](*arguments)

    def _count(self):
        self.calls += 1
        if self._first and 0 <= self.calls - self._first < self._number:
            if self._error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self._error, os.strerror(self._error))


def forked(work):
    """The number of a new process that does some work, and then ends with 0."""
    if child := os.fork():
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def killed(work, acknowledgements, moment, none=None):
    """The last number that a process acknowledged before it was killed.

    The process is a fork that runs `work(acknowledge)`; it is killed at some moment
    after so many acknowledgements, unless it kills itself before.

    Args:
      work: Does not end.
      acknowledgements: How many to wait for.
      moment: Rounds of a loop, which take the time until the kill; or what is called
        until then.
      none: What is returned when it acknowledged nothing.
    """
    reading, writing = os.pipe()
    write = os.write

    def acknowledging():
        os.close(reading)
        work(lambda number: write(writing, struct.pack("<q", number)))

    child = forked(acknowledging)
    os.close(writing)
    with open(reading, "rb") as pipe:
        acknowledged = pipe.read(8 * acknowledgements)
        if callable(moment):
            moment()
        else:
            for _ in range(moment):
                pass
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it ended by itself"
        acknowledged += pipe.read()
    if not acknowledged:
        return none
    return struct.unpack_from("<q", acknowledged, len(acknowledged) // 8 * 8 - 8)[0]


def ended(child, seconds):
    """The exit status of a child that ends in time; None, and it is killed, if not."""
    fd = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        in_time = poll.poll(1000 * seconds)
    finally:
        os.close(fd)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if in_time else None


def apart(function, *arguments, under=()):
    """What a function of a test file returns in a process of its own, without jax.

    Forks of it are cheap, and have no threads that they did not start.

    Args:
      function: At the top level of its file.
      arguments: Plain values, and paths, which become text.
      under: A command that runs another one.
    """
    file = Path(function.__code__.co_filename)
    script = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(file.parent)!r})\n"
        f"from {file.stem} import {function.__name__}\n"
        f"told = {function.__name__}(*json.loads(sys.argv[1]))\n"
        "assert 'jax' not in sys.modules\n"
        "print(json.dumps(told))\n"
    )
    done = subprocess.run(
        [*under, sys.executable, "-c", script, json.dumps(arguments, default=str)],
        capture_output=True,
        text=True,
        timeout=figure(120, 7200),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def events_shown(folder, tag="loss"):
    """The steps that TensorBoard has of a tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    known = tag in reader.Tags()["scalars"]
    return [event.step for event in reader.Scalars(tag)] if known else []
