"""Save and restore with `jm.checkpoint`, over orbax alone with the same arrays.

A call saves a new step of a `CheckpointManager` and waits until it is on disk.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEVICES = 8
ENVIRONMENT = {
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
    "NPROC": "32",
}


CASES = {  # by name: deferred or not, and megabytes of a model beside
    "20 metrics": (False, 0),
    "20 metrics, deferred over 8": (True, 0),
    "20 metrics beside 100 MB": (False, 100),
}
Pair = tuple[Callable[[], object], Callable[[], object]]


def measure(bench: Any) -> None:
    """Time saves and restores of one Collection, deferred ones, and beside a model."""
    for name, kind in CASES.items():
        cases = f"save {name}", f"restore {name}"
        if not any(bench.wants(case) for case in cases):
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            pairs = built(Path(folder), stack, *kind)
            for i, case in enumerate(cases):
                if bench.wants(case):
                    bench.compare(case, {who: pair[i] for who, pair in pairs.items()})


def built(
    folder: Path, stack: contextlib.ExitStack, deferred: bool, megabytes: int
) -> dict[str, Pair]:
    """Return save and restore by contender; the first one is the floor."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import orbax.checkpoint as ocp
    from jax.sharding import Mesh

    from benchmarks import twenty
    from jaxmetrics import checkpoint

    metrics = jax.tree.map(jnp.array, twenty.collection())
    if deferred:
        metrics = metrics.deferred(Mesh(np.array(jax.devices()), ("data",)))
    leaves = {str(i): x for i, x in enumerate(jax.tree.leaves(metrics))}
    model = {"weights": jnp.zeros(megabytes * 250_000)} if megabytes else {}
    standard = ocp.args.StandardSave

    def pair(name: str, items: Callable[[], dict[str, Any]], restore: Any) -> Pair:
        manager = ocp.CheckpointManager(
            folder / name, options=ocp.CheckpointManagerOptions(max_to_keep=2)
        )
        stack.callback(manager.close)
        steps = itertools.count(1)

        def save() -> None:
            manager.save(next(steps), args=ocp.args.Composite(**items()))
            manager.wait_until_finished()

        save()
        return save, lambda: restore(manager)

    def model_of(manager: Any) -> None:
        if model:
            wanted = ocp.args.Composite(model=ocp.args.StandardRestore(model))
            manager.restore(manager.latest_step(), args=wanted)

    def plain(manager: Any) -> None:
        model_of(manager)
        wanted = ocp.args.Composite(state=ocp.args.StandardRestore(leaves))
        manager.restore(manager.latest_step(), args=wanted)

    def ours(manager: Any) -> None:
        model_of(manager)
        checkpoint.restore(manager, None, None, metrics=metrics.empty())

    beside = {"model": standard(model)} if model else {}
    found = {}
    if model:
        found["orbax, the model alone"] = pair("model", lambda: beside, model_of)
    found["orbax, the same arrays"] = pair(
        "orbax", lambda: beside | {"state": standard(leaves)}, plain
    )
    found["jm.checkpoint"] = pair(
        "ours",
        lambda: beside | {"jaxmetrics": checkpoint.args(None, metrics=metrics)},
        ours,
    )
    return found
