"""The devices that the demo trains on."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jax.sharding import Mesh


def data_mesh(batch: int) -> Mesh:
    """A mesh with the axis `data` over as many devices as divide the batch.

    They are the accelerators of this machine, or else 8 emulated ones on its CPU. Call
    it before JAX has started.
    """
    import jax
    import numpy as np

    # Asked of the CPU backend alone: where there is an accelerator it changes nothing.
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", 8)
    # A collective holds a thread for each device, and XLA has no more unless it is
    # told: two programs in flight would wait for each other (docs/performance.md).
    os.environ.setdefault("NPROC", "32")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    count = math.gcd(jax.local_device_count(), batch)
    return jax.sharding.Mesh(np.array(jax.local_devices()[:count]), ("data",))


def keep_compiled(folder: Path) -> None:
    """Keep compiled programs, so that a resumed run begins at once and with the same.

    Args:
      folder: Where to; a folder that the environment names goes before it.
    """
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
