"""Print the TPU compiler's cost estimates for metrics, the tables of docs/tpu.md.

Nothing runs, and no TPU is needed. `make bench-tpu` installs libtpu in a separate
environment.
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
    """Return the twenty metrics of benchmarks/step.py, the largest one separately."""
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
    """Return collectives, bytes accessed, and estimated time (negative: unknown)."""
    seconds = program.cost["optimal_seconds"]
    time = f"{seconds * 1e6:.1f} us" if seconds >= 0 else "no estimate"
    megabytes = program.cost["bytes accessed"] / 1e6
    return f"{collectives(program)}, {megabytes:.1f} MB, {time}"


def collectives(program):
    """Return the number of each collective, such as `3 all-reduce`."""
    names = program.collectives()
    return ", ".join(f"{names.count(x)} {x}" for x in sorted(set(names))) or "none"


if __name__ == "__main__":
    main()
