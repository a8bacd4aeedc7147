"""Import of jaxmetrics and of other libraries, over that of jax, in new processes."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from typing import Any

CASE = "import"
MOST_ROUNDS = 11
MODULES = {
    "jax": "jax",
    "jaxmetrics": "jaxmetrics",
    "jaxmetrics, a Collection": "jaxmetrics; jaxmetrics.Collection",
    "clu": "clu.metrics",
    "metrax": "metrax",
    "nnx": "flax.nnx",
    "calibrax": "calibrax.metrics",
    "torchmetrics": "torchmetrics",
    "torcheval": "torcheval.metrics",
}
_SCRIPT = """
import sys, time
began = time.perf_counter()
import {}
print(time.perf_counter() - began, len(sys.modules))
"""


def measure(bench: Any) -> None:
    """Time imports; the figures are the modules that each loads."""
    if not bench.wants(CASE):
        return
    packages = {
        name: text.split(";")[0].split(".")[0] for name, text in MODULES.items()
    }
    names = [name for name in MODULES if importlib.util.find_spec(packages[name])]
    figures = {name: {"modules": imported(MODULES[name])[1]} for name in names}
    readings = {
        name: functools.partial(lambda text: imported(text)[0], MODULES[name])
        for name in names
    }
    bench.collect(CASE, readings, figures, min(bench.rounds, MOST_ROUNDS))


def imported(text: str) -> tuple[float, float]:
    """Return the seconds of an import in a new process, and the modules it loads."""
    command = [sys.executable, "-c", _SCRIPT.format(text)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, modules = done.stdout.split()
    return float(seconds), float(modules)
