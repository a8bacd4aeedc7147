"""One process of a pod that aggregates: everything it does, and what came out.

`python aggregator_pod.py RANK PROCESSES DEVICES PORT DIRECTORY [CHECKPOINT]`; one
process alone may call `main` instead. Results are plain values, `DIRECTORY/RANK.json`.
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

import jaxmetrics as jm
from jaxmetrics import checkpoint, processes
from jaxmetrics.processes import _exchange
from jaxmetrics.record import dumps

SHARDS = 8
# Samples of each shard in each half of the run: of four hosts the last has three.
SIZES = [1000, 700, 640, 1, 333, 1000, 2, 1]
DATASETS = ("code", "web")


def shard(index, half):
    """The samples of one shard of the data, in one half of the run."""
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


def new():
    aggregator = jm.MetricsAggregator()
    aggregator.register_handler("spread", jm.Std)
    return aggregator


def feed(aggregator, rank, count, half):
    """What this process sees of one half; some keys exist on one process only."""
    kinds = jm.AggregationType
    for index in range(rank * SHARDS // count, (rank + 1) * SHARDS // count):
        data = shard(index, half)
        for number, name in enumerate(DATASETS):
            mine = data["dataset"] == number
            of = {key: values[mine] for key, values in data.items()}
            loss, weight = of["loss"], of["weight"]
            aggregator.update(name, kinds.SUM, tokens=of["tokens"], cost=loss)
            aggregator.update(name, kinds.MEAN, loss=loss, weights=weight)
            aggregator.update(name, kinds.MAX, longest=of["length"])
            aggregator.update(name, kinds.MIN, shortest=of["length"])
            aggregator.update(name, kinds.DISTRIBUTION, length=of["length"])
            aggregator.update(name, kinds.CATEGORICAL_COUNT, lang=of["lang"])
            aggregator.update(name, "spread", spread=of["length"])
        aggregator.update(f"own_{index}", kinds.SUM, samples=[1] * SIZES[index])
        aggregator.update(f"own_{index}", kinds.DISTRIBUTION, length=data["length"][:9])


def by_group(mesh):
    """The mean by dataset, on the devices of all processes, of the first half."""
    parts = [shard(index, 0) for index in range(SHARDS)]
    data = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    rows = len(data["dataset"]) // SHARDS * SHARDS
    kept = {"loss": data["length"][:rows], "domain": data["dataset"][:rows]}
    sharding = NamedSharding(mesh, P("data"))
    batch = {
        name: jax.make_array_from_callback(
            (rows,), sharding, lambda i, x=x: x[i].astype(np.int32)
        )
        for name, x in kept.items()
    }
    metric = jm.ByGroup(jm.Mean("loss"), by="domain", groups=DATASETS)
    update = jax.jit(lambda m, b: m.update(**b))
    return update(metric.deferred(mesh), batch).compute()


def of_rows(rank, count):
    """The same by the aggregator: this process's part of the rows."""
    parts = [shard(index, 0) for index in range(SHARDS)]
    data = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    rows = len(data["dataset"]) // SHARDS * SHARDS
    mine = slice(rows * rank // count, rows * (rank + 1) // count)
    aggregator = jm.MetricsAggregator()
    for number, name in enumerate(DATASETS):
        mask = data["dataset"][mine] == number
        length = data["length"][mine]
        aggregator.update(name, jm.AggregationType.MEAN, mask=mask, loss=length)
    return aggregator.get_metrics_for_logging()


def sums(aggregator):
    """Every SUM as it is held, to the last unit."""
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
    with ocp.CheckpointManager(path) as manager:
        return checkpoint.restore(manager, 1, None, aggregator=new())["aggregator"]


def refusal(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def resumed(path, rank, count):
    """What a checkpoint gives, and what the second half makes of it."""
    back = restored(path)
    found = {"sums": sums(back), "first": back.get_metrics_for_logging()}
    feed(back, rank, count, half=1)
    return found | {"second": back.get_metrics_for_logging()}


def unlike(rank, count, mesh):
    """What comes of processes that differ, or do not come."""
    mixed = jm.MetricsAggregator()
    mixed.update("d", "sum" if rank else "mean", x=[1])
    found = {"mixed": refusal(mixed.get_metrics_for_logging)}
    one = new()
    one.update("d", "sum", x=[rank])
    client, _exchange._client = _exchange._client, lambda: None
    with jax.set_mesh(mesh):
        found["without"] = one.get_metrics_for_logging()
    _exchange._client = client
    late = rank == count - 1

    def miss():
        one.get_metrics_for_logging(timeout=2)

    if not late:
        found["missed"] = refusal(miss)
    processes.exchange("later", b"")
    if late:
        found["missed"] = refusal(miss)
    return found


def main(rank, count, directory, saved=None):
    mesh = Mesh(np.array(jax.devices()), ("data",))
    asked, exchange = [], processes.exchange

    def counted(tag, *rest, **more):
        asked.append(tag)
        return exchange(tag, *rest, **more)

    aggregator = new()
    found = {"device": by_group(mesh), "host": of_rows(rank, count)}
    with jax.set_mesh(mesh):  # which the metrics of an aggregator leave aside
        feed(aggregator, rank, count, half=0)
        processes.exchange = counted
        found["first"] = aggregator.get_metrics_for_logging()
        processes.exchange = exchange
    found |= {"asked": asked, "sums": sums(aggregator)}
    save(aggregator, directory / "saved")
    feed(aggregator, rank, count, half=1)  # and is killed
    found["second"] = aggregator.get_metrics_for_logging()
    found["again"] = resumed(directory / "saved", rank, count)
    if saved is not None:
        found["elsewhere"] = resumed(saved, rank, count)
    if count > 1:
        found["unlike"] = unlike(rank, count, mesh)
    (directory / f"{rank}.json").write_text(dumps(found))


if __name__ == "__main__":
    rank, count, _, port = map(int, sys.argv[1:5])
    jax.distributed.initialize(f"127.0.0.1:{port}", count, rank)
    main(rank, count, *map(Path, sys.argv[5:]))
