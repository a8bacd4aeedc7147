"""Program of one process of a pod: runs all that is tested, and writes the results.

`python pod.py RANK PROCESSES DEVICES PORT DIRECTORY [CHECKPOINT]`; for a pod of one
process call `main` instead. Results are plain values in `DIRECTORY/RANK.json`.
"""

import contextlib
import logging
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[3]}"

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.pods import error_text, recorded_tags, without_coordination_service

import jaxmetrics as jm
from jaxmetrics import checkpoint, processes
from jaxmetrics.core import snapshot
from jaxmetrics.record import dumps

ROWS, STEPS, EVALUATED = 64, 3, 100
# Rows of the evaluation by process; the last of several has none.
SHARES = {1: [100], 2: [100, 0], 4: [53, 19, 28, 0]}


class AllValues(jm.Metric):
    """All values, in order."""

    capacity: int = ROWS * STEPS
    values: jm.Array = jm.buffer_leaf("capacity")

    def observe(self, *, loss, mask=None):
        mask = jnp.ones(loss.shape, bool) if mask is None else mask
        return dict(values=(loss, mask))

    def compute(self):
        return self.values.sum()


def collection(classes=4):
    return jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        hits=jm.Accuracy(),  # whose name tells no direction
        matrix=jm.ConfusionMatrix(classes),
        largest=jm.Max("loss"),
        smallest=jm.Min("loss"),
        spread=jm.Std("loss"),
        perplexity=jm.Perplexity(),
        rows=AllValues(),
        nan=jm.Max("with_nan"),
    )


def whole_batch(step):
    rng = np.random.default_rng(step)
    loss = rng.normal(5, 1, ROWS).astype(np.float32)
    return dict(
        loss=loss,
        logits=rng.normal(size=(ROWS, 4)).astype(np.float32),
        labels=rng.integers(0, 4, ROWS).astype(np.int32),
        with_nan=np.where(np.arange(ROWS) == ROWS - 1, np.nan, loss),
    )


def mesh_of(devices):
    return Mesh(np.array(devices), ("data",))


def global_batch(batch, mesh):
    """Return the global arrays of a batch; each process provides its own rows."""
    sharding = NamedSharding(mesh, P("data"))
    return {
        name: jax.make_array_from_callback(x.shape, sharding, lambda i, x=x: x[i])
        for name, x in batch.items()
    }


def leaf_values(metrics):
    """Return every leaf as lists, buffered rows sorted, reduced as log_step does it."""
    total = snapshot(metrics).metrics()
    leaves = {name: jax.tree.leaves(x) for name, x in total.plain().items()}
    lists = {name: [np.asarray(x).tolist() for x in xs] for name, xs in leaves.items()}
    return lists | {"rows/values": [sorted(lists["rows/values"][0])]}


def deferred(mesh):
    update = jax.jit(lambda m, b: m.update(**b), donate_argnums=0)
    metrics = collection().deferred(mesh)
    for step in range(STEPS):
        metrics = update(metrics, global_batch(whole_batch(step), mesh))
    return metrics


def under_jit(mesh):
    update = jax.jit(lambda m, b: m.update(**b))
    metrics = collection().place(mesh)
    for step in range(STEPS):
        metrics = update(metrics, global_batch(whole_batch(step), mesh))
    return metrics


def under_shard_map(mesh):
    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(P(), P("data")), out_specs=P())
    def update(metrics, batch):
        return metrics.merge(metrics.from_model_output(**batch).reduce("data"))

    metrics = collection().place(mesh)
    for step in range(STEPS):
        metrics = update(metrics, global_batch(whole_batch(step), mesh))
    return metrics


def logged(rank, mesh, metrics, placed, directory):
    """Log a run of two attempts; the second restores a checkpoint of the first."""

    def logger():
        return jm.TrainingLogger(
            "p", "pod", root=directory, writers=[jm.writers.JSONL()]
        )

    def composite(logger):
        args = checkpoint.args(logger, metrics=metrics)
        return ocp.args.Composite(jaxmetrics=args)

    with recorded_tags() as tags:
        with logger() as first, ocp.CheckpointManager(directory / "saved") as manager:
            first.log_step(1, metrics=metrics, own=rank)
            if rank == 0:
                first.log_step(2, only_here=1.0)
            first.log_step(3, metrics=metrics)
            first.log_step(3, metrics=placed, split="val")
            different = collection(6 if rank == 0 else 7).deferred(mesh)
            mismatch = error_text(
                lambda: first.log_step(4, metrics=different, after=2.0)
            )
            manager.save(4, args=composite(first))
            manager.wait_until_finished()
            first.log_step(5, lost=1.0)
            first.flush()
            latest = first.latest()
        with logger() as second, ocp.CheckpointManager(directory / "saved") as manager:
            template = collection().deferred(mesh)
            back = checkpoint.restore(manager, 4, second, metrics=template)["metrics"]
            second.log_step(5, kept=1.0)
    return {
        "tags": tags,
        "mismatch": mismatch,
        "latest": latest,
        "restored": leaf_values(back),
    }


