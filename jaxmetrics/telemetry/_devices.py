"""Memory and use of the devices of this process."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

__all__ = [
    "compiled_memory",
    "host_memory",
    "memory",
    "memory_mb",
    "memory_metrics",
    "tpu_utilization",
]

_KEYS = {
    "mem/in_use_bytes": ("bytes_in_use",),
    "mem/peak_bytes": ("peak_bytes_in_use",),
    "mem/reserved_bytes": ("bytes_reserved", "pool_bytes"),
    "mem/limit_bytes": ("bytes_limit",),
}
_ALIASES = {
    "gpu_allocated_mb": "mem/in_use_bytes",
    "gpu_reserved_mb": "mem/reserved_bytes",
    "gpu_peak_mb": "mem/peak_bytes",
}
_TPU = {"tpu/duty_cycle": "duty_cycle_pct", "tpu/tensorcore_util": "tensorcore_util"}


def memory(device: Any = None) -> dict[str, int]:
    """What the allocator of a device says, in JAX's own names and bytes.

    The names depend on the platform: `bytes_in_use`, `peak_bytes_in_use`,
    `bytes_limit` and more. The peak is since the process began. A CPU has none of them,
    so the result is empty there.

    Args:
      device: A device of this process; None gives, of each number, the largest over
        all devices of this process.

    Raises:
      ValueError: The device belongs to another process.
    """
    if device is None:
        found = [memory(local) for local in jax.local_devices()]
        names = {name: None for sizes in found for name in sizes}
        return {n: max(sizes[n] for sizes in found if n in sizes) for n in names}
    if device.process_index != jax.process_index():
        raise ValueError(
            f"memory() got {device} of process {device.process_index}; expected one of "
            f"process {jax.process_index()}. Ask each about its jax.local_devices()."
        )
    return {name: int(size) for name, size in (device.memory_stats() or {}).items()}


def memory_metrics(device: Any = None) -> dict[str, float]:
    """Memory under the names of a record: `mem/in_use_bytes`, `mem/peak_bytes`, more.

    `mem/frac` is the part of the limit in use, `mem/host_rss_bytes` the resident memory
    of this process. What is not known is left out.

    Args:
      device: As in `memory`.
    """
    sizes = memory(device)
    found: dict[str, float] = dict(_named(sizes))
    if sizes.get("bytes_limit") and "bytes_in_use" in sizes:
        found["mem/frac"] = sizes["bytes_in_use"] / sizes["bytes_limit"]
    if "rss_bytes" in (host := host_memory()):
        found["mem/host_rss_bytes"] = host["rss_bytes"]
    return found


def memory_mb(device: Any = None) -> dict[str, float]:
    """`gpu_allocated_mb`, `gpu_reserved_mb` and `gpu_peak_mb`, in 2**20 bytes.

    Whatever the device is; what is not known is left out.

    Args:
      device: As in `memory`.
    """
    found = _named(memory(device))
    return {a: found[key] / 2**20 for a, key in _ALIASES.items() if key in found}


def host_memory() -> dict[str, int]:
    """`rss_bytes`: the resident memory of this process, where the system tells it."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return {}
    return {"rss_bytes": pages * os.sysconf("SC_PAGE_SIZE")}


def compiled_memory(compiled: Any) -> dict[str, int]:
    """The compiler's estimate of what a program needs on each device, in bytes.

    `argument_bytes`, `output_bytes`, `temp_bytes`, `alias_bytes`,
    `generated_code_bytes`, where the compiler tells it `peak_bytes`, and the same in
    the memory of the host, `host_temp_bytes` and so on.

    Args:
      compiled: `jax.jit(f).lower(...).compile()`.

    Example:
      >>> x = jax.ShapeDtypeStruct((4, 4), "float32")
      >>> compiled_memory(jax.jit(lambda x: x @ x).lower(x).compile())["output_bytes"]
      64
    """
    analysis = compiled.memory_analysis()
    found = {}
    for name in dir(analysis):
        what, _, unit = name.rpartition("_in_")
        if unit == "bytes":
            what = what.removesuffix("_size").removesuffix("_memory")
            found[f"{what}_bytes"] = int(getattr(analysis, name))
    return found


def tpu_utilization() -> dict[str, float]:
    """`tpu/duty_cycle` and `tpu/tensorcore_util`, means over this host's chips, 0 to 1.

    From the monitoring of libtpu, which samples over seconds and says nothing before a
    program runs. Without a TPU, or with a libtpu that lacks it, the result is empty.
    The question may take a while: ask where you log, not in every step.
    """
    if jax.default_backend() != "tpu":
        return {}
    try:
        sdk = importlib.import_module("libtpu.sdk")
    except ImportError:
        return {}
    monitoring = getattr(sdk, "tpumonitoring", None)
    return {} if monitoring is None else _utilization(monitoring)


def _utilization(monitoring: Any) -> dict[str, float]:
    """Percentages, one text for each chip, as the mean of fractions."""
    supported = set(monitoring.list_supported_metrics())
    found = {}
    for key, name in _TPU.items():
        texts = monitoring.get_metric(name).data() if name in supported else []
        if texts:
            found[key] = float(np.mean([float(text) for text in texts])) / 100
    return found


def _named(sizes: Mapping[str, int]) -> dict[str, int]:
    return {
        key: sizes[name]
        for key, names in _KEYS.items()
        for name in reversed(names)
        if name in sizes
    }
