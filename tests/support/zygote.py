"""Many short processes, forked from one that has imported everything.

A program calls `serve()` where its imports end. A test starts it as a `Zygote`, and
each `run` is a fork that continues from there, until it ends or is killed at a chosen
moment. No backend and no Python thread has started by then, so that a fork is complete.
"""

import json
import os
import select
import signal
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple


class RunResult(NamedTuple):
    """Exit statuses of the processes of a run, and what the first acknowledged."""

    status: list[int]
    acknowledged: list[int]

    @property
    def last(self):
        return self.acknowledged[-1] if self.acknowledged else 0


class Zygote:
    """A program that forks for each run; the test closes it at the end.

    Args:
      program: File of the program, in this folder.
      log: File that gets the output of the runs.
      environment: More environment variables.
    """

    def __init__(self, program, log, **environment):
        command = [sys.executable, Path(__file__).with_name(program)]
        self.log = Path(log)
        with self.log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | environment,
                text=True,
            )

    def run(self, *, sent=0, after=0, delay=0.0, count=1, together=False, **arguments):
        """Run `count` forks at once, and wait until they end.

        Args:
          sent: Signal that all of them get; 0 sends none.
          after: Number of acknowledgements of the first fork before the signal.
          delay: Seconds between these and the signal.
          count: Number of forks.
          together: Whether the others are killed once a fork fails, as launchers of
            pods do.
          arguments: JSON values that `serve` returns in the forks.
        """
        request = dict(sent=sent, after=after, delay=delay, count=count)
        request["together"] = together
        line = json.dumps(request | {"arguments": arguments})
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, self.log.read_text()[-3000:]
        return RunResult(*json.loads(answer))

    def finish(self, **arguments):
        """Run until the forks end by themselves, which must be without an error."""
        result = self.run(**arguments)
        assert not any(result.status), self.log.read_text()[-3000:]
        return result

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=60) == 0


def serve():
    """Fork for each request.

    Returns:
      In a fork: its arguments, its rank, and a function that acknowledges a number.
    """
    while request := _read_line():
        result = _run(**json.loads(request))
        if not isinstance(result, RunResult):
            return result
        print(json.dumps(result), flush=True)
    sys.exit()


def _run(sent, after, delay, count, together, arguments) -> Any:
    reading, writing = os.pipe()
    children = []
    for rank in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # native threads that a fork does not need
            child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(2, 1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            if rank:
                os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
            return arguments, rank, lambda number: _acknowledge(writing, number)
        children.append(child)
    os.close(writing)
    acknowledged = b""
    with open(reading, "rb") as pipe:
        acknowledged = pipe.read(8 * after)
        if sent:
            select.select([], [], [], delay)
            for child in children:
                os.kill(child, sent)
        ended = _wait_together(children) if together else {}
        acknowledged += pipe.read()
    ended |= {c: os.waitpid(c, 0)[1] for c in children if c not in ended}
    status = [os.waitstatus_to_exitcode(ended[child]) for child in children]
    complete = len(acknowledged) // 8
    return RunResult(status, list(struct.unpack_from(f"<{complete}q", acknowledged)))


def _wait_together(children):
    """Wait until all have ended, and kill the others once one has failed."""
    ended: dict[int, int] = {}
    while len(ended) < len(children):
        child, status = os.wait()
        ended[child] = status
        if status:
            for other in set(children) - ended.keys():
                os.kill(other, signal.SIGKILL)
    return ended


def _acknowledge(writing, number):
    os.write(writing, struct.pack("<q", number))


def _read_line():
    """Read a line of standard input and no byte more: forks share the position."""
    line = b""
    while byte := os.read(0, 1):
        line += byte
        if byte == b"\n":
            break
    return line
