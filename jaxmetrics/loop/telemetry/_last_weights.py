"""Keeps the weights of the last collection: on disk, on the host, or on devices."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxmetrics.processes import process_count, process_index


class LastWeights:
    """One snapshot of parameters, replaced by the next one as a whole.

    Args:
      where: `"disk"`, `"host"` or `"device"`.
      folder: That of a snapshot on disk.
    """

    def __init__(self, where: Literal["disk", "host", "device"], folder: Path) -> None:
        self._where = where
        self._folder = folder.absolute()
        self._held: Any = None

    def load(self, like: Any) -> Any | None:
        """The snapshot, or None before the first.

        Args:
          like: Parameters; a snapshot on disk of another structure is none.
        """
        if self._where != "disk":
            return self._held
        found = next((p for p in (self._folder, self._old) if p.is_dir()), None)
        if found is None:
            return None
        import orbax.checkpoint as ocp

        # On several processes no one of them may have room for the whole.
        spread = process_count() > 1
        wanted = jax.tree.map(_abstract if spread else _as_numpy, like)
        with ocp.StandardCheckpointer() as checkpointer:
            try:
                return checkpointer.restore(found, {"params": wanted})["params"]
            except (KeyError, ValueError):
                return None

    def save(self, params: Any) -> None:
        """Replace the snapshot; the parameters may be donated right after."""
        if self._where == "device":
            self._held = jax.tree.map(lambda x: x + 0, params)
        elif self._where == "host":
            self._held = jax.tree.map(np.array, params)
        else:
            self._write(params)

    @property
    def _old(self) -> Path:
        return self._folder.with_name(f"{self._folder.name}.old")

    def _write(self, params: Any) -> None:
        import orbax.checkpoint as ocp

        new = self._folder.with_name(f"{self._folder.name}.new")
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(new, {"params": params}, force=True)
            checkpointer.wait_until_finished()
        # A folder cannot be replaced at once; a kill in between leaves the old one.
        if process_index() == 0:
            shutil.rmtree(self._old, ignore_errors=True)
            if self._folder.exists():
                self._folder.rename(self._old)
            new.rename(self._folder)
            shutil.rmtree(self._old, ignore_errors=True)
        if process_count() > 1:
            from jaxmetrics.processes import exchange

            exchange("last_weights", b"")


def _abstract(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _as_numpy(x: Any) -> np.ndarray:
    return np.empty(x.shape, x.dtype)
