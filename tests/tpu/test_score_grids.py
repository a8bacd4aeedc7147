"""AUROC in programs for TPUs: no sort, no communication, and three all-reduces."""

import numpy as np
import pytest
from tpu import checks
from tpu.programs import TOPOLOGIES, compiled, mesh_of, program_of

import jaxmetrics as jm

ROWS, CLASSES = 1024, 10  # a device
METRICS = {
    "binary": jm.AUROC(),
    "multiclass": jm.AUROC(classes=CLASSES),
    "pairs": jm.AUROC(classes=CLASSES, bins=256, multi_class="ovo"),
    "weighted": jm.AveragePrecision(weighted=True),
}


def program(kind, name, topology):
    """Return the program of one metric at its default size."""
    metric = METRICS[name]
    shape = (ROWS,) if metric.classes is None else (ROWS, metric.classes)
    outputs = dict(
        logits=np.zeros(shape, np.float32),
        labels=np.zeros(ROWS, np.int32),
        mask=np.ones(ROWS, bool),
    )
    if metric.weighted:
        outputs["weights"] = np.ones(ROWS, np.float32)
    return compiled(
        *program_of(kind, jm.Collection(m=metric), outputs, mesh_of(topology))
    )


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_the_deferred_update_sorts_nothing_and_tells_nothing(name, topology):
    made = program("deferred update", name, topology)
    assert " sort(" not in made.text
    assert checks.communication(made) == []


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_the_reduction_is_at_most_three_all_reduces(name, topology):
    made = program("reduction", name, topology)
    assert " sort(" not in made.text
    assert checks.more_than_three_all_reduces(made) == []
