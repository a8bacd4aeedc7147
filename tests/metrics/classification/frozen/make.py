"""Write values of torchmetrics and torcheval to `values.json`.

Run with torch, torchmetrics and torcheval installed:
`python tests/metrics/classification/frozen/make.py`.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torcheval.metrics.functional as te
import torchmetrics.functional.classification as tm

CLASSES, LABELS, GROUPS = 4, 3, 3


def inputs():
    """Return drawn inputs by name."""
    rng = np.random.default_rng(16)
    return dict(
        logits=rng.normal(0, 1, (40, CLASSES)).round(2).tolist(),
        labels=rng.integers(0, CLASSES, 40).tolist(),
        binary_logits=rng.normal(0, 1, 40).round(2).tolist(),
        probs=rng.uniform(0.01, 0.99, 40).round(2).tolist(),
        binary_labels=rng.integers(0, 2, 40).tolist(),
        multilabel_logits=(rng.normal(0, 1, (40, LABELS)).round(1) + 0.05).tolist(),
        multilabel_labels=rng.integers(0, 2, (40, LABELS)).tolist(),
        groups=rng.integers(0, GROUPS, 40).tolist(),
        weights=rng.uniform(0.5, 2, 40).round(2).tolist(),
    )


def values(drawn):
    """Return values by name."""
    x = {name: torch.tensor(value) for name, value in drawn.items()}
    logits, labels = x["logits"], x["labels"]
    binary, truth = x["probs"], x["binary_labels"]
    many = (logits, labels, CLASSES)
    each = (x["multilabel_logits"].sigmoid(), x["multilabel_labels"], LABELS)
    preds = (x["binary_logits"] >= 0).int()
    hinge = dict(num_classes=CLASSES, squared=True)
    return {
        "specificity": tm.multiclass_specificity(*many, average=None),
        "specificity micro": tm.multiclass_specificity(*many, average="micro"),
        "specificity multilabel": tm.multilabel_specificity(*each),
        "negative predictive value": tm.multiclass_negative_predictive_value(
            *many, average=None
        ),
        "stat scores": tm.multiclass_stat_scores(*many, average=None),
        "stat scores multilabel": tm.multilabel_stat_scores(*each, average=None),
        "jaccard": tm.multiclass_jaccard_index(*many, average=None),
        "kappa linear": tm.multiclass_cohen_kappa(*many, weights="linear"),
        "matthews": tm.multiclass_matthews_corrcoef(*many),
        "hinge": tm.multiclass_hinge_loss(logits.softmax(-1), labels, **hinge),
        "hinge one against all": tm.multiclass_hinge_loss(
            logits.softmax(-1), labels, multiclass_mode="one-vs-all", **hinge
        ),
        "coverage": tm.multilabel_coverage_error(*each),
        "ranking precision": tm.multilabel_ranking_average_precision(*each),
        "ranking loss": tm.multilabel_ranking_loss(*each),
        "fairness": list(
            tm.binary_fairness(
                preds, truth, x["groups"], task="all", validate_args=False
            ).values()
        ),
        "group rates": [
            group.tolist()
            for group in tm.binary_groups_stat_rates(
                preds, truth, x["groups"], num_groups=GROUPS
            ).values()
        ],
        "normalized entropy": te.binary_normalized_entropy(
            binary.double(), truth.double(), weight=x["weights"].double()
        ),
        "normalized entropy of logits": te.binary_normalized_entropy(
            x["binary_logits"].double(), truth.double(), from_logits=True
        ),
        "click through rate": te.click_through_rate(truth, x["weights"]),
        "calibration ratio": te.weighted_calibration(binary, truth, x["weights"]),
    }


def as_list(value):
    """Return a tensor, or a list of numbers or tensors, as JSON takes it."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return [as_list(x) for x in value] if isinstance(value, list) else value


def main():
    """Write the file."""
    drawn = inputs()
    frozen = {name: as_list(value) for name, value in values(drawn).items()}
    text = json.dumps(dict(inputs=drawn, values=frozen))
    Path(__file__).with_name("values.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
