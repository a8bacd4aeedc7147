"""A metric of each entry of the last axis of its outputs."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

RNG = np.random.default_rng(0)
PREDS = RNG.normal(size=(16, 3)).astype(np.float32)
TARGETS = RNG.normal(size=(16, 3)).astype(np.float32)
ERRORS = ((PREDS.astype(float) - TARGETS) ** 2).mean(0)


def test_each_output_has_a_value():
    value = jm.evaluate(
        jm.MultiOutput(jm.MeanSquaredError(), outputs=3), preds=PREDS, targets=TARGETS
    )
    np.testing.assert_allclose(value, ERRORS, rtol=1e-6)


def test_nan_in_one_output_leaves_the_others_alone():
    preds = PREDS.copy()
    preds[3, 1] = np.nan
    metric = jm.MultiOutput(jm.MeanSquaredError(), outputs=3)
    value = jm.evaluate(metric, preds=preds, targets=TARGETS)
    assert math.isnan(value[1])
    np.testing.assert_allclose(value[[0, 2]], ERRORS[[0, 2]], rtol=1e-6)


def test_the_mask_and_weights_hold_for_all_outputs():
    metric = jm.MultiOutput(jm.MeanSquaredError(weighted=True), outputs=3)
    mask, weights = np.arange(16) < 9, RNG.random(16).astype(np.float32)
    renamed = metric.on(weights="w", mask="m")
    outputs = dict(preds=PREDS, targets=TARGETS)
    value = renamed.update(**outputs, w=weights, m=mask).compute()
    squares = (PREDS.astype(float) - TARGETS)[mask] ** 2
    right = np.average(squares, axis=0, weights=weights[mask])
    np.testing.assert_allclose(value, right, rtol=1e-6)


def test_only_the_named_outputs_are_split():
    metric = jm.MultiOutput(jm.MeanSquaredError(), outputs=3, split=("preds",))
    target = TARGETS[:, 0]
    right = ((PREDS.astype(float) - target[:, None]) ** 2).mean(0)
    value = jm.evaluate(metric, preds=PREDS, targets=target)
    np.testing.assert_allclose(value, right, rtol=1e-6)
    value = jm.evaluate(metric.on(preds="p"), p=PREDS, targets=target)
    np.testing.assert_allclose(value, right, rtol=1e-6)


def test_the_values_of_a_mapping_are_stacked_each():
    metrics = jm.Collection(least=jm.Min("x"), rows=jm.Count("x"))
    value = jm.evaluate(jm.MultiOutput(metrics, outputs=2), x=[[1.0, 4.0], [3.0, 2.0]])
    assert value["least"].tolist() == [1.0, 2.0] and value["rows"].tolist() == [2, 2]


def test_arrays_are_stacked_in_front():
    metric = jm.MultiOutput(jm.Recall(classes=2, average="none"), outputs=2)
    logits = np.zeros((4, 2, 2), np.float32)
    logits[:, 1, 0] = 1  # output 0 predicts class 1, output 1 ties: class 0
    labels = np.array([[1, 0], [1, 0], [0, 1], [1, 1]])
    value = jm.evaluate(metric, logits=logits, labels=labels)
    assert value.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_another_size_of_the_last_axis_is_refused():
    metric = jm.MultiOutput(jm.MeanSquaredError(), outputs=2)
    wrong = r"output 'preds' has shape \(16, 3\), but its last axis needs 2 entries"
    with pytest.raises(ValueError, match=wrong):
        metric.update(preds=PREDS, targets=TARGETS)
    with pytest.raises(ValueError, match=r"output 'x' has shape \(\)"):
        jm.MultiOutput(jm.Mean("x"), outputs=2).update(x=1.0)


def test_bad_configuration_is_refused():
    with pytest.raises(ValueError, match="outputs is at least 1, got 0"):
        jm.MultiOutput(jm.Mean("x"), outputs=0)
    with pytest.raises(ValueError, match=r"Mean does not read 'y'; it reads \['mask"):
        jm.MultiOutput(jm.Mean("x"), outputs=2, split=("y",))
    with pytest.raises(TypeError, match=r"declared tuple\[str, ...\] .*, got 'x'"):
        jm.MultiOutput(jm.Mean("x"), outputs=2, split="x")
