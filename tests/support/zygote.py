"""Many short processes, forked from one that has imported everything.

A program calls `serve()` where its imports end; a test makes a `Zygote` of it, and each
`run` is a fork that goes on from there, killed at a moment or left to its end. No
backend and no thread of Python has started by then, so that a fork is whole.
"""

import json
import os
import select
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """How the processes of a run ended, and what the first acknowledged."""

    status: list[int]
    acknowledged: list[int]

    @property
    def last(self):
        return self.acknowledged[-1] if self.acknowledged else 0


class Zygote:
    """A program that forks for each run; closed at the end.

    What the runs print goes to `log`.
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

    def run(self, *, sent=0, after=0, delay=0.0, count=1, **arguments):
        """Run it `count` times at once, and wait for the end.

        Args:
          sent: The signal that all of them get.
          after: How many acknowledgements of the first come before the signal.
          delay: Seconds between them and the signal.
          arguments: What `serve` returns there, as JSON has it.
        """
        order = dict(sent=sent, after=after, delay=delay, count=count)
        said = json.dumps(order | {"arguments": arguments})
        print(said, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, self.log.read_text()[-3000:]
        return Ended(*json.loads(answer))

    def finish(self, **arguments):
        """Run it to its own end, which must be a good one."""
        ended = self.run(**arguments)
        assert not any(ended.status), self.log.read_text()[-3000:]
        return ended

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=60) == 0


def serve():
    """Fork for each order; a fork gets its arguments, its rank, and a way to say."""
    while order := _line():
        ended = _forked(**json.loads(order))
        if not isinstance(ended, Ended):
            return ended
        print(json.dumps(ended), flush=True)
    sys.exit()


def _forked(sent, after, delay, count, arguments) -> Any:
    reading, writing = os.pipe()
    children = []
    for rank in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # native threads that nobody will miss
            child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(2, 1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            if rank:
                os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
            return arguments, rank, lambda number: _say(writing, number)
        children.append(child)
    os.close(writing)
    acknowledged = b""
    with open(reading, "rb") as pipe:
        acknowledged = pipe.read(8 * after)
        if sent:
            select.select([], [], [], delay)
            for child in children:
                os.kill(child, sent)
        acknowledged += pipe.read()
    status = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
    whole = len(acknowledged) // 8
    return Ended(status, list(struct.unpack_from(f"<{whole}q", acknowledged)))


def _say(writing, number):
    os.write(writing, struct.pack("<q", number))


def _line():
    """A line of standard input, and no byte more: forks share what is read."""
    line = b""
    while byte := os.read(0, 1):
        line += byte
        if byte == b"\n":
            break
    return line
