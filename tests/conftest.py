"""Eight emulated CPU devices, decided before jax starts.

A collective holds a thread for each of them, and XLA has no more unless it is told: two
programs in flight then wait for each other without end (docs/performance.md).
"""

import os
from pathlib import Path

import pytest
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

SLOWEST = ("faults", "docs", "demo", "processes", "checkpoint", "core")
"""Folders whose tests begin first, so that no worker is left with one of them."""


def pytest_collection_modifyitems(items):
    """Put the files of slow folders first, and keep the order otherwise."""
    tests = Path(__file__).parent

    def place(item):
        inner = item.path.is_relative_to(tests)
        folder = item.path.relative_to(tests).parts[0] if inner else ""
        return SLOWEST.index(folder) if folder in SLOWEST else len(SLOWEST)

    items.sort(key=place)
    for item in items:
        if " object at 0x" in item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid}: the name of a test has an address, which differs "
                f"between the workers of pytest-xdist. Pass ids=."
            )
