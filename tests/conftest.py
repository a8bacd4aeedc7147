"""Eight emulated CPU devices, decided before jax starts.

A collective holds a thread for each of them, and XLA has no more unless it is told: two
programs in flight then wait for each other without end (docs/performance.md).
"""

import gc
import os
import sys
import zlib
from pathlib import Path

import pytest
from support.figures import is_quick
from support.processes import restore_sigint

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("NPROC", "32")
os.environ.setdefault("JAX_CPU_ENABLE_ASYNC_DISPATCH", "false")
flags = os.environ.get("XLA_FLAGS", "")
if "xla_force_host_platform_device_count" not in flags:
    os.environ["XLA_FLAGS"] = (
        f"{flags} --xla_force_host_platform_device_count=8".strip()
    )

# Child processes import `support` and `cases` too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
)

restore_sigint()

# Scripts that freeze values of libraries which are not installed here.
collect_ignore_glob = ["metrics/*/frozen/*.py", "metrics/peers/freeze.py"]

MAX_MAPS = 20_000
"""Memory maps of a process beyond which a file of tests releases its programs."""

SLOWEST = ("faults", "docs", "demo", "processes", "checkpoint", "core")
"""Folders whose tests begin first, so that no worker is left with one of them."""

SAMPLED = {"core": 3, "interop": 2, "losses": 2, "metrics": 4, "page": 2} | {
    "docs/test_examples.py": 3
}
"""Folders and files of which one test in n of each file is run, if QUICK is set: those
whose tests compile programs or draw pages, without the laws of `test_laws*.py`."""


def pytest_collection_modifyitems(config, items):
    """Put the files of slow folders first; of sampled tests keep a part."""

    def place(item):
        folder = folder_of(item)
        return SLOWEST.index(folder) if folder in SLOWEST else len(SLOWEST)

    items.sort(key=place)
    for item in items:
        if " object at 0x" in item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid}: the name of a test has an address, which differs "
                f"between the workers of pytest-xdist. Pass ids=."
            )
    left_out = sampled_out(items)
    if left_out:
        config.hook.pytest_deselected(items=[i for i in items if i in left_out])
        items[:] = [item for item in items if item not in left_out]


def sampled_out(items):
    """Return the tests that are not in the sample: unless QUICK is set there are none.

    Of the cases of a test marked `sampled(n)`, and of the tests of a file in `SAMPLED`,
    one in n is kept, chosen by its name, and at least one. Tests marked `slow` are not.
    """
    groups = {}
    left_out = set()
    for item in items if is_quick() else ():
        if item.get_closest_marker("slow"):
            left_out.add(item)
            continue
        mark = item.get_closest_marker("sampled")
        if mark is not None:
            group = item.path, item.originalname, mark.args[0]
            groups.setdefault(group, {})[item.nodeid] = [item]
        folder = folder_of(item)
        n = SAMPLED.get(f"{folder}/{item.path.name}", SAMPLED.get(folder))
        if n is not None and not item.path.name.startswith("test_laws"):
            tests = groups.setdefault((item.path, "", n), {})
            tests.setdefault(item.nodeid.split("[")[0], []).append(item)
    for (*_, n), names in groups.items():
        rest = [name for name in names if zlib.crc32(name.encode()) % n]
        left_out |= {
            item
            for name in (rest[1:] if len(rest) == len(names) else rest)
            for item in names[name]
        }
    return left_out


def folder_of(item):
    """Return the folder of a test within `tests`; "" outside of it."""
    tests = Path(__file__).parent
    inner = item.path.is_relative_to(tests)
    return item.path.relative_to(tests).parts[0] if inner else ""


@pytest.fixture(autouse=True, scope="module")
def compiled_programs():
    """Release what was compiled before Linux refuses a process further memory maps.

    W&B tells child processes of the service that this process has started, which keeps
    the runs of children that are killed in use.
    """
    yield
    os.environ.pop("WANDB_SERVICE", None)
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MAX_MAPS:
        if "jax" in sys.modules:
            sys.modules["jax"].clear_caches()
        gc.collect()
