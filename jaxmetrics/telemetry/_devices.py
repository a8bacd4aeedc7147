"""Memory and utilization of the devices of this process."""

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
_MB_KEYS = {
    "gpu_allocated_mb": "mem/in_use_bytes",
    "gpu_reserved_mb": "mem/reserved_bytes",
    "gpu_peak_mb": "mem/peak_bytes",
}
_TPU_METRICS = {
    "tpu/duty_cycle": "duty_cycle_pct",
    "tpu/tensorcore_util": "tensorcore_util",
}


def memory(device: Any = None) -> dict[str, int]:
    """Return the allocator statistics of a device, with JAX's names, in bytes.

    The names depend on the platform: `bytes_in_use`, `peak_bytes_in_use`,
    `bytes_limit` and more. The peak is since the process began. A CPU reports none of
    them, so its result is empty.

    Args:
      device: A device of this process. Default: the maximum of each statistic over
        all devices of this process.

    Raises:
      ValueError: The device belongs to another process.
    """
    if device is None:
        all_stats = [memory(local) for local in jax.local_devices()]
        names = {name: None for stats in all_stats for name in stats}
        return {n: max(stats[n] for stats in all_stats if n in stats) for n in names}
    if device.process_index != jax.process_index():
        raise ValueError(
            f"memory() got {device} of process {device.process_index}; expected a "
            f"device of process {jax.process_index()}. Call it on the process that "
            "owns the device, with one of jax.local_devices()."
        )
    return {name: int(size) for name, size in (device.memory_stats() or {}).items()}


def memory_metrics(device: Any = None) -> dict[str, float]:
    """Return device and host memory under the keys of a record, in bytes.

    Keys are `mem/in_use_bytes`, `mem/peak_bytes`, `mem/reserved_bytes`,
    `mem/limit_bytes`, `mem/frac` (fraction of the limit in use) and
    `mem/host_rss_bytes` (resident memory of this process). Unknown values are left out.

    Args:
      device: A device, as in `memory`.
    """
    stats = memory(device)
    values: dict[str, float] = dict(_record_keys(stats))
    if stats.get("bytes_limit") and "bytes_in_use" in stats:
        values["mem/frac"] = stats["bytes_in_use"] / stats["bytes_limit"]
    if "rss_bytes" in (host := host_memory()):
        values["mem/host_rss_bytes"] = host["rss_bytes"]
    return values


def memory_mb(device: Any = None) -> dict[str, float]:
    """Return `gpu_allocated_mb`, `gpu_reserved_mb` and `gpu_peak_mb`, in MiB.

    The names are the same for every kind of device. Unknown values are left out.

    Args:
      device: A device, as in `memory`.
    """
    values = _record_keys(memory(device))
    return {a: values[key] / 2**20 for a, key in _MB_KEYS.items() if key in values}


def host_memory() -> dict[str, int]:
    """Return `rss_bytes`, the resident memory of this process; {} if unknown."""
    try:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return {}
    return {"rss_bytes": pages * os.sysconf("SC_PAGE_SIZE")}


def compiled_memory(compiled: Any) -> dict[str, int]:
    """Return the compiler's estimate of a program's memory on each device, in bytes.

    Keys are `argument_bytes`, `output_bytes`, `temp_bytes`, `alias_bytes`,
    `generated_code_bytes`, `peak_bytes` if the compiler reports it, and the same for
    host memory with the prefix `host_`, such as `host_temp_bytes`.

    Args:
      compiled: A compiled program, `jax.jit(f).lower(...).compile()`.

    Example:
      >>> x = jax.ShapeDtypeStruct((4, 4), "float32")
      >>> compiled_memory(jax.jit(lambda x: x @ x).lower(x).compile())["output_bytes"]
      64
    """
    analysis = compiled.memory_analysis()
    sizes = {}
    for name in dir(analysis):
        part, _, unit = name.rpartition("_in_")
        if unit == "bytes":
            part = part.removesuffix("_size").removesuffix("_memory")
            sizes[f"{part}_bytes"] = int(getattr(analysis, name))
    return sizes


def tpu_utilization() -> dict[str, float]:
    """Return `tpu/duty_cycle` and `tpu/tensorcore_util` of this host, in [0, 1].

    Means over the chips of this host, read from the monitoring of libtpu, which
    samples over seconds and reports nothing before a program runs. Empty without a TPU
    or if libtpu has no monitoring. The call can be slow: call it when logging, not in
    every step.
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
    """Average over chips; libtpu gives one percentage per chip, as text."""
    supported = set(monitoring.list_supported_metrics())
    fractions = {}
    for key, name in _TPU_METRICS.items():
        texts = monitoring.get_metric(name).data() if name in supported else []
        if texts:
            fractions[key] = float(np.mean([float(text) for text in texts])) / 100
    return fractions


def _record_keys(stats: Mapping[str, int]) -> dict[str, int]:
    return {
        key: stats[name]
        for key, names in _KEYS.items()
        for name in reversed(names)
        if name in stats
    }
