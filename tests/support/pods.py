"""Pods of real processes on loopback: start them, wait for them, read their results."""

import contextlib
import socket
import subprocess
import sys

from jaxmetrics.core import CoordinationService
from jaxmetrics.record import loads

PODS = {"1x8": 1, "2x4": 2, "4x2": 4}
"""Number of processes of each pod; all have 8 devices."""

SEVERAL = ["2x4", "4x2"]


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(program, name, directory, *saved):
    """Start the processes of a pod; each writes its results and its log."""
    count, port = PODS[name], free_port()
    (directory / name).mkdir()
    processes = []
    for rank in range(count):
        arguments = [rank, count, 8 // count, port, directory / name, *saved]
        with (directory / name / f"{rank}.log").open("wb") as log:
            command = [sys.executable, program, *map(str, arguments)]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))
    return processes


def finish(processes, directory):
    """Wait until all processes of a pod have ended without an error."""
    try:
        for rank, process in enumerate(processes):
            code = process.wait(timeout=240)
            assert code == 0, (directory / f"{rank}.log").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def results(pods, name):
    """Return the results that each process of a pod wrote."""
    files = [pods / name / f"{rank}.json" for rank in range(PODS[name])]
    return [loads(file.read_bytes()) for file in files]


def error_text(call):
    """Return the error that a call raises, as text; None if it raises none."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@contextlib.contextmanager
def recorded_tags():
    """Collect the tags of the exchanges of this process within the block."""
    tags, increment = [], CoordinationService.increment

    def recording(self, key):
        _, tag, name, _ = key.split("/")
        if name == "calls":
            tags.append(tag)
        return increment(self, key)

    CoordinationService.increment = recording
    try:
        yield tags
    finally:
        CoordinationService.increment = increment


@contextlib.contextmanager
def without_coordination_service():
    """Let exchanges within the block find no coordination service."""
    connected = CoordinationService.connected
    CoordinationService.connected = classmethod(lambda cls: None)
    try:
        yield
    finally:
        CoordinationService.connected = connected
