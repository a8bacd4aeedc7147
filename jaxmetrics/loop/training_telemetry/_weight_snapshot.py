"""Keep a snapshot of the weights on disk, on the host or on devices."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxmetrics.processes import exchange, process_count, process_index

_LOG = logging.getLogger("jaxmetrics")


class WeightSnapshot:
    """One snapshot of parameters, replaced by the next one as a whole.

    Without orbax a snapshot for the disk is kept on the host, with one warning.

    Args:
      location: `"disk"`, `"host"` or `"device"`.
      folder: Directory of a snapshot on disk.
    """

    def __init__(
        self, location: Literal["disk", "host", "device"], folder: Path
    ) -> None:
        self._location = location
        self._folder = folder.absolute()
        self._in_memory: Any = None

    def load(self, like: Any) -> Any | None:
        """Return the snapshot, or None before the first.

        Args:
          like: Parameters. If a snapshot on disk has another structure or other shapes,
            the result is None.
        """
        if self._location == "disk":
            ocp = self._import_orbax()
            if ocp is not None:
                return self._read(ocp, like)
        return jax.tree.map(_from_host, self._in_memory)

    def save(self, params: Any) -> None:
        """Replace the snapshot; the parameters may be donated right afterwards."""
        if self._location == "disk":
            ocp = self._import_orbax()
            if ocp is not None:
                self._write(ocp, params)
                return
        if self._location == "device":
            self._in_memory = jax.tree.map(lambda x: x + 0, params)
        else:
            self._in_memory = jax.tree.map(_to_host, params)

    @property
    def _old(self) -> Path:
        return self._folder.with_name(f"{self._folder.name}.old")

    def _import_orbax(self) -> Any | None:
        try:
            import orbax.checkpoint as ocp
        except ImportError:
            self._location = "host"
            _LOG.warning(
                "TrainingTelemetry keeps the last weights in host memory, because "
                "orbax is not installed, so the first collection after a restart has "
                "no change of weights. Install it (pip install jaxmetrics[telemetry]), "
                "or set weights_on='host'."
            )
            return None
        return ocp

    def _read(self, ocp: Any, like: Any) -> Any | None:
        folder = next((p for p in (self._folder, self._old) if p.is_dir()), None)
        if folder is None:
            return None
        # With several processes, none of them may have memory for the whole tree.
        sharded = process_count() > 1
        template = jax.tree.map(_abstract if sharded else _empty, like)
        with ocp.StandardCheckpointer() as checkpointer:
            try:
                return checkpointer.restore(folder, {"params": template})["params"]
            except (KeyError, ValueError):
                return None

    def _write(self, ocp: Any, params: Any) -> None:
        new = self._folder.with_name(f"{self._folder.name}.new")
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(new, {"params": params}, force=True)
            checkpointer.wait_until_finished()
        # A directory cannot be replaced atomically; after a kill in between, `load`
        # reads the old one.
        if process_index() == 0:
            shutil.rmtree(self._old, ignore_errors=True)
            if self._folder.exists():
                self._folder.rename(self._old)
            new.rename(self._folder)
            shutil.rmtree(self._old, ignore_errors=True)
        if process_count() > 1:
            exchange("last_weights", b"")


class _LocalBlocks:
    """The blocks of a global array that lie on this process, copied to the host."""

    def __init__(self, x: jax.Array) -> None:
        self._shape, self._sharding = x.shape, x.sharding
        # Keyed by position, so that replicas are stored once.
        self._blocks = {str(s.index): np.array(s.data) for s in x.addressable_shards}

    def to_devices(self) -> jax.Array:
        return jax.make_array_from_callback(
            self._shape, self._sharding, lambda index: self._blocks[str(index)]
        )


def _to_host(x: Any) -> Any:
    return np.array(x) if getattr(x, "is_fully_addressable", True) else _LocalBlocks(x)


def _from_host(x: Any) -> Any:
    return x.to_devices() if isinstance(x, _LocalBlocks) else x


def _abstract(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _empty(x: Any) -> np.ndarray:
    return np.empty(x.shape, x.dtype)
