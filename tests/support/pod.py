"""One process of a pod: does everything that pods do, and writes down what came out.

`python pod.py RANK PROCESSES DEVICES PORT DIRECTORY [CHECKPOINT]`; one process alone
may call `main` instead. Every result is a plain value of `DIRECTORY/RANK.json`.
"""

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

import jaxmetrics as jm
from jaxmetrics import checkpoint, processes
from jaxmetrics.core import snapshot
from jaxmetrics.record import dumps

ROWS, STEPS, EVALUATED = 64, 3, 100
# Rows of the evaluation by process, the last of several has none.
SHARES = {1: [100], 2: [100, 0], 4: [53, 19, 28, 0]}


class Kept(jm.Metric):
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
        matrix=jm.ConfusionMatrix(classes),
        largest=jm.Max("loss"),
        smallest=jm.Min("loss"),
        spread=jm.Std("loss"),
        perplexity=jm.Perplexity(),
        kept=Kept(),
        nan=jm.Max("spoilt"),
    )


def whole_batch(step):
    rng = np.random.default_rng(step)
    loss = rng.normal(5, 1, ROWS).astype(np.float32)
    return dict(
        loss=loss,
        logits=rng.normal(size=(ROWS, 4)).astype(np.float32),
        labels=rng.integers(0, 4, ROWS).astype(np.int32),
        spoilt=np.where(np.arange(ROWS) == ROWS - 1, np.nan, loss),
    )


def mesh_of(devices):
    return Mesh(np.array(devices), ("data",))


def spread(batch, mesh):
    """This process's part of a batch that every process knows."""
    sharding = NamedSharding(mesh, P("data"))
    return {
        name: jax.make_array_from_callback(x.shape, sharding, lambda i, x=x: x[i])
        for name, x in batch.items()
    }


def plain(metrics):
    """Every leaf as numbers, kept rows sorted; reduced by the program of log_step."""
    total = snapshot(metrics).metrics()
    leaves = {name: jax.tree.leaves(x) for name, x in total.plain().items()}
    lists = {name: [np.asarray(x).tolist() for x in xs] for name, xs in leaves.items()}
    return lists | {"kept/values": [sorted(lists["kept/values"][0])]}


def deferred(mesh):
    update = jax.jit(lambda m, b: m.update(**b), donate_argnums=0)
    metrics = collection().deferred(mesh)
    for step in range(STEPS):
        metrics = update(metrics, spread(whole_batch(step), mesh))
    return metrics


def under_jit(mesh):
    update = jax.jit(lambda m, b: m.update(**b))
    metrics = collection().place(mesh)
    for step in range(STEPS):
        metrics = update(metrics, spread(whole_batch(step), mesh))
    return metrics


def under_shard_map(mesh):
    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(P(), P("data")), out_specs=P())
    def update(metrics, batch):
        return metrics.merge(metrics.from_model_output(**batch).reduce("data"))

    metrics = collection().place(mesh)
    for step in range(STEPS):
        metrics = update(metrics, spread(whole_batch(step), mesh))
    return metrics