def out_of_step(rank, metrics, directory):
    """Log other steps and splits on process 1, as a mistake in a loop does."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("jaxmetrics").addHandler(handler)
    splits = ("train", "val") if rank != 1 else ("val", "train")
    with jm.TrainingLogger("p", "out", root=directory, console=False) as logger:
        logger.log_step(1, metrics=metrics)
        for split in splits:
            logger.log_step(2, metrics=metrics, split=split)
        logger.log_step(3 if rank != 1 else 10, metrics=metrics)
        refused = error_text(
            lambda: logger.log_step(4 if rank != 1 else -4, metrics=metrics)
        )
        logger.log_step(12, metrics=metrics)
    logging.getLogger("jaxmetrics").removeHandler(handler)
    return {"messages": messages, "refused": refused}


def ended_by_the_last(rank, count, directory):
    """Raise an error on the last process while the others train."""
    with (
        contextlib.suppress(ZeroDivisionError),
        jm.TrainingLogger("p", "ended", root=directory, console=False) as logger,
    ):
        logger.log_step(1, loss=1.0)
        if rank == count - 1:
            raise ZeroDivisionError("no rows")
        processes.exchange("ended", b"")
    if rank == count - 1:
        processes.exchange("ended", b"")


def in_own_files(rank, directory):
    """Save a step and log it again, in a file of each process."""
    for restore in (False, True):
        logger = jm.TrainingLogger(
            "p", "own", root=directory, writers=[jm.writers.JSONL()], master_only=False
        )
        with logger, ocp.CheckpointManager(directory / "own") as manager:
            if restore:
                checkpoint.restore(manager, 1, logger)
            else:
                logger.log_step(1, loss=rank)
                args = checkpoint.args(logger, seed=np.int32(0))
                manager.save(1, args=ocp.args.Composite(jaxmetrics=args))
                manager.wait_until_finished()
            logger.log_step(1, split="val", loss=rank)


def restored(path, meshes):
    """Restore a checkpoint on several meshes, and into a different collection."""
    values = {}
    with ocp.CheckpointManager(path) as manager:

        def restore(metrics):
            return checkpoint.restore(manager, 4, None, metrics=metrics)["metrics"]

        for mesh in meshes:
            back = restore(collection().deferred(mesh))
            values[str(mesh.size)] = leaf_values(back)
        other = collection(classes=5).deferred(meshes[0])
        values["other"] = error_text(lambda: restore(other))
    return values


def uneven(rank, count):
    """Yield batches of up to 16 rows of this process's share, with some rows masked."""
    rng = np.random.default_rng(9)
    x = rng.uniform(1, 2, (EVALUATED, 3)).astype(np.float32)
    labels = rng.integers(1, 4, EVALUATED)
    mask = np.arange(EVALUATED) % 10 != 3
    end = sum(SHARES[count][: rank + 1])
    for start in range(end - SHARES[count][rank], end, 16):
        rows = slice(start, min(start + 16, end))
        yield {"x": x[rows], "more": {"labels": labels[rows]}, "mask": mask[rows]}


def difference(a, b):
    return a - b


