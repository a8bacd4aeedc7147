"""The best value over single updates."""

import math

import numpy as np
import pytest
from support.forms import assert_close, in_every_form, mesh_of

import jaxmetrics as jm

RNG = np.random.default_rng(0)
LOSS = RNG.normal(2, 1, (32, 3)).astype(np.float32)
DOMAIN = RNG.integers(0, 3, 32).astype(np.int32)
VALID = RNG.random(32) < 0.5


def test_best_of_is_the_best_single_update():
    metric = jm.BestOf(jm.Mean("loss"), mode="min")
    assert math.isnan(metric.compute())
    for loss in ([3.0, 5.0], [1.0, 3.0], [9.0, 1.0]):
        metric = metric.update(loss=loss)
    assert metric.compute() == 2.0
    masked = metric.update(loss=[0.0], mask=[False])
    assert masked.compute() == 2.0


@pytest.mark.parametrize(("mode", "sign"), [("max", -1), ("min", 1)])
def test_the_value_of_no_data_is_no_update(mode, sign):
    """That of a sum is 0."""
    metric = jm.BestOf(jm.Sum("loss"), mode=mode)
    assert math.isnan(metric.compute())
    state = metric.update(loss=[3.0 * sign]).update(loss=[1.0 * sign])
    assert state.compute() == sign
    assert state.merge(metric).update(loss=[2.0 * sign]).compute() == sign


def test_best_of_takes_the_whole_batch_under_sharding():
    metric = jm.BestOf(jm.Mean("loss"))
    assert_close(in_every_form(metric, dict(loss=LOSS)), LOSS.mean())


def test_best_of_has_no_deferred_form():
    with pytest.raises(TypeError, match="BestOf has no deferred form.*place"):
        jm.BestOf(jm.Mean("loss")).deferred(mesh_of())
    with pytest.raises(TypeError, match="BestOf has no deferred form"):
        jm.Collection(best=jm.BestOf(jm.Mean("loss"))).deferred(mesh_of())


def test_a_mode_that_is_neither_is_refused():
    with pytest.raises(ValueError, match="'max' or 'min'"):
        jm.BestOf(jm.Mean(), mode="best")


def test_a_metric_of_several_values_is_refused():
    for metric in (jm.Mean("x", stderr=True), jm.Histogram("x", low=0, high=1)):
        with pytest.raises(ValueError, match="BestOf needs a metric that computes one"):
            jm.BestOf(metric).update(x=[0.5, 1.0])
