"""The viewer over HTTP: many runs, a long run, a sweep, an idle page.

The floor of each case is an answer without content. `bytes` are those of the compressed
answers. The long run has 50 keys; it is asked for the first time in a new server each.

    python -m benchmarks viewer --rounds 3
    JAXMETRICS_ROWS=100000 python -m benchmarks viewer
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import listing
from benchmarks.measure import Bench

RUNS, KEYS = 2000, 50
ROWS = int(os.environ.get("JAXMETRICS_ROWS", 1_000_000))
SWEEP_RUNS, SWEEP_CHARTS, SWEEP_ROWS = 24, 12, 5000
IDLE_SECONDS = 10
AN_HOUR_AGO = time.time() - 3600
RUN = "/api/run/p/r"


class Server(NamedTuple):
    """A viewer in a process of its own."""

    process: Any
    port: int
    token: str

    def ask(self, path: str) -> tuple[Any, int]:
        """Return the content of an answer, and its bytes as they were sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {self.token}"}
            headers["Accept-Encoding"] = "gzip"
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            is_packed = answer.getheader("content-encoding") == "gzip"
        content = json.loads(gzip.decompress(body) if is_packed else body)
        assert answer.status in (200, 404), content
        return content, len(body)

    def reading(self, *paths: str) -> Callable[[], float]:
        """Return a function that returns the seconds of some answers."""

        def seconds() -> float:
            began = time.perf_counter()
            for path in paths:
                self.ask(path)
            return time.perf_counter() - began

        return seconds

    def cpu_seconds(self) -> float:
        """Return the time of its process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().split(")")[1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def mebibytes(self) -> float:
        """Return the largest memory of its process so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, case in (
            (f"{RUNS:,} runs", many_runs),
            (f"{ROWS:,} rows of {KEYS} keys", long_run),
            (f"{SWEEP_RUNS} runs of {SWEEP_CHARTS} charts", sweep),
            (f"idle page, {RUNS:,} runs", idle),
        ):
            if bench.wants(name):
                case(bench, name, root)


def many_runs(bench: Bench, case: str, root: Path) -> None:
    with serving(write_runs(root)) as server:
        size = server.ask("/api/runs")[1]
        readings = nothing(server) | {
            "/api/runs": server.reading("/api/runs"),
            "one run": server.reading("/api/run/sweep0/run0000"),
        }
        bench.collect(case, readings, {"/api/runs": {"bytes": size}})


def long_run(bench: Bench, case: str, root: Path) -> None:
    folder = root / "long"
    write_long(folder / "p" / "r" / "metrics.jsonl")
    keys = "keys=train/loss,grad/norm,perf/mfu,lr/lr"
    zoom = f"{RUN}/series?keys=train/loss&from={ROWS // 3}&to={ROWS // 2}"

    def first() -> float:
        with serving(folder) as server:
            paths = (RUN, f"{RUN}/keys", f"{RUN}/events", f"{RUN}/series?{keys}")
            return server.reading(*paths)()

    def first_zoom() -> float:
        with serving(folder) as server:
            server.ask(f"{RUN}/keys")
            return server.reading(zoom)()

    with serving(folder) as server:
        began = time.perf_counter()
        while server.ask(f"{RUN}/keys")[0]["loaded"] < 1:
            time.sleep(1)
        seconds = time.perf_counter() - began
        readings = nothing(server) | {
            "open: header, keys, events, 4 series": first,
            "zoom while it is read": first_zoom,
            "4 series, read": server.reading(f"{RUN}/series?{keys}"),
            "zoom, read": server.reading(zoom),
            "layers, read": server.reading(f"{RUN}/layers?id=grad/norm"),
        }
        figures = {"zoom, read": {"s to read": seconds, "MiB": server.mebibytes()}}
        bench.collect(case, readings, figures)


def sweep(bench: Bench, case: str, root: Path) -> None:
    folder = root / "charts"
    names = [f"train/loss_{n}" for n in range(SWEEP_CHARTS)]
    for n in range(SWEEP_RUNS):
        write_rows(folder / "p" / f"r{n}" / "metrics.jsonl", SWEEP_ROWS, names, n)
    paths = [
        f"/api/run/p/r{n}/series?points=300&keys={','.join(names)}"
        for n in range(SWEEP_RUNS)
    ]
    with serving(folder) as server:
        size = sum(server.ask(path)[1] for path in paths)
        readings = nothing(server) | {"all series": server.reading(*paths)}
        bench.collect(case, readings, {"all series": {"bytes": size}})


def idle(bench: Bench, case: str, root: Path) -> None:
    with serving(write_runs(root)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {server.token}"}
            connection.request("GET", "/api/changes", headers=headers)
            answer = connection.getresponse()
            size = len(answer.readline())
            time.sleep(IDLE_SECONDS)  # the runs are listed for the first time
            began, before = time.perf_counter(), server.cpu_seconds()
            time.sleep(IDLE_SECONDS)
            looks = time.perf_counter() - began  # one a second
            milliseconds = 1e3 * (server.cpu_seconds() - before) / looks
            figures = {"a look": {"bytes": size, "ms": milliseconds}}
            bench.collect(case, nothing(server) | {"a look": lambda: 1.0}, figures)


def nothing(server: Server) -> dict[str, Callable[[], float]]:
    return {"no such address": server.reading("/api/none")}


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Run the viewer until the end of the block."""
    command = [sys.executable, "-m", "jaxmetrics", "view", str(root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.search(r":(\d+)/\?token=(\S+)", line)
            assert match, line
            yield Server(process, int(match[1]), match[2])
        finally:
            process.terminate()


def write_runs(root: Path) -> Path:
    """Write small runs, unless they are there."""
    folder = root / "many"
    for n in range(0 if folder.exists() else RUNS):
        run = folder / f"sweep{n % 4}" / f"run{n:04d}"
        listing.write(run, n)
        for file in run.iterdir():
            os.utime(file, (AN_HOUR_AGO, AN_HOUR_AGO))
    return folder


def write_long(path: Path) -> None:
    names = ["train/loss", "grad/norm", "perf/mfu", "lr/lr"]
    names += [f"grad/norm/layer_{n:02d}" for n in range(KEYS - len(names))]
    write_rows(path, ROWS, names, 0)


def write_rows(path: Path, rows: int, names: list[str], seed: int) -> None:
    """Write training rows of random values, which repeat after 1,000 rows."""
    import random

    import orjson

    path.parent.mkdir(parents=True)
    draw = random.Random(seed).random
    values = [{name: draw() for name in names} for _ in range(min(rows, 1000))]
    with open(path, "wb") as file:
        file.write(b'{"kind":"header","schema":2,"run_id":"benchmark"}\n')
        for step in range(1, rows + 1):
            row = {"step": step, "split": "train", "time": step / 10}
            row |= {"tokens": step * 1024, **values[step % len(values)]}
            file.write(orjson.dumps(row) + b"\n")
