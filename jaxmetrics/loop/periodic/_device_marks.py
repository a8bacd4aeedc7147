"""Tells when the devices have done what they were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax


class DeviceMarks:
    """Puts marks behind the programs that this process has launched.

    A device runs programs in the order of their launch, so that a mark is done after
    all before it, and before all after it. (A CPU may run two at once.)
    """

    def __init__(self) -> None:
        import jax
        import numpy as np
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        devices = np.array(jax.local_devices())
        placed = NamedSharding(Mesh(devices, ("devices",)), PartitionSpec("devices"))
        self._zeros = jax.device_put(np.zeros(devices.size, np.float32), placed)
        self._next = jax.jit(lambda x: x + 1)

    def put(self) -> jax.Array:
        """A mark on every local device; `block_until_ready()` waits for it."""
        return self._next(self._zeros)
