"""Evaluate a finished model with twenty metrics, in batches of uneven sizes.

Run `python examples/evaluation.py`; it needs scikit-learn. The model is scikit-learn's
logistic regression on its breast cancer data; any function that returns probabilities
would do. Metrics whose states are equal share one.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import jaxmetrics as jm

BINARY = {"task": "binary", "scores": "probs"}
METRICS = jm.Collection(
    accuracy=jm.Accuracy(**BINARY),
    balanced_accuracy=jm.BalancedAccuracy(**BINARY),
    precision=jm.Precision(**BINARY),
    recall=jm.Recall(**BINARY),
    specificity=jm.Specificity(**BINARY),
    f1=jm.F1(**BINARY),
    f2=jm.FBeta(beta=2.0, **BINARY),
    jaccard=jm.Jaccard(**BINARY),
    kappa=jm.CohenKappa(**BINARY),
    matthews=jm.MatthewsCorrelation(**BINARY),
    informedness=jm.Informedness(**BINARY),
    confusion=jm.ConfusionMatrix(**BINARY),
    auroc=jm.AUROC(**BINARY),
    average_precision=jm.AveragePrecision(**BINARY),
    equal_error_rate=jm.EqualErrorRate(**BINARY),
    ks=jm.KolmogorovSmirnov(**BINARY),
    loss=jm.CrossEntropy(),
    brier=jm.BrierScore(**BINARY),
    calibration_error=jm.ExpectedCalibrationError(**BINARY),
    hamming=jm.Hamming(**BINARY),
)


def batches_of(rows, labels, sizes):
    """Yield batches of the given sizes in turn; the last has what is left."""
    start = 0
    while start < len(labels):
        stop = start + sizes[start % len(sizes)]
        yield {"rows": rows[start:stop], "labels": labels[start:stop]}
        start = stop


@jax.jit
def step(params, metrics, batch):
    score = batch["rows"] @ params["w"] + params["b"]
    return metrics.update(
        probs=jax.nn.sigmoid(score),
        logits=jnp.stack([jnp.zeros_like(score), score], axis=-1),  # of both classes
        labels=batch["labels"],
        mask=batch["mask"],
    )


def main(steps):
    data = load_breast_cancer()
    train, test, labels, test_labels = train_test_split(
        data.data, data.target, test_size=0.4, random_state=0
    )
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(max_iter=steps).fit(scaler.transform(train), labels)
    params = {"w": np.float32(model.coef_[0]), "b": np.float32(model.intercept_[0])}
    rows, test_labels = np.float32(scaler.transform(test)), np.int32(test_labels)

    batches = batches_of(rows, test_labels, sizes=(64, 32, 50))
    metrics = jm.evaluate_loop(step, params, batches, METRICS, compute=False)
    with jm.TrainingLogger("evaluation", console=False) as logger:
        logger.log_step(steps, metrics, split="test")  # the confusion matrix, too
    values = metrics.compute()
    for name, value in values.items():
        text = np.asarray(value).tolist() if np.ndim(value) else f"{value:.4f}"
        print(f"{name:>20} {text}")
    run = jm.Run.load(logger.run_dir)
    print(f"{len(METRICS)} metrics of {len(test_labels)} rows, recorded in {run.path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--steps", type=int, default=1000, help="of the solver, at most"
    )
    main(parser.parse_args().steps)
