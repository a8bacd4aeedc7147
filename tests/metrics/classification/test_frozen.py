"""Values of torchmetrics and torcheval, frozen by `frozen/make.py`."""

import json
from pathlib import Path

import numpy as np
import pytest

import jaxmetrics as jm

FROZEN = json.loads((Path(__file__).parent / "frozen" / "values.json").read_text())
INPUTS = {name: np.asarray(value) for name, value in FROZEN["inputs"].items()}
CLASSES, LABELS, GROUPS = 4, 3, 3


def multiclass(metric, **options):
    logits = np.float32(INPUTS["logits"])
    metric = metric(classes=CLASSES, **options)
    return jm.evaluate(metric, logits=logits, labels=INPUTS["labels"])


def multilabel(metric, **options):
    logits = np.float32(INPUTS["multilabel_logits"])
    return jm.evaluate(
        metric(**options), logits=logits, labels=INPUTS["multilabel_labels"]
    )


def hinge(**options):
    """torchmetrics takes probabilities as decision values."""
    logits = np.exp(np.float32(INPUTS["logits"]))
    logits = logits / logits.sum(-1, keepdims=True)
    metric = jm.HingeLoss(squared=True, **options)
    return jm.evaluate(metric, logits=logits, labels=INPUTS["labels"])


def binary(metric, **names):
    return jm.evaluate(metric, **{n: INPUTS[source] for n, source in names.items()})


def fairness():
    outputs = dict(labels="binary_labels", groups="groups", logits="binary_logits")
    metrics = jm.DemographicParity(GROUPS), jm.EqualOpportunity(GROUPS)
    return [binary(metric, **outputs) for metric in metrics]


def group_rates():
    outputs = dict(labels="binary_labels", groups="groups", logits="binary_logits")
    scores = binary(jm.GroupStatScores(GROUPS), **outputs)[:, :4]
    return scores / scores.sum(-1, keepdims=True)


VALUES = {
    "specificity": lambda: multiclass(jm.Specificity, average="none"),
    "specificity micro": lambda: multiclass(jm.Specificity, average="micro"),
    "specificity multilabel": lambda: multilabel(
        jm.Specificity, task="multilabel", classes=LABELS
    ),
    "negative predictive value": lambda: multiclass(
        jm.NegativePredictiveValue, average="none"
    ),
    "stat scores": lambda: multiclass(jm.StatScores),
    "stat scores multilabel": lambda: multilabel(
        jm.StatScores, task="multilabel", classes=LABELS
    ),
    "jaccard": lambda: multiclass(jm.Jaccard, average="none"),
    "kappa linear": lambda: multiclass(jm.CohenKappa, disagreement="linear"),
    "matthews": lambda: multiclass(jm.MatthewsCorrelation),
    "hinge": hinge,
    "hinge one against all": lambda: hinge(mode="one_vs_rest", classes=CLASSES),
    "coverage": lambda: multilabel(jm.MultilabelCoverageError),
    "ranking precision": lambda: multilabel(jm.LabelRankingAveragePrecision),
    "ranking loss": lambda: multilabel(jm.LabelRankingLoss),
    "fairness": fairness,
    "group rates": group_rates,
    "normalized entropy": lambda: binary(
        jm.NormalizedEntropy(scores="probs", weighted=True),
        probs="probs",
        labels="binary_labels",
        weights="weights",
    ),
    "normalized entropy of logits": lambda: binary(
        jm.NormalizedEntropy(), logits="binary_logits", labels="binary_labels"
    ),
    "click through rate": lambda: binary(
        jm.ClickThroughRate(weighted=True), clicks="binary_labels", weights="weights"
    ),
    "calibration ratio": lambda: binary(
        jm.CalibrationRatio(scores="probs", weighted=True),
        probs="probs",
        labels="binary_labels",
        weights="weights",
    ),
}


def test_every_frozen_value_is_compared():
    assert VALUES.keys() == FROZEN["values"].keys()


@pytest.mark.parametrize("name", VALUES)
def test_agrees_with_torchmetrics_or_torcheval(name):
    np.testing.assert_allclose(VALUES[name](), FROZEN["values"][name], rtol=2e-6)
