"""The step and the update of step.py on eight emulated devices.

The devices share the cores, and their threads wait for each other: ratios are rough.

    python -m benchmarks step_on_devices
"""

from __future__ import annotations

from typing import Any

DEVICES = 8
ENVIRONMENT = {
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
    "NPROC": "32",
}


def measure(bench: Any) -> None:
    """Time the step, and the update alone."""
    from benchmarks.step import alone, compare, one_update, sharded

    if bench.wants("step, 8 devices"):
        compare(bench, "step, 8 devices", one_update, *sharded())
    if bench.wants("update alone, 8 devices"):
        alone(bench, "update alone, 8 devices", *sharded())
