"""Detect when devices have completed the programs launched so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax


class DeviceMarks:
    """Launch tiny programs as marks behind the programs of this process.

    A device runs programs in the order of their launch, so a mark completes after all
    programs launched before it, and before all launched after it. (A CPU may run two
    programs at once.)
    """

    def __init__(self) -> None:
        import jax
        import numpy as np
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        devices = np.array(jax.local_devices())
        sharding = NamedSharding(Mesh(devices, ("devices",)), PartitionSpec("devices"))
        self._zeros = jax.device_put(np.zeros(devices.size, np.float32), sharding)
        self._add_one = jax.jit(lambda x: x + 1)

    def put(self) -> jax.Array:
        """Launch a mark on every local device; `block_until_ready()` waits for it."""
        return self._add_one(self._zeros)
