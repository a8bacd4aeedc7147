"""Checks that written files read back and checkpoints restore."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from jaxmetrics.doctor._check import ensure
from jaxmetrics.doctor._machine import version


def writers_read_back(root: str | os.PathLike[str] | None = None) -> str:
    """Write a run and read it back; fail if a value differs.

    Args:
      root: Folder to try. Default: the one for temporary files.
    """
    from jaxmetrics.logger import TrainingLogger
    from jaxmetrics.record import METRICS_JSONL, AppendFile, WriterLockedError
    from jaxmetrics.runs import Run
    from jaxmetrics.writers import CSV, JSONL, TensorBoard

    writers = [JSONL(), CSV()]
    if version("tensorboardX") is not None:
        writers.append(TensorBoard())
    logged = [0.1, float("nan"), 1e300]
    with tempfile.TemporaryDirectory(dir=root, prefix="jaxmetrics-") as folder:
        options = {"root": folder, "writers": writers, "console": False}
        with TrainingLogger("doctor", "run", **options) as logger:
            for step, value in enumerate(logged, 1):
                logger.log_step(step, loss=value)
            flushed = logger.flush()
            ensure(flushed, f"a writer did not finish within 30 s in {folder}")
            path = logger.run_dir / METRICS_JSONL
            try:
                AppendFile(path).close()
                ensure(False, f"{path} could be opened by two writers")
            except WriterLockedError:
                pass
        steps, values = Run.load(logger.run_dir)["train/loss"]
        same = steps.tolist() == [1, 2, 3]
        same = same and np.array_equal(values, logged, equal_nan=True)
        ensure(same, f"read {values.tolist()}, not {logged}")
        events = [*Path(logger.run_dir).glob("tensorboard/*")]
        ensure(bool(events) == (len(writers) == 3), "TensorBoard has no file")
    names = [type(writer).__name__ for writer in writers]
    return f"{', '.join(names)} wrote a run that reads back unchanged"


def checkpoints_restore() -> str:
    """Save metrics with orbax and restore them; fail if a bit differs."""
    import jax
    import orbax.checkpoint as ocp
    from jax.sharding import Mesh

    from jaxmetrics import checkpoint
    from jaxmetrics.core import Collection, state_dict
    from jaxmetrics.metrics import Count, Mean

    mesh = Mesh(np.array(jax.local_devices()), ("data",))
    empty = Collection(count=Count(), mean=Mean()).deferred(mesh)
    state = empty.update(values=np.arange(mesh.size, dtype=np.float32) / 3)
    with tempfile.TemporaryDirectory(prefix="jaxmetrics-") as folder:
        with ocp.CheckpointManager(folder) as manager:
            item = checkpoint.args(None, metrics=state)
            manager.save(1, args=ocp.args.Composite(jaxmetrics=item))
            manager.wait_until_finished()
            restored = checkpoint.restore(manager, 1, None, metrics=empty)
    before, after = state_dict(state), state_dict(restored["metrics"])
    for name, value in before.items():
        same = np.array_equal(after[name], value)
        ensure(same, f"{name} is {after[name]}, not {value}")
    return f"{len(before)} leaves saved and restored bit for bit"
