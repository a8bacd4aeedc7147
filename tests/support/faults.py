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
    """A disk that takes a limited number of bytes, until there is room again.

    Args:
      monkeypatch: Replaces `os.write`.
      below: Folder whose files are on this disk; None stands for all files.
    """

    def __init__(self, monkeypatch, below=None):
        self.room = None
        self._below = below and f"{Path(below).resolve()}/"
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd, data):
        room = self.room
        if room is None or not self._holds(fd):
            return self._write(fd, data)
        accepted = min(room, len(data))
        if self.room is room:  # the test may have changed it meanwhile
            self.room = room - accepted
        if not accepted:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(fd, bytes(data)[:accepted])

    def _holds(self, fd):
        if self._below is None:
            return True
        return os.readlink(f"/proc/self/fd/{fd}").startswith(self._below)


class FailingDisk:
    """A disk of which chosen calls fail; all others go to the real one.

    Nothing is synced: only a loss of power would show the difference.

    Args:
      monkeypatch: Replaces the functions of `os`.
      first: Number of the first call that fails, from 1; None lets none fail.
      calls: Number of consecutive calls that fail.
      error: Their `errno`; None kills the process.
      written: If the first of them is a write, the number of bytes that it writes; it
        is then short, without an error.
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


def fork_process(work):
    """Fork a process that calls `work` and exits with 0; return its number."""
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


def kill_after(work, acknowledgements, moment, none=None):
    """Fork a process, kill it, and return the last number that it acknowledged.

    The process runs `work(acknowledge)`. It is killed some time after a number of
    acknowledgements, unless it kills itself before.

    Args:
      work: Function that does not return.
      acknowledgements: Number of acknowledgements to wait for.
      moment: Iterations of an empty loop before the kill, or a function to call.
      none: Result if nothing was acknowledged.
    """
    reading, writing = os.pipe()
    write = os.write

    def acknowledging():
        os.close(reading)
        work(lambda number: write(writing, struct.pack("<q", number)))

    child = fork_process(acknowledging)
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


def exit_status(child, seconds):
    """Return the exit status of a child; None if it does not end in time (killed)."""
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


def run_in_process(function, *arguments, under=()):
    """Call a function of a test file in a separate process, which has not loaded jax.

    Forks of that process are cheap and have only the threads that they start.

    Args:
      function: Function at the top level of its file; it returns JSON values.
      arguments: JSON values, and paths, which become text.
      under: Command that runs another command.
    """
    file = Path(function.__code__.co_filename)
    script = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(file.parent)!r})\n"
        f"from {file.stem} import {function.__name__}\n"
        f"result = {function.__name__}(*json.loads(sys.argv[1]))\n"
        "assert 'jax' not in sys.modules\n"
        "print(json.dumps(result))\n"
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


def tensorboard_steps(folder, tag="loss"):
    """Return the steps that TensorBoard shows for a tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    is_known = tag in reader.Tags()["scalars"]
    return [event.step for event in reader.Scalars(tag)] if is_known else []
