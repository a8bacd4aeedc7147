"""Tests of the ROC and the precision-recall curve."""

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm


def drawn(rows=2000, scale=1.0):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows)
    return dict(
        logits=((rng.normal(size=rows) + labels) * scale).astype(np.float32),
        labels=labels,
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_every_point_of_any_scale_is_that_of_its_threshold(scale):
    batch = drawn(scale=scale)
    curve = jm.evaluate(jm.ROC(bins=64, points=40), **batch)
    positive = batch["labels"] == 1
    for false, true, threshold in zip(*curve.values()):
        above = batch["logits"] >= threshold
        assert false == above[~positive].mean() and true == above[positive].mean()


def test_neighbours_are_close_along_the_curve():
    curve = jm.evaluate(jm.ROC(), **drawn())
    length = curve["false_positive_rate"] + curve["true_positive_rate"]
    assert np.diff(length).max() < 2 / 100 + 4e-3  # and what one bin has
    assert length[0] == 0 and length[-1] == 2


def test_kept_rows_give_the_area_of_scikit_learn_at_its_own_points():
    batch = drawn(60)
    metric = jm.ROC(exact=True, capacity=60, points=200)
    curve = jm.evaluate(metric, **batch)
    area = sk.auc(curve["false_positive_rate"], curve["true_positive_rate"])
    assert np.isclose(area, sk.roc_auc_score(batch["labels"], batch["logits"]))


def test_it_shares_the_state_of_the_area():
    both = jm.Collection(area=jm.AUROC(), curve=jm.ROC())
    alone = jm.Collection(area=jm.AUROC())
    sizes = [sum(x.nbytes for x in jax.tree.leaves(m)) for m in (both, alone)]
    assert sizes[0] == sizes[1]


def test_one_kind_of_label_has_no_rate_of_the_other():
    curve = jm.evaluate(jm.ROC(points=3), logits=[1.0, 2.0], labels=[1, 1])
    assert np.isnan(curve["false_positive_rate"]).all()
    assert curve["true_positive_rate"].tolist() == [0.0, 0.5, 1.0]
    curve = jm.evaluate(
        jm.PrecisionRecallCurve(points=3), logits=[1.0, 2.0], labels=[0, 0]
    )
    assert np.isnan(curve["recall"]).all()
    assert curve["precision"].tolist() == [1.0, 0.0, 0.0]


def test_infinite_scores_are_above_every_finite_threshold():
    batch = dict(logits=[np.inf, 0.0, -np.inf], labels=[1, 0, 1])
    curve = jm.evaluate(jm.ROC(points=5), **batch)
    assert curve["thresholds"].tolist() == [np.inf, np.inf, 0.0, 0.0, -np.inf]
    assert curve["true_positive_rate"].tolist() == [0.0, 0.5, 0.5, 0.5, 1.0]


def test_thresholds_of_probs_are_probabilities():
    metric = jm.ROC(scores="probs", points=3)
    curve = jm.evaluate(metric, probs=[0.25, 0.75], labels=[0, 1])
    np.testing.assert_allclose(curve["thresholds"], [np.inf, 0.75, 0.25], rtol=1e-6)


def test_each_class_has_a_curve_and_a_line():
    metric = jm.PrecisionRecallCurve(classes=3, points=5).update(
        logits=np.eye(3)[[0, 1, 2, 0]], labels=[0, 1, 2, 1]
    )
    assert metric.compute()["recall"].shape == (3, 5)
    (chart,) = metric.charts().values()
    assert list(chart.lines) == ["class 0", "class 1", "class 2"]
    assert chart.x_label == "recall" and chart.y_label == "precision"


@pytest.mark.parametrize(
    "options, match",
    [
        (dict(points=1), "points is 1"),
        (dict(average="macro", classes=3), "average is 'macro'"),
        (dict(scores="preds"), "no order"),
    ],
)
def test_refuses(options, match):
    with pytest.raises(ValueError, match=match):
        jm.ROC(**options)