def refusal(call):
    """The error of a call, in words."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def logged(rank, mesh, metrics, placed, directory):
    """A run of two attempts, the second from a checkpoint that the first wrote."""
    asked, exchange = [], processes.exchange

    def counted(tag, *rest, **more):
        asked.append(tag)
        return exchange(tag, *rest, **more)

    def logger():
        return jm.TrainingLogger(
            "p", "pod", root=directory, writers=[jm.writers.JSONL()]
        )

    def composite(logger):
        args = checkpoint.args(logger, metrics=metrics)
        return ocp.args.Composite(jaxmetrics=args)

    processes.exchange = counted
    with logger() as first, ocp.CheckpointManager(directory / "saved") as manager:
        first.log_step(1, metrics=metrics, own=rank)
        if rank == 0:
            first.log_step(2, alone=1.0)
        first.log_step(3, metrics=metrics)
        first.log_step(3, metrics=placed, split="val")
        mine = collection(6 if rank == 0 else 7).deferred(mesh)
        other = refusal(lambda: first.log_step(4, metrics=mine, after=2.0))
        manager.save(4, args=composite(first))
        manager.wait_until_finished()
        first.log_step(5, lost=1.0)
        first.flush()
        latest = first.latest()
    with logger() as second, ocp.CheckpointManager(directory / "saved") as manager:
        template = collection().deferred(mesh)
        back = checkpoint.restore(manager, 4, second, metrics=template)["metrics"]
        second.log_step(5, kept=1.0)
    processes.exchange = exchange
    return {
        "asked": asked,
        "other": other,
        "latest": latest,
        "restored": plain(back),
    }


def in_own_files(rank, directory):
    """A step that is saved and then logged again, by each process in its own file."""
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
    """What a checkpoint gives on some meshes, and to a collection that is another."""
    found = {}
    with ocp.CheckpointManager(path) as manager:

        def restore(metrics):
            return checkpoint.restore(manager, 4, None, metrics=metrics)["metrics"]

        for mesh in meshes:
            back = restore(collection().deferred(mesh))
            found[str(mesh.size)] = plain(back)
        other = collection(classes=5).deferred(meshes[0])
        found["other"] = refusal(lambda: restore(other))
    return found


def uneven(rank, count):
    """Batches of 16 rows of this process's share of the rows, some masked."""
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
        fed = {"x": batch["x"].min(), "label": labels.min()}
        outputs = dict(loss=logits.max(-1), logits=logits, labels=labels, mask=mask)
        return metrics.update(**outputs, **fed)

    compiled = jax.jit(lambda s, m, b: update(s, m, b, b["mask"]), donate_argnums=1)
    forgetful = jax.jit(lambda s, m, b: update(s, m, b, None))

    def step(*arguments):
        steps.append(1)
        return compiled(*arguments)

    metrics = jm.Collection(
        loss=jm.Mean("loss"),
        matrix=jm.ConfusionMatrix(4),
        accuracy=jm.Accuracy(),
        fed=jm.Min("x"),
        fed_label=jm.Min("label"),
    )
    shards = metrics.deferred(mesh)
    gap = jm.Compose(difference, a=jm.Mean("x"), b=jm.Mean("loss")).deferred(mesh)
    found = {
        "deferred": jm.evaluate_loop(step, state, uneven(rank, count), shards),
        "steps": len(steps),
        "placed": jm.evaluate_loop(step, state, uneven(rank, count), metrics, mesh),
        "nothing": jm.evaluate_loop(step, state, [], shards),
        "composed": jm.evaluate_loop(step, state, [], gap),
        "forgetful": refusal(
            lambda: jm.evaluate_loop(forgetful, state, uneven(rank, count), shards)
        ),
    }
    if count == 1:
        return listed(found)

    def failing():
        yield from uneven(0, 1)
        raise OSError("no such shard")

    def strange():
        for batch in uneven(0, 1):
            yield batch | {"x": batch["x"][:, : 3 - last]}

    other = jm.Collection(loss=jm.Mean("loss")) if last else metrics
    found["failing"] = refusal(
        lambda: jm.evaluate_loop(
            step, state, failing() if last else uneven(0, 1), shards
        )
    )
    found["strange"] = refusal(lambda: jm.evaluate_loop(step, state, strange(), shards))
    found["other"] = refusal(
        lambda: jm.evaluate_loop(step, state, [], other.deferred(mesh))
    )
    return listed(found)


def exchanged(rank, count):
    """What comes of exchanges: in turn, missed by a process, without a client."""
    payload = bytes(range(rank))
    found = {
        "said": [len(x) for x in processes.exchange("a", payload).values()],
        "again": [x == payload for x in processes.exchange("a", payload).values()],
    }
    late = rank == count - 1

    def miss():
        processes.exchange("missed", b"", timeout=2)

    if not late:
        found["missed"] = refusal(miss)
    processes.exchange("later", b"")
    if late:
        found["missed"] = refusal(miss)
    client, processes._client = processes._client, lambda: None
    found["without"] = [len(x) for x in processes.exchange("a", payload).values()]
    processes._client = client
    return found


def timed_hosts(rank):
    """Step times of all processes, each with a clock of its own."""
    clock = [0.0]
    tracker = jm.PerformanceTracker(clock=lambda: clock[0])
    for _ in range(5):
        with tracker.data_wait():
            clock[0] += 0.5 * rank
        clock[0] += 2.0 if rank else 4.0
        tracker.update(1)
    times = tracker.hosts()
    return {"steps": times.step_seconds, "names": times.names} | times.metrics()


def listed(tree):
    return jax.tree.map(lambda x: np.asarray(x).tolist(), tree)


def main(rank, count, directory, saved=None):
    mesh = mesh_of(jax.devices())
    shards, placed = deferred(mesh), under_jit(mesh)
    found = {
        "numbers": {
            "deferred": plain(shards),
            "jit": plain(placed),
            "shard_map": plain(under_shard_map(mesh)),
        },
        "logged": logged(rank, mesh, shards, placed, directory),
        "evaluated": evaluated(rank, count, mesh),
    }
    if count > 1:
        found["exchanged"] = exchanged(rank, count)
        found["timed"] = timed_hosts(rank)
        in_own_files(rank, directory)
    if saved is not None:
        each = jax.devices()[:: jax.local_device_count()]
        found["restored"] = restored(saved, [mesh, mesh_of(each)])
    (directory / f"{rank}.json").write_text(dumps(found))


if __name__ == "__main__":
    rank, count, _, port = map(int, sys.argv[1:5])
    jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
    main(rank, count, *map(Path, sys.argv[5:]))
