"""Program of one process of a pod that aggregates, and writes the results.

`python aggregator_pod.py RANK PROCESSES DEVICES PORT DIRECTORY [CHECKPOINT]`; for a
pod of one process call `main`. Results are plain values in `DIRECTORY/RANK.json`.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[3]}"

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.pods import error_text, recorded_tags, without_coordination_service

import jaxmetrics as jm
from jaxmetrics import checkpoint, processes
from jaxmetrics.record import dumps

SHARDS = 8
# Samples of each shard in each half of the run; the last of four hosts has three.
SIZES = [1000, 700, 640, 1, 333, 1000, 2, 1]
DATASETS = ("code", "web")


def shard(index, half):
    """Return the samples of one shard of the data in one half of the run."""
    rng = np.random.default_rng([index, half])
    n = SIZES[index]
    return {
        "dataset": rng.integers(0, 2, n),
        "tokens": rng.integers(1, 2**40, n),
        "length": rng.integers(-3, 4096, n),
        "loss": np.where(rng.random(n) < 0.01, np.nan, rng.normal(index, 1, n)),
        "weight": rng.integers(0, 4, n).astype(float),
        "lang": rng.choice(["en", "sv", f"only_{index}"], n),
    }


def new_aggregator():
    aggregator = jm.MetricsAggregator()
    aggregator.register_handler("spread", jm.Std)
    return aggregator


def feed(aggregator, rank, count, half):
    """Add this process's part of one half; some keys exist on one process only."""
    kinds = jm.AggregationType
    for index in range(rank * SHARDS // count, (rank + 1) * SHARDS // count):
        data = shard(index, half)
        for number, name in enumerate(DATASETS):
            rows = data["dataset"] == number
            part = {key: values[rows] for key, values in data.items()}
            loss, weight = part["loss"], part["weight"]
            aggregator.update(name, kinds.SUM, tokens=part["tokens"], cost=loss)
            aggregator.update(name, kinds.MEAN, loss=loss, weights=weight)
            aggregator.update(name, kinds.MAX, longest=part["length"])
            aggregator.update(name, kinds.MIN, shortest=part["length"])
            aggregator.update(name, kinds.DISTRIBUTION, length=part["length"])
            aggregator.update(name, kinds.CATEGORICAL_COUNT, lang=part["lang"])
            aggregator.update(name, "spread", spread=part["length"])
        aggregator.update(f"own_{index}", kinds.SUM, samples=[1] * SIZES[index])
        aggregator.update(f"own_{index}", kinds.DISTRIBUTION, length=data["length"][:9])


def first_half():
    """Return all samples of the first half, and a number of rows that 8 divides."""
    parts = [shard(index, 0) for index in range(SHARDS)]
    data = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return data, len(data["dataset"]) // SHARDS * SHARDS


def means_on_devices(mesh):
    """Return the mean of each dataset, from the devices of all processes."""
    data, rows = first_half()
    columns = {"loss": data["length"][:rows], "domain": data["dataset"][:rows]}
    sharding = NamedSharding(mesh, P("data"))
    batch = {
        name: jax.make_array_from_callback(
            (rows,), sharding, lambda i, x=x: x[i].astype(np.int32)
        )
        for name, x in columns.items()
    }
    metric = jm.ByGroup(jm.Mean("loss"), by="domain", groups=DATASETS)
    update = jax.jit(lambda m, b: m.update(**b))
    return update(metric.deferred(mesh), batch).compute()


def means_on_hosts(rank, count):
    """Return the same from an aggregator with this process's part of the rows."""
    data, rows = first_half()
    part = slice(rows * rank // count, rows * (rank + 1) // count)
    aggregator = jm.MetricsAggregator()
    for number, name in enumerate(DATASETS):
        mask = data["dataset"][part] == number
        length = data["length"][part]
        aggregator.update(name, jm.AggregationType.MEAN, mask=mask, loss=length)
    return aggregator.get_metrics_for_logging()


def sums(aggregator):
    """Return every SUM with all digits of its state."""
    totals = aggregator.state_dict()["totals"]
    return {
        f"{entry['dataset']}/{entry['name']}": entry["state"]["sum"]
        for entry in totals
        if entry["type"] == "sum"
    }


def save(aggregator, path):
    with ocp.CheckpointManager(path) as manager:
        args = checkpoint.args(None, aggregator=aggregator)
        manager.save(1, args=ocp.args.Composite(jaxmetrics=args))
        manager.wait_until_finished()


def restored(path):
    template = new_aggregator()
    with ocp.CheckpointManager(path) as manager:
        return checkpoint.restore(manager, 1, None, aggregator=template)["aggregator"]


def resumed(path, rank, count):
    """Restore a checkpoint and add the second half of the run."""
    back = restored(path)
    values = {"sums": sums(back), "first": back.get_metrics_for_logging()}
    feed(back, rank, count, half=1)
    return values | {"second": back.get_metrics_for_logging()}


def disagreeing(rank, count, mesh):
    """Log with processes that differ, without a service, and with one missing."""
    mixed = jm.MetricsAggregator()
    mixed.update("d", "sum" if rank else "mean", x=[1])
    values = {"mixed": error_text(mixed.get_metrics_for_logging)}
    aggregator = new_aggregator()
    aggregator.update("d", "sum", x=[rank])
    with jax.set_mesh(mesh), without_coordination_service():
        values["without_service"] = aggregator.get_metrics_for_logging()
    late = rank == count - 1

    def miss():
        aggregator.get_metrics_for_logging(timeout=2)

    if not late:
        values["missed"] = error_text(miss)
    processes.exchange("later", b"")
    if late:
        values["missed"] = error_text(miss)
    return values


def main(rank, count, directory, saved=None):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    aggregator = new_aggregator()
    results = {"device": means_on_devices(mesh), "host": means_on_hosts(rank, count)}
    with jax.set_mesh(mesh):  # must not affect the metrics of an aggregator
        feed(aggregator, rank, count, half=0)
        with recorded_tags() as tags:
            results["first"] = aggregator.get_metrics_for_logging()
    results |= {"tags": tags, "sums": sums(aggregator)}
    save(aggregator, directory / "saved")
    feed(aggregator, rank, count, half=1)  # and is killed
    results["second"] = aggregator.get_metrics_for_logging()
    results["again"] = resumed(directory / "saved", rank, count)
    if saved is not None:
        results["elsewhere"] = resumed(saved, rank, count)
    if count > 1:
        results["disagreeing"] = disagreeing(rank, count, mesh)
    (directory / f"{rank}.json").write_text(dumps(results))


if __name__ == "__main__":
    rank, count, _, port = map(int, sys.argv[1:5])
    jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
    main(rank, count, *map(Path, sys.argv[5:]))
