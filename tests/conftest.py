"""Eight emulated CPU devices, decided before jax starts.

A collective holds a thread for each of them, and XLA has no more unless it is told: two
programs in flight then wait for each other without end (docs/performance.md).
"""

import os
from pathlib import Path

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
