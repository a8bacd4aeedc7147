"""Eight emulated CPU devices, decided before jax starts.

Programs are run one after another: an all-reduce was once left waiting for threads on a
busy machine, and two programs in flight are the suspected cause.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_CPU_ENABLE_ASYNC_DISPATCH", "false")
flags = os.environ.get("XLA_FLAGS", "")
if "xla_force_host_platform_device_count" not in flags:
    os.environ["XLA_FLAGS"] = (
        f"{flags} --xla_force_host_platform_device_count=8".strip()
    )
