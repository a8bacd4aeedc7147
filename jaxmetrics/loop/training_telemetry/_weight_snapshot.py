"""Keep the weights of the last collection on disk, on the host or on devices."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxmetrics.processes import exchange, process_count, process_index
from jaxmetrics.record import DiskErrors, dumps, loads, number
from jaxmetrics.telemetry import BlockDrift, drift

_LOG = logging.getLogger("jaxmetrics")
_KEPT = 2  # the last checkpoint may be incomplete: the one before is restored then

Read = Callable[[str, tuple[slice, ...]], np.ndarray]


class WeightSnapshot:
    """The weights of one step, replaced by those of the next collection.

    On disk each snapshot is a directory named by its step. Besides the newest, the
    snapshots stay that were in use when the last two checkpoints were made, so that a
    restored run continues from the one that an uninterrupted run would have had. A
    snapshot on disk or on the host is compared on the host, block by block.

    Without orbax a snapshot for the disk is kept on the host, with one warning. If it
    cannot be written, there is one warning, and the next change is unknown.

    Args:
      location: `"disk"`, `"host"` or `"device"`.
      folder: Directory of the snapshots on disk.
      groups: Groups of arrays, as in `telemetry.norms`.

    Attributes:
      step: Step of the snapshot in use, or None.
    """

    def __init__(
        self, location: Literal["disk", "host", "device"], folder: Path, groups: Any
    ) -> None:
        self.step: int | None = None
        self._location = location
        self._folder = folder.absolute()
        self._groups = groups
        self._kept: list[int] = []
        self._in_memory: Any = None
        self._errors = DiskErrors(
            f"The snapshot of the weights in {self._folder}",
            "the next change of the weights is unknown",
        )

    def advance(self, params: Any, step: int) -> dict[str, Any]:
        """Replace the snapshot, and return the distance of the weights from it.

        Every process calls it. The parameters may be donated right afterwards.

        Returns:
          Distances by suffix of the key: `""` for the whole tree, `"/head"`. All are
          None if there is no snapshot of these arrays.
        """
        now, is_kept = BlockDrift(params, self._groups), True
        if not any(map(np.size, now.arrays.values())):
            return dict.fromkeys(now.suffixes)
        if self._location == "device":
            distances = self._on_device(now, params)
            self._in_memory = jax.tree.map(_copied, params)
        else:
            distances = self._on_host(now)
            ocp = self._import_orbax() if self._location == "disk" else None
            if ocp is None:
                blocks = {
                    (name, str(index)): block.copy()
                    for name, index, block in now.blocks()
                }
                self._in_memory = _shapes(now.arrays), blocks
            else:
                is_kept = self._write(ocp, now, step)
        self.step = step if is_kept else None
        return distances or dict.fromkeys(now.suffixes)

    def keep(self) -> None:
        """Keep the snapshot in use for a restore of the checkpoint that is made now."""
        if self.step is not None and self.step not in self._kept[-1:]:
            self._kept = [*self._kept, self.step][-_KEPT:]

    def use(self, step: int | None) -> None:
        """Go back to the snapshot of an earlier step; None for no snapshot."""
        if self._location != "disk" and self.step != step:
            self._in_memory = None
        self.step = step
        older = sorted(
            s for s in self._steps_on_disk() if step is not None and s < step
        )
        self._kept = [] if step is None else [*older, step][-_KEPT:]

    def _on_device(self, now: BlockDrift, params: Any) -> dict[str, Any] | None:
        if self._in_memory is None:
            return None
        try:
            values = drift(params, self._in_memory, groups=self._groups, key="")
        except ValueError:  # another structure
            return None
        return {suffix: values[suffix] for suffix in now.suffixes}

    def _on_host(self, now: BlockDrift) -> dict[str, Any] | None:
        squares = None
        try:
            if (read := self._reader(now.arrays)) is not None:
                squares = now.squares(read)
        except (KeyError, OSError, ValueError) as error:
            _LOG.warning(
                "The change of the weights since step %s is unknown: their snapshot "
                "cannot be read (%s).",
                self.step,
                error,
            )
        if process_count() > 1:
            squares = _sum_over_processes(squares)
        if squares is None:
            return None
        return {suffix: math.sqrt(square) for suffix, square in squares.items()}

    def _reader(self, arrays: Mapping[str, Any]) -> Read | None:
        """Return a function that reads a block, or None without a snapshot of these."""
        if self._in_memory is not None:
            shapes, blocks = self._in_memory
            if shapes != _shapes(arrays):
                return None
            return lambda name, index: blocks[name, str(index)]
        ocp = self._import_orbax() if self._location == "disk" else None
        if ocp is None or self.step is None:
            return None
        folder = self._folder / str(self.step)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} does not exist")
        with ocp.StandardCheckpointer() as checkpointer:
            saved = checkpointer.metadata(folder).item_metadata.tree
        if _shapes(saved) != _shapes(_storable(arrays)):
            return None
        files = {name: _open_array(folder, each.name) for name, each in saved.items()}
        return lambda name, index: files[name][index].read().result()

    def _write(self, ocp: Any, now: BlockDrift, step: int) -> bool:
        """Write a snapshot; return False if the disk refuses it."""
        # Orbax renames a directory once it is complete, so that a kill leaves the
        # earlier snapshots as they are.
        folder, arrays = self._folder / str(step), _storable(now.arrays)
        try:
            if process_count() == 1:
                _require_room(self._folder, sum(x.nbytes for x in arrays.values()))
            with _without_log_of(self._folder), ocp.StandardCheckpointer() as saver:
                saver.save(folder, arrays, force=True)
                saver.wait_until_finished()
        except Exception as error:  # tensorstore's are ValueErrors, for one
            self._errors.note(error)
            used, is_written = {*map(str, self._steps_on_disk())} - {str(step)}, False
        else:
            used, is_written = {str(each) for each in (*self._kept, step)}, True
        if process_index() == 0 and self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in used:
                    _remove(path)
        return is_written

    def _steps_on_disk(self) -> list[int]:
        names = [p.name for p in self._folder.glob("*")]
        return [int(name) for name in names if name.isdecimal()]

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


def _sum_over_processes(squares: dict[str, float] | None) -> dict[str, float] | None:
    """Return the sums of the squares; None if a process has no snapshot."""
    payloads = exchange("last_weights", dumps({"squares": squares}).encode())
    parts: list[Any] = [loads(payload) for payload in payloads.values()]
    if squares is None or any(part["squares"] is None for part in parts):
        return None
    return {
        suffix: sum(number(part["squares"][suffix]) for part in parts)
        for suffix in squares
    }


def _copied(leaf: Any) -> Any:
    """Return a copy of an array of which a distance is computed, or the leaf itself."""
    is_array = isinstance(leaf, jax.Array | np.ndarray)
    if is_array and jax.numpy.issubdtype(leaf.dtype, np.inexact):
        return leaf + 0
    return leaf


def _shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array, or number, by name."""
    return {n: tuple(getattr(x, "shape", ())) for n, x in arrays.items()}