def evaluated(rank, count, mesh):
    last = rank == count - 1
    weights = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    state = jax.device_put(weights, NamedSharding(mesh, P()))
    steps = []

    def update(state, metrics, batch, mask):
        logits, labels = jnp.log(batch["x"]) @ state, batch["more"]["labels"]
        extremes = {"x": batch["x"].min(), "label": labels.min()}
        outputs = dict(loss=logits.max(-1), logits=logits, labels=labels, mask=mask)
        return metrics.update(**outputs, **extremes)

    compiled = jax.jit(lambda s, m, b: update(s, m, b, b["mask"]), donate_argnums=1)
    without_mask = jax.jit(lambda s, m, b: update(s, m, b, None))

    def step(*arguments):
        steps.append(1)
        return compiled(*arguments)

    metrics = jm.Collection(
        loss=jm.Mean("loss"),
        matrix=jm.ConfusionMatrix(4),
        accuracy=jm.Accuracy(),
        smallest=jm.Min("x"),
        smallest_label=jm.Min("label"),
    )
    shards = metrics.deferred(mesh)
    gap = jm.Compose(difference, a=jm.Mean("x"), b=jm.Mean("loss")).deferred(mesh)
    results = {
        "deferred": jm.evaluate_loop(step, state, uneven(rank, count), shards),
        "steps": len(steps),
        "placed": jm.evaluate_loop(step, state, uneven(rank, count), metrics, mesh),
        "nothing": jm.evaluate_loop(step, state, [], shards),
        "composed": jm.evaluate_loop(step, state, [], gap),
        "without_mask": error_text(
            lambda: jm.evaluate_loop(without_mask, state, uneven(rank, count), shards)
        ),
    }
    if count == 1:
        return listed(results)

    def failing():
        yield from uneven(0, 1)
        raise OSError("no such shard")

    def other_shapes():
        for batch in uneven(0, 1):
            yield batch | {"x": batch["x"][:, : 3 - last]}

    other = jm.Collection(loss=jm.Mean("loss")) if last else metrics
    results["failing"] = error_text(
        lambda: jm.evaluate_loop(
            step, state, failing() if last else uneven(0, 1), shards
        )
    )
    results["other_shapes"] = error_text(
        lambda: jm.evaluate_loop(step, state, other_shapes(), shards)
    )
    results["other"] = error_text(
        lambda: jm.evaluate_loop(step, state, [], other.deferred(mesh))
    )
    return listed(results)


def exchanged(rank, count):
    """Exchange in turn, with a process missing, and without a service."""
    payload = bytes(range(rank))
    results = {
        "sizes": [len(x) for x in processes.exchange("a", payload).values()],
        "again": [x == payload for x in processes.exchange("a", payload).values()],
    }
    late = rank == count - 1

    def miss():
        processes.exchange("missed", b"", timeout=2)

    if not late:
        results["missed"] = error_text(miss)
    processes.exchange("later", b"")
    if late:
        results["missed"] = error_text(miss)
    with without_coordination_service():
        payloads = processes.exchange("a", payload).values()
    results["without_service"] = [len(x) for x in payloads]
    return results


def timed_hosts(rank):
    """Return the step times of all processes, each with its own clock."""
    clock = [0.0]
    tracker = jm.PerformanceTracker(clock=lambda: clock[0])
    for _ in range(5):
        with tracker.data_wait():
            clock[0] += 0.5 * rank
        clock[0] += 2.0 if rank else 4.0
        tracker.update(1)
    times = tracker.hosts()
    return {"steps": times.step_seconds, "names": times.names} | times.metrics()


def drawn_epochs(folder):
    """Return what a program that draws on all processes wrote, and what it got."""
    tracker = jm.EpochTracker(folder)
    tracker.start_epoch(1)
    tracker.log_batch(loss=1.0)
    tracker.end_epoch()
    plots = jm.runs.generate_all_plots(tracker, dpi=20)
    report = jm.runs.generate_report(tracker, plot_paths=plots)
    files = sorted(path.name for path in folder.glob("*"))
    return {"plots": len(plots), "report": str(report), "files": files}


def listed(tree):
    return jax.tree.map(lambda x: np.asarray(x).tolist(), tree)


def main(rank, count, directory, saved=None):
    mesh = mesh_of(jax.devices())
    shards, placed = deferred(mesh), under_jit(mesh)
    results = {
        "numbers": {
            "deferred": leaf_values(shards),
            "jit": leaf_values(placed),
            "shard_map": leaf_values(under_shard_map(mesh)),
        },
        "logged": logged(rank, mesh, shards, placed, directory),
        "evaluated": evaluated(rank, count, mesh),
    }
    if count > 1:
        results["exchanged"] = exchanged(rank, count)
        results["timed"] = timed_hosts(rank)
        results["drawn"] = drawn_epochs(directory / f"epochs-{rank}")
        in_own_files(rank, directory)
        ended_by_the_last(rank, count, directory)
        results["out_of_step"] = out_of_step(rank, shards, directory)
    if saved is not None:
        each = jax.devices()[:: jax.local_device_count()]
        results["restored"] = restored(saved, [mesh, mesh_of(each)])
    (directory / f"{rank}.json").write_text(dumps(results))


if __name__ == "__main__":
    rank, count, _, port = map(int, sys.argv[1:5])
    jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
    main(rank, count, *map(Path, sys.argv[5:]))
