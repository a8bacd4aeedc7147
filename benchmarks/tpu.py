"""What the TPU compiler expects metrics to cost: estimates, nothing runs.

Prints the tables of docs/tpu.md. It needs libtpu, which `make bench-tpu` installs in an
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
    print(f"jax {version('jax')}, libtpu {version('libtpu')}")
    for title, metrics in collections().items():
        print(f"\n{title}\n")
        print(f"| topology | devices | {' | '.join(KINDS)} |")
        print("|---|---|" + "---|" * len(KINDS))
        for topology, (name, slices) in TOPOLOGIES.items():
            mesh = mesh_of(topology)
            cells = [
                cell(compiled(*program_of(kind, metrics, outputs, mesh)))
                for kind in KINDS
            ]
            name += f", {slices} slices" * (slices > 1)
            print(f"| {name} | {mesh.size} | {' | '.join(cells)} |", flush=True)


def collections():
    """The twenty metrics of benchmarks/step.py, the largest one apart."""
    nineteen = jm.Collection(
        loss=jm.Mean("loss"),
        accuracy=jm.Accuracy(),
        balanced=jm.Accuracy(average="macro", classes=CLASSES),
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
    return {
        f"Nineteen metrics of {CLASSES} classes": nineteen,
        f"A confusion matrix of {CLASSES} classes": jm.Collection(
            confusion=jm.ConfusionMatrix(CLASSES)
        ),
    }


def cell(program):
    """Collectives, bytes accessed, and the compiler's time, negative if unknown."""
    seconds = program.cost["optimal_seconds"]
    time = f"{seconds * 1e6:.1f} us" if seconds >= 0 else "no estimate"
    megabytes = program.cost["bytes accessed"] / 1e6
    return f"{collectives(program)}, {megabytes:.1f} MB, {time}"


def collectives(program):
    """How many of each name: `3 all-reduce`."""
    found = program.collectives()
    return ", ".join(f"{found.count(x)} {x}" for x in sorted(set(found))) or "none"


if __name__ == "__main__":
    main()