def _storable(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays that orbax takes: with entries, and global or of NumPy."""
    storable = {}
    for name, x in arrays.items():
        if not isinstance(x, jax.Array) or (
            x.is_fully_addressable and process_count() > 1
        ):
            x = np.asarray(x)
        if x.size:
            storable[name] = x
    return storable


def _open_array(folder: Path, name: str) -> Any:
    """Open one array of a checkpoint of orbax, to read blocks of it.

    Orbax reads whole arrays into host memory, or blocks into that of devices.
    """
    import tensorstore

    base = {"driver": "file", "path": f"{folder}/"}
    kvstore = {"driver": "ocdbt", "base": base, "path": f"{name}/"}
    spec = {"driver": "zarr", "kvstore": kvstore}
    return tensorstore.open(spec, read=True, open=True).result()


def _require_room(folder: Path, size: int) -> None:
    """Raise an error if a folder cannot take a snapshot.

    Orbax would fail with many messages, or wait for minutes for a folder that it could
    not create.
    """
    probe = folder / "probe"
    probe.mkdir(parents=True, exist_ok=True)
    probe.rmdir()
    disk = os.statvfs(folder)
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def _without_log_of(folder: Path) -> Iterator[None]:
    """Leave out messages of orbax about a folder: their error is raised as well."""

    def is_other(record: logging.LogRecord) -> bool:
        return str(folder) not in record.getMessage()

    logger = logging.getLogger("absl")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
