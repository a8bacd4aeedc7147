"""What the TPU compiler expects twenty metrics to cost: estimates, nothing runs.

Prints the table of docs/tpu.md. It needs libtpu, which `make bench-tpu` installs in an
environment of its own, and no TPU.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")

from importlib.metadata import version  # noqa: E402

import numpy as np  # noqa: E402
from tpu.programs import (  # noqa: E402
    KINDS,
    TOPOLOGIES,
    compiled,
    mesh_of,
    program_of,
)

import jaxmetrics as jm  # noqa: E402

ROWS, CLASSES = 32, 1000


def main():
    outputs = dict(
        loss=np.zeros(ROWS, np.float32),
        logits=np.zeros((ROWS, CLASSES), np.float32),
        labels=np.zeros(ROWS, np.int32),
    )
    print(f"jax {version('jax')}, libtpu {version('libtpu')}\n")
    print("| topology | devices | program | collectives | MB accessed | estimate |")
    print("|---|---|---|---|---|---|")
    for topology, (name, _) in TOPOLOGIES.items():
        mesh = mesh_of(topology)
        for kind in KINDS:
            program = compiled(*program_of(kind, twenty(), outputs, mesh))
            megabytes = program.cost["bytes accessed"] / 1e6
            shown = name + topology.removeprefix("v5e") * ("slices" in topology)
            print(
                f"| {shown} | {mesh.size} | {kind} | {collectives(program)} "
                f"| {megabytes:.2f} | {estimate(program)} |"
            )


def twenty():
    """The metrics of benchmarks/step.py."""
    return jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        balanced=jm.Accuracy(average="macro", classes=CLASSES),
        confusion=jm.ConfusionMatrix(CLASSES),
        entropy=jm.CrossEntropy(),
        perplexity=jm.Perplexity(),
        smallest=jm.Min("loss"),
        largest=jm.Max("loss"),
        spread=jm.Std("loss"),
        variance=jm.Variance("loss", ddof=1),
        last=jm.Last("loss"),
        examples=jm.Count("loss"),
        total=jm.Sum("loss"),
        **{f"top{k}": jm.TopKAccuracy(k=k) for k in range(2, 9)},
    )


def collectives(program):
    """`3 all-reduce`, by name; 0 if there are none."""
    found = program.collectives()
    return ", ".join(f"{found.count(x)} {x}" for x in sorted(set(found))) or "0"


def estimate(program):
    """Microseconds; the compiler says a negative time where it has no estimate."""
    seconds = program.cost["optimal_seconds"]
    return f"{seconds * 1e6:.1f} us" if seconds >= 0 else "none"


if __name__ == "__main__":
    main()
