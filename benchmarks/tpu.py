"""Estimates of the TPU compiler, from 8 to 4,096 chips: nothing runs on a TPU.

The figures are collectives of the optimized program, bytes that a chip reads and
writes, and the compiler's estimate of the time of the operations, which has no waiting
for other chips. `make bench-tpu` installs libtpu in an environment of its own.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from typing import Any

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}

ROWS, CLASSES = 32, 1000
KINDS = "update", "deferred update", "reduction"
TOPOLOGIES = (  # names of libtpu, with the number of slices
    ("v5e:2x4", 1),
    ("v5e:4x4", 1),
    ("v5e:4x4", 2),
    ("tpu7x:4x4x4", 1),
    ("v6e:16x16", 1),
    ("v5p:8x8x8", 1),
    ("v5p:16x16x16", 1),
)


def measure(bench: Any) -> None:
    """Add the estimates of metrics by topology, and those of the losses."""
    if importlib.util.find_spec("libtpu") is None:
        print("(without libtpu; run `make bench-tpu`)")
        return
    from benchmarks.measure import Row

    for topology, slices in TOPOLOGIES:
        for title, metrics in collections().items():
            for kind in KINDS:
                case = f"{title}, {kind}"
                if bench.wants(case):
                    who, found = estimated(kind, metrics, topology, slices)
                    bench.add([Row(case, who, figures=found)])
    from benchmarks.losses import LOSSES, SIZES

    for case, size in SIZES.items():
        for name, loss in LOSSES.items():
            if bench.wants(f"{case}, v5p"):
                found = loss_on_a_chip(loss, *size)
                bench.add([Row(f"{case}, v5p", name, figures=found)])


def collections() -> dict[str, Any]:
    """Return twenty metrics, the largest one apart."""
    import jaxmetrics as jm
    from benchmarks import twenty

    metrics = dict(twenty.collection(CLASSES))
    confusion = metrics.pop("confusion")
    return {
        "19 metrics of 1,000 classes": jm.Collection(**metrics),
        "confusion of 1,000 classes": jm.Collection(confusion=confusion),
    }


def estimated(
    kind: str, metrics: Any, topology: str, slices: int
) -> tuple[str, dict[str, float]]:
    """Return a topology in words, and the estimates for it."""
    import numpy as np
    from tpu.programs import compiled, program_of

    outputs = {
        "loss": np.zeros(ROWS, np.float32),
        "logits": np.zeros((ROWS, CLASSES), np.float32),
        "labels": np.zeros(ROWS, np.int32),
    }
    mesh = mesh_of(topology, slices)
    program = compiled(*program_of(kind, metrics, outputs, mesh))
    figures: dict[str, float] = dict(Counter(program.collectives()))
    figures["MB accessed"] = program.cost["bytes accessed"] / 1e6
    if (seconds := program.cost["optimal_seconds"]) >= 0:  # negative: unknown
        figures["estimated us"] = 1e6 * seconds
    words = f"{topology}, {mesh.size} chips"
    return words + f", {slices} slices" * (slices > 1), figures


def loss_on_a_chip(loss: Any, tokens: int, classes: int) -> dict[str, float]:
    """Return memory and traffic of a loss on one v5p chip."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    from benchmarks.losses import compiled

    sharding = NamedSharding(mesh_of("v5p:2x2x1", chips=1), P())
    program = compiled(
        loss,
        jax.ShapeDtypeStruct((tokens, classes), jnp.bfloat16, sharding=sharding),
        jax.ShapeDtypeStruct((tokens,), jnp.int32, sharding=sharding),
    )
    temporary = program.memory_analysis().temp_size_in_bytes
    accessed = program.cost_analysis()["bytes accessed"]
    return {"MiB temporary": temporary / 2**20, "MB accessed": accessed / 1e6}


def mesh_of(topology: str, slices: int = 1, chips: int | None = None) -> Any:
    """Return a mesh of chips that are not attached, along one axis."""
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import Mesh

    more = {"num_slices": slices} if slices > 1 else {}
    found = topologies.get_topology_desc(platform="tpu", topology_name=topology, **more)
    return Mesh(np.array(found.devices[:chips]), ("data",))
