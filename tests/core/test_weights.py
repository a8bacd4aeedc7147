"""Laws of weights: a weight of n is worth n rows, and a weight of 0 removes its row.

They hold for each metric of the rows that has the field `weighted`, whether its row
sets it or not.
"""

import cases
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.catalogue import NAMES
from support.figures import figure
from support.laws import assert_value, draw, host, spoiled

import jaxmetrics as jm

ROWS = 24
WEIGHTS = np.tile([0, 1, 2, 3], ROWS // 4)
TOLERANCE = 1e-5  # of float32 sums in another order
WITHOUT = {
    **dict.fromkeys(
        ("Last", "Max", "Min", "MaxError", "AttentionMaximum", "Worst"),
        "it is one of the values, whatever their weights",
    ),
    **dict.fromkeys(
        ("Count", "NonFiniteCount", "DistinctCount", "DeadUnits", "RankHistogram"),
        "it counts what there is",
    ),
    **dict.fromkeys(
        ("CountMin", "TopItems"), "its counters are integers; pass an item repeatedly"
    ),
    **dict.fromkeys(
        ("KendallTau", "SpearmanCorrelation"), "ranks of weighted pairs have no rule"
    ),
    "MedianAbsoluteError": "Quantiles takes weights, also of absolute errors",
    "Moments": "its sums of fourth powers are of values that count the same",
    "Reservoir": "its sample is uniform",
    "GlobalNorm": "it is the norm of one vector",
    "GradientNoiseScale": "it needs gradients of microbatches of one size",
    "CapacityOverflow": "an expert takes whole choices, first come, first served",
    "FrechetDistance": "its reference values are of unweighted images",
    "KernelDistance": "its estimate without bias is of pairs of rows",
    "DetectionAP": "a weight of an image would have to sort with its scores",
}


def weighted_metric(case):
    """Return the row's metric with and without weights; None if it refuses them."""
    metric = case.metric
    if isinstance(metric, jm.Compose) and len(metric.metrics) == 1:
        (metric,) = metric.metrics.values()
    if "weighted" not in metric._configuration:
        return None
    if isinstance(metric, jm.StandardError) or getattr(metric, "stderr", False):
        return None  # rows that are repeated are not independent
    fields = {name: getattr(metric, name) for name in metric._configuration}
    kind = type(metric)
    try:
        return tuple(kind(**fields | dict(weighted=x)) for x in (False, True))
    except ValueError as error:
        assert "weighted" in str(error), error
        return None


PAIRS = {
    case.name: (case, *pair)
    for case in cases.sample(20)
    if (pair := weighted_metric(case))
}


@jax.jit
def states(outputs, weights, repeats):
    """Return each metric's state of weighted rows, and of repeated ones."""
    found = {}
    for name, (_, plain, weighted) in PAIRS.items():
        rows = {n: x for n, x in outputs[name].items() if n != "weights"}
        copies = {n: x[repeats] for n, x in rows.items()}
        source = dict(weighted.renames).get("weights", "weights")
        found[name] = (
            weighted.from_model_output(**rows, **{source: weights}),
            plain.from_model_output(**copies),
        )
    return found


@settings(max_examples=figure(8, 100), deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_weight_of_n_is_worth_n_rows_and_0_removes_one(seed):
    weights = np.random.default_rng(seed).permutation(WEIGHTS)
    outputs = {name: draw(case, ROWS) for name, (case, *_) in PAIRS.items()}
    outputs = {name: spoiled(x, weights > 0) for name, x in outputs.items()}
    repeats = np.repeat(np.arange(ROWS), weights)
    found = host(states(outputs, weights.astype(np.float32), repeats))
    for name, pair in found.items():
        weighted, repeated = (jax.tree.leaves(state.compute()) for state in pair)
        for a, b in zip(weighted, repeated, strict=True):
            assert_value(PAIRS[name][0], a, b, TOLERANCE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -1])
def test_a_weight_that_is_none_is_left_out_and_counted_or_makes_the_value_nan(bad):
    metrics = jm.Collection(
        accuracy=jm.Accuracy(scores="preds", weighted=True),
        recall=jm.Recall(task="binary", scores="preds", weighted=True),
        mean=jm.Mean(weighted=True),
    )
    outputs = dict(preds=[0, 1, 0, 1], labels=[0, 1, 1, 1], values=np.arange(4.0))
    weights = np.float32([1, 1, bad, bad])
    one_masked = np.array([True, True, True, False])
    state = metrics.update(**outputs, weights=weights, mask=one_masked)
    values = jax.device_get(state).compute()
    assert (values["accuracy"], values["recall"]) == (1, 1) and np.isnan(values["mean"])
    assert state["accuracy"].diagnostics() == {"invalid": 1}
    assert state["recall"].diagnostics() == {"invalid": 1}


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_an_invalid_weight_counts_once_whatever_the_axes_of_the_mask(axes):
    mask = np.ones((3, 4)[:axes], bool) if axes else None
    ranked = dict(scores=np.eye(3, 4, dtype=np.float32), relevance=np.eye(3, 4, 1))
    if axes:
        mask[0] = False
    state = jm.NDCG(weighted=True).update(
        **ranked, mask=mask, weights=np.float32([np.nan, np.nan, 1])
    )
    assert state.diagnostics() == {"invalid": 1 if axes else 2}


def test_a_metric_takes_weights_or_says_why_not():
    for name in NAMES:
        metric = getattr(jm, name)
        takes = "weighted" in metric._configuration
        assert takes or name in WITHOUT, (
            f"{name} has no field `weighted`. Take `weights` in its `observe`, or give "
            "the reason in WITHOUT of tests/core/test_weights.py."
        )
        assert not (takes and name in WITHOUT), f"Take {name} out of WITHOUT."
