"""Pods of real processes on loopback: start them, wait for them, read their results."""

import socket
import subprocess
import sys

from jaxmetrics.record import loads

PODS = {"1x8": 1, "2x4": 2, "4x2": 4}
SEVERAL = ["2x4", "4x2"]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(program, name, directory, *saved):
    """The processes of a pod, begun; each writes its results and its log."""
    count, port = PODS[name], free_port()
    (directory / name).mkdir()
    running = []
    for rank in range(count):
        given = [rank, count, 8 // count, port, directory / name, *saved]
        with (directory / name / f"{rank}.log").open("wb") as log:
            command = [sys.executable, program, *map(str, given)]
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
    return running


def finish(running, directory):
    """Wait for a pod to its end."""
    try:
        for rank, process in enumerate(running):
            code = process.wait(timeout=240)
            assert code == 0, (directory / f"{rank}.log").read_text()[-3000:]
    finally:
        for process in running:
            process.kill()


def results(pods, name):
    """What each process of a pod wrote."""
    files = [pods / name / f"{rank}.json" for rank in range(PODS[name])]
    return [loads(file.read_bytes()) for file in files]
