"""Devices that the demo trains on."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jax.sharding import Mesh


def data_mesh(batch: int) -> Mesh:
    """Return a mesh with the axis `data` over devices that divide the batch evenly.

    The devices are the accelerators of this machine, or 8 emulated ones on its CPU.
    Call it before JAX has started.
    """
    import jax
    import numpy as np

    # An option of the CPU backend alone: it does not affect accelerators.
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", 8)
    # A collective blocks one thread per device. With XLA's default number of threads
    # two programs in flight could wait for each other (docs/performance.md).
    os.environ.setdefault("NPROC", "32")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    count = math.gcd(jax.local_device_count(), batch)
    return jax.sharding.Mesh(np.array(jax.local_devices()[:count]), ("data",))


def enable_compilation_cache(folder: Path) -> None:
    """Cache compiled programs, so that a resumed run starts at once with the same ones.

    Args:
      folder: Folder of the cache, unless the environment names another.
    """
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
