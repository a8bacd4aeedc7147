"""The protocol of metrics within metrics."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.core import Reads


def same(state, other):
    """Return whether two states have the same structure and bits."""
    leaves, others = jax.tree.leaves(state), jax.tree.leaves(other)
    equal = all(np.array_equal(a, b) for a, b in zip(leaves, others, strict=True))
    return equal and jax.tree.structure(state) == jax.tree.structure(other)


def test_reads_lists_required_and_optional_outputs_the_mask_and_arguments():
    reads = jm.Accuracy(weighted=True).on(mask="valid").reads()
    assert reads.required == {"logits", "labels", "weights"}
    assert reads.optional == {"valid"} and reads.mask == "valid"
    assert reads.arguments == ("logits", "labels", "mask", "weights")
    assert reads.names == {"logits", "labels", "weights", "valid"}


def test_weights_are_not_read_by_a_metric_that_does_not_use_them():
    assert "weights" not in jm.Mean("loss").reads().names


def test_an_output_that_one_of_two_metrics_requires_is_required():
    both = Reads(frozenset("a"), frozenset("bc"), None) | Reads(
        frozenset("b"), frozenset("d"), "d", ("x",)
    )
    assert both == Reads(frozenset("ab"), frozenset("cd"), "d", ("x",))


def test_select_takes_what_is_read_and_not_none():
    reads = jm.Mean("loss").reads()
    assert reads.select({"loss": 1.0, "mask": None, "more": 2.0}) == {"loss": 1.0}


@pytest.mark.parametrize(
    "metric",
    [
        jm.Mean("loss"),
        jm.Masked(jm.Mean("loss"), mask="valid"),
        jm.ByGroup(jm.Mean("loss"), by="domain", groups=2),
        jm.Windowed(jm.Mean("loss"), window=2),
        jm.BestOf(jm.Mean("loss")),
        jm.Collection(mean=jm.Mean("loss")),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_the_protocol_is_what_update_and_empty_do(metric):
    outputs = dict(loss=np.float32([1, 2]), valid=np.ones(2, bool), domain=[0, 1])
    outputs = metric.reads().select(outputs)
    assert same(metric.updated(outputs), metric.update(**outputs))
    assert same(metric.contribution(outputs), metric.from_model_output(**outputs))
    assert same(metric.identity(), metric.empty())
    renamed = metric.renamed({"values": "error", "unknown": "x"})
    assert "error" in renamed.reads().required
    assert jax.tree.structure(metric.merge_shards(metric)) == jax.tree.structure(metric)
